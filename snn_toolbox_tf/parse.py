"""Keras model -> Graph: the only module that knows how Keras models are wired.

`keras.models.clone_model(model, call_function=...)` visits every call of a Functional model in topological order,
operators on Keras tensors included. The clone, made of stand-ins, is thrown away; the source's layers are never called
and so stay as they were.
"""

import dataclasses
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Activation, Graph, Input, LayerSpec, MaxPool, Node, Readout, Synapse, Unsupported
from snn_toolbox_tf.kernels import scale_spec

_WEIGHT_NAMES = (
    "kernel",
    "bias",
    "depthwise_kernel",
    "pointwise_kernel",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "mean",
    "variance",
)


@dataclasses.dataclass
class _Call:
    operation: Any
    source: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]


@dataclasses.dataclass
class _Trace:
    """A model's calls in topological order; a nested model's trace hangs on the call of it.

    The calls keep all tensors alive, so that these can be told apart by their `id`.
    """

    model: keras.Model
    clone: keras.Model
    calls: list[_Call]
    nested: dict[int, "_Trace"]


def parse(model: keras.Model) -> Graph:
    """Returns the graph of a trained Sequential or Functional model.

    Nested models are inlined; a layer that is called several times becomes one node a call; an activation that is part
    of a layer becomes a node of its own. What has no place in a spiking network becomes an `Unsupported` node.

    Args:
        model: A built Sequential or Functional model. It is not changed.

    Returns:
        The graph.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is a subclassed model, is not built, has inputs of unknown size, or computes in reduced
            precision.
    """
    _check_model(model)
    return _Lowering(_trace(model)).graph


def _check_model(model: keras.Model) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected `model` to be a keras.Model (load one with `keras.saving.load_model`). "
            f"Received: {type(model).__module__}.{type(model).__name__}"
        )
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            f"Model '{model.name}' is not built, so its shapes and weights are unknown. "
            "Add a keras.Input as its first entry, call it once on data, or load trained weights."
        )
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"Model '{model.name}' is a subclassed model ({type(model).__name__}): its layers cannot be listed. "
            "Expected a Sequential or Functional model. Rebuild it as `keras.Model(inputs, outputs)` and copy the "
            "weights with `set_weights`."
        )
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(
                f"Input '{tensor.name}' of model '{model.name}' has shape {tensor.shape}: every axis but the batch "
                "must have a fixed size, because each neuron has a state. Rebuild the model with a fixed input shape."
            )
    reduced = [
        f"'{layer.name}' ({layer.dtype_policy.name})"
        for layer in _flat_layers(model)
        if layer.dtype_policy.name not in ("float32", "float64")
    ]
    if reduced:
        raise ValueError(
            f"Model '{model.name}' computes in reduced precision in: {', '.join(reduced)}. Expected float32. "
            "Set `keras.config.set_dtype_policy('float32')`, rebuild the model and load its weights."
        )
    broken = [
        f"'{layer.name}'"
        for layer in _flat_layers(model)
        if not all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in layer.weights)
    ]
    if broken:
        raise ValueError(
            f"Model '{model.name}' has NaN or infinite weights in: {', '.join(broken)}. Expected finite weights: "
            "the training diverged, or the file is damaged."
        )
    if not _runs_as_wired(model):
        raise ValueError(
            f"Model '{model.name}' ({type(model).__name__}) overrides `call`, so it does not compute what its layers are "
            "wired to. Expected a Sequential or Functional model. Rebuild it as `keras.Model(inputs, outputs)`."
        )


def _flat_layers(model: keras.Model) -> list[Any]:
    layers = []
    for layer in model.layers:
        layers.extend(_flat_layers(layer) if isinstance(layer, keras.Model) else [layer])
    return layers


def _runs_as_wired(model: keras.Model) -> bool:
    """Whether a Sequential or Functional model leaves `call` to Keras."""
    inputs = keras.Input((1,))
    functional = type(keras.Model(inputs, inputs))
    return getattr(type(model), "call", None) in (functional.call, keras.Sequential.call)


class _StandIn(keras.layers.Layer):
    """Takes a source layer's place while its model is traced: same output shapes, no weights, no calls."""

    def __init__(self, source: Any) -> None:
        super().__init__(name=source.name)
        self._spec = source.compute_output_spec
        self.built = True

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self._spec(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("A stand-in is only traced.")


def _trace(model: keras.Model) -> _Trace:
    calls: list[_Call] = []
    nested: dict[int, _Trace] = {}
    sources: dict[int, Any] = {}

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None) and _runs_as_wired(layer):
            trace = _trace(layer)
            copy = trace.clone
            nested[id(copy)] = trace
        elif isinstance(layer, keras.layers.Layer):
            copy = _StandIn(layer)
        else:
            copy = layer
        sources[id(copy)] = layer
        return copy

    def record(operation: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = operation(*args, **kwargs)
        calls.append(_Call(operation, sources.get(id(operation), operation), args, kwargs, keras.tree.flatten(outputs)))
        return outputs

    if isinstance(model, keras.Sequential):
        functional = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    else:
        functional = keras.Model(model.input, model.output, name=model.name)
    copy = keras.models.clone_model(functional, clone_function=clone, call_function=record)
    return _Trace(model, copy, calls, nested)


class _Lowering:
    """Turns a trace into nodes."""

    def __init__(self, trace: _Trace) -> None:
        self._value: dict[int, str] = {}
        self.graph = Graph(trace.model.name, [], [], None, None)
        names = []
        for tensor in trace.clone.inputs:
            name = self.graph.unique_name(tensor.name)
            self._add(Input(name, [], tensor.shape[1:], dtype=keras.backend.standardize_dtype(tensor.dtype)))
            self._value[id(tensor)] = name
            names.append(name)
        self._lower(trace, "")
        output_names = list(getattr(trace.model, "output_names", []))
        outputs = keras.tree.flatten(trace.clone.output)
        for index, tensor in enumerate(outputs):
            name = output_names[index] if len(output_names) == len(outputs) else self._value[id(tensor)]
            self.graph.readouts.append(Readout(name, self._value[id(tensor)]))
        self.graph.input_structure = _name_structure(trace.clone.input, names, trace.clone.inputs)
        self.graph.output_structure = _name_structure(
            trace.clone.output, [readout.name for readout in self.graph.readouts], outputs
        )

    def _add(self, node: Node) -> str:
        self.graph.insert(node)
        self.graph.replace(node)
        return node.name

    def _lower(self, trace: _Trace, prefix: str) -> None:
        for call in trace.calls:
            tensors = [t for t in keras.tree.flatten((call.args, call.kwargs)) if isinstance(t, keras.KerasTensor)]
            if id(call.operation) in trace.nested:
                inner = trace.nested[id(call.operation)]
                for inside, outside in _matched_inputs(inner.clone, call.args[0]):
                    self._value[id(inside)] = self._value[id(outside)]
                self._lower(inner, f"{prefix}{call.source.name}.")
                for inside, outside in zip(keras.tree.flatten(inner.clone.output), call.outputs, strict=True):
                    self._value[id(outside)] = self._value[id(inside)]
                continue
            inputs = [self._value[id(tensor)] for tensor in tensors]
            name = self.graph.unique_name(prefix + call.source.name)
            result = self._lower_call(call, name, inputs)
            for tensor in call.outputs:
                self._value[id(tensor)] = result

    def _lower_call(self, call: _Call, name: str, inputs: list[str]) -> str:
        shape = tuple(call.outputs[0].shape[1:])
        if not isinstance(call.operation, keras.layers.Layer):
            return self._add(_operation_node(self.graph, call, name, inputs, shape))
        layer, class_name = call.source, type(call.source).__name__
        axis = _channel_axis(self.graph, layer, inputs, shape)
        if not vocabulary.is_keras_layer(layer):
            refusal = vocabulary.UNKNOWN_LAYER
            class_name = f"{type(layer).__module__}.{class_name}"
        elif class_name in vocabulary.INACTIVE:
            return inputs[0]
        elif class_name == "Activation":
            return self._add(Activation(name, inputs, shape, axis, layer=_function_spec(layer.activation)))
        elif class_name in vocabulary.ACTIVATION_LAYERS:
            spec = LayerSpec(class_name, layer.get_config())
            return self._add(Activation(name, inputs, shape, axis, layer=spec))
        elif class_name in vocabulary.MAX_POOLS:
            return self._add(MaxPool(name, inputs, shape, axis, layer=LayerSpec(class_name, layer.get_config())))
        elif class_name == "Normalization" and np.size(layer.get_config()["axis"]) > 1:
            refusal = vocabulary.NORMALIZATION_AXES
        elif class_name == "Rescaling":
            return self._add_rescaling(layer, name, inputs, shape, axis)
        elif class_name in ("Add", "Subtract", "Average") and any(self.graph[i].shape != shape for i in inputs):
            refusal = vocabulary.BROADCASTING
        elif layer.get_config().get("interpolation", "nearest") != "nearest":
            refusal = vocabulary.INTERPOLATION
        elif class_name in vocabulary.ROLES or class_name in vocabulary.REWRITTEN:
            return self._add_synapse(layer, name, inputs, shape, axis)
        else:
            refusal = vocabulary.REFUSALS.get(class_name, vocabulary.UNKNOWN_LAYER)
        node = Unsupported(
            name, inputs, shape, axis, class_name=class_name, reason=refusal.reason, remedy=refusal.remedy
        )
        return self._add(node)

    def _add_rescaling(self, layer: Any, name: str, inputs: list[str], shape: tuple[int, ...], axis: int) -> str:
        scale, offset = np.broadcast_arrays(np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64))
        vector = scale.reshape(-1)
        if vector.size > 1 and vector.size != shape[axis]:
            refusal = vocabulary.RESCALING_SHAPE
            node = Unsupported(name, inputs, shape, axis, "float32", "Rescaling", refusal.reason, refusal.remedy)
            return self._add(node)
        spec = scale_spec(vector, offset.reshape(-1), axis + 1 if axis >= 0 else axis)
        return self._add(Synapse(name, inputs, shape, axis, layer=spec))

    def _add_synapse(self, layer: Any, name: str, inputs: list[str], shape: tuple[int, ...], axis: int) -> str:
        config = layer.get_config()
        weights = {key: getattr(layer, key, None) for key in _WEIGHT_NAMES}
        arrays = {
            key: np.asarray(keras.ops.convert_to_numpy(value), dtype=np.float64)
            for key, value in weights.items()
            if value is not None
        }
        activation = config.get("activation")
        if "activation" in config:
            config["activation"] = "linear"
        self._add(Synapse(name, inputs, shape, axis, layer=LayerSpec(type(layer).__name__, config, arrays)))
        if activation in (None, "linear"):
            return name
        spec = _function_spec(layer.activation)
        suffix = spec.config.get("activation", spec.class_name.lower())
        fused = Activation(self.graph.unique_name(f"{name}_{suffix}"), [name], shape, axis, layer=spec)
        return self._add(fused)


def _matched_inputs(model: keras.Model, argument: Any) -> list[tuple[Any, Any]]:
    """Pairs a nested model's input tensors with the tensors that it is called on; a dict may stand in for a list."""
    if isinstance(argument, dict) and not isinstance(model.input, dict):
        return [(tensor, argument[tensor.name]) for tensor in model.inputs]
    return list(zip(keras.tree.flatten(model.input), keras.tree.flatten(argument), strict=True))


def _name_structure(structure: Any, names: list[str], tensors: list[Any]) -> Any:
    by_tensor = {id(tensor): name for tensor, name in zip(tensors, names, strict=True)}
    named = keras.tree.map_structure(lambda tensor: by_tensor[id(tensor)], structure)
    if isinstance(named, (list, tuple)):
        # Keras unpacks a list of one.
        return list(named) if len(named) > 1 else named[0]
    return named


def _function_spec(function: Any) -> LayerSpec:
    """Returns an activation function (or a layer in its place) as a layer."""
    if isinstance(function, keras.layers.Layer) and vocabulary.is_keras_layer(function):
        return LayerSpec(type(function).__name__, function.get_config())
    name = getattr(function, "__name__", type(function).__name__)
    try:
        known = keras.activations.get(name) is function
    except ValueError:
        known = False
    return LayerSpec("Activation", {"activation": name if known else f"custom function {name}"})


def _channel_axis(graph: Graph, layer: Any, inputs: list[str], shape: tuple[int, ...]) -> int:
    config = layer.get_config()
    if type(layer).__name__ == "Dense":
        return -1
    if type(layer).__name__ == "BatchNormalization":
        axis = config["axis"][0] if isinstance(config["axis"], (list, tuple)) else config["axis"]
        return axis - 1 if axis > 0 else axis
    if config.get("data_format") == "channels_first" and len(shape) > 1:
        return 0
    first = graph[inputs[0]]
    if "data_format" not in config and len(first.shape) == len(shape):
        return first.channel_axis
    return -1


def _operation_node(graph: Graph, call: _Call, name: str, inputs: list[str], shape: tuple[int, ...]) -> Node:
    """Returns the node of an operator on Keras tensors, such as `a + b` or `x * 0.5`."""
    class_name = type(call.operation).__name__
    axis = graph[inputs[0]].channel_axis if len(graph[inputs[0]].shape) == len(shape) else -1
    constants = [value for value in call.args if not _has_tensor(value)]
    same_shape = all(graph[source].shape == shape for source in inputs)
    if class_name in ("Add", "Subtract") and len(inputs) == 2 and same_shape:
        return Synapse(name, inputs, shape, axis, layer=LayerSpec(class_name, {}))
    if class_name == "Concatenate":
        return Synapse(name, inputs, shape, axis, layer=LayerSpec("Concatenate", {"axis": call.operation.axis}))
    if class_name == "ReLU":
        # `keras.activations.relu(x)`, called as a function.
        keys = ("negative_slope", "max_value", "threshold")
        config = {key: getattr(call.operation, key) for key in keys}
        return Activation(name, inputs, shape, axis, layer=LayerSpec("ReLU", config))
    if class_name == "Softmax":
        return Activation(name, inputs, shape, axis, layer=LayerSpec("Softmax", {"axis": call.operation.axis}))
    if class_name in ("Relu", "Relu6", "Sigmoid", "Tanh"):
        return Activation(name, inputs, shape, axis, layer=LayerSpec("Activation", {"activation": class_name.lower()}))
    if same_shape and len(inputs) == 1 and not call.kwargs:
        constant = np.asarray(constants[0], dtype=np.float64) if constants else np.asarray(1.0)
        reverse = bool(constants) and call.args[0] is constants[0]
        spec = _operator_spec(class_name, constant, reverse, len(shape), axis)
        if spec is not None:
            return Synapse(name, inputs, shape, axis, layer=spec)
    refusal = vocabulary.UNKNOWN_OPERATION
    return Unsupported(name, inputs, shape, axis, class_name=class_name, reason=refusal.reason, remedy=refusal.remedy)


def _operator_spec(
    class_name: str, constant: np.ndarray, reverse: bool, rank: int, channel_axis: int
) -> LayerSpec | None:
    """Returns `x <operator> constant` (or `constant <operator> x`) as a `Scale`, or None if it is not affine."""
    axes = [index - constant.ndim for index, size in enumerate(constant.shape) if size > 1]
    if len(axes) > 1 or constant.ndim > rank + 1 or (axes and axes[0] == -rank - 1):
        return None
    values = constant.reshape(-1)
    one, zero = np.ones(1), np.zeros(1)
    rules: dict[tuple[str, bool], tuple[np.ndarray, np.ndarray]] = {
        ("Add", False): (one, values),
        ("Add", True): (one, values),
        ("Subtract", False): (one, -values),
        ("Subtract", True): (-one, values),
        ("Multiply", False): (values, zero),
        ("Multiply", True): (values, zero),
        ("Negative", False): (-one, zero),
    }
    if class_name in ("TrueDivide", "Divide") and not reverse and np.all(values != 0):
        rules[class_name, False] = (1.0 / values, zero)
    if (class_name, reverse) not in rules:
        return None
    factor, offset = rules[class_name, reverse]
    factor, offset = np.broadcast_arrays(factor, offset)
    axis = channel_axis + 1 if channel_axis >= 0 else channel_axis
    return scale_spec(factor, offset, axes[0] if axes else axis)


def _has_tensor(value: Any) -> bool:
    return any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(value))
