"""A model's calls as graph nodes."""

import dataclasses
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Activation, Graph, Input, LayerSpec, MaxPool, Node, Readout, Synapse, Unsupported
from snn_toolbox_tf.kernels import scale_spec
from snn_toolbox_tf.parse.broadcasting import broadcast
from snn_toolbox_tf.parse.einsum import dense_spec, is_dense
from snn_toolbox_tf.parse.operators import operation_node
from snn_toolbox_tf.parse.trace import Call, Trace

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
    "alpha",
)


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the source has in one place: an input, the call of a layer or operation, or a layer's own activation.

    Attributes:
        name: Name of the node that was made of it, if there is one.
        class_name: Class of the layer or operation.
        inactive: Whether it does nothing at inference, so that there is no node.
    """

    name: str
    class_name: str
    inactive: bool = False


class Lowering:
    """Turns a trace into nodes.

    Attributes:
        graph: The graph.
        origins: Everything that the source consists of, in topological order.
    """

    def __init__(self, trace: Trace) -> None:
        self._value: dict[int, str] = {}
        self.origins: list[Origin] = []
        self.graph = Graph(trace.model.name, [], [], None, None)
        names = []
        for tensor in trace.clone.inputs:
            name = self.graph.unique_name(tensor.name)
            self._add(Input(name, [], tensor.shape[1:], dtype=keras.backend.standardize_dtype(tensor.dtype)))
            self._value[id(tensor)] = name
            self.origins.append(Origin(name, "InputLayer"))
            names.append(name)
        self._lower(trace, "")
        output_names = list(getattr(trace.model, "output_names", []))
        outputs = keras.tree.flatten(trace.clone.output)
        for index, tensor in enumerate(outputs):
            name = output_names[index] if len(output_names) == len(outputs) else self._value[id(tensor)]
            # A layer that is called twice may be two outputs of the same name.
            used = [readout.name for readout in self.graph.readouts]
            unique = name if name not in used else f"{name}_{used.count(name) + 1}"
            self.graph.readouts.append(Readout(unique, self._value[id(tensor)]))
        self.graph.input_structure = _name_structure(trace.clone.input, names, trace.clone.inputs)
        self.graph.output_structure = _name_structure(
            trace.clone.output, [readout.name for readout in self.graph.readouts], outputs
        )

    def _add(self, node: Node) -> str:
        self.graph.insert(node)
        self.graph.replace(node)
        return node.name

    def _lower(self, trace: Trace, prefix: str) -> None:
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
            self.origins.append(Origin(name, type(call.source).__name__, inactive=_is_inactive(call)))
            result = self._lower_call(call, name, inputs)
            for tensor in call.outputs:
                self._value[id(tensor)] = result

    def _lower_call(self, call: Call, name: str, inputs: list[str]) -> str:
        shape = tuple(call.outputs[0].shape[1:])
        if not isinstance(call.operation, keras.layers.Layer):
            # Of tensors of different rank, an operator would take the batch for another axis.
            same_rank = len({len(self.graph[source].shape) for source in inputs}) == 1
            if type(call.operation).__name__ in ("Add", "Subtract") and len(inputs) == 2 and same_rank:
                inputs = self._broadcast(name, inputs, shape)
            return self._add(operation_node(self.graph, call, name, inputs, shape))
        layer, class_name = call.source, type(call.source).__name__
        axis = _channel_axis(self.graph, layer, inputs, shape)
        if _is_scaled_sum(layer):
            return self._add_scaled_sum(layer, name, inputs, shape)
        if not vocabulary.is_keras_layer(layer):
            refusal = vocabulary.UNKNOWN_LAYER
            class_name = f"{type(layer).__module__}.{class_name}"
        elif _is_inactive(call):
            return inputs[0]
        elif class_name == "Activation":
            return self._add(Activation(name, inputs, shape, axis, layer=_function_spec(layer.activation)))
        elif class_name in vocabulary.ACTIVATION_LAYERS:
            spec = LayerSpec(class_name, layer.get_config(), _weights_of(layer))
            return self._add(Activation(name, inputs, shape, axis, layer=spec))
        elif class_name in vocabulary.MAX_POOLS:
            return self._add(MaxPool(name, inputs, shape, axis, layer=LayerSpec(class_name, layer.get_config())))
        elif class_name == "Normalization" and np.size(layer.get_config()["axis"]) > 1:
            refusal = vocabulary.NORMALIZATION_AXES
        elif class_name == "Rescaling":
            return self._add_rescaling(layer, name, inputs, shape, axis)
        elif class_name == "EinsumDense" and is_dense(layer):
            return self._add_synapse(layer, name, inputs, shape, -1)
        elif class_name in ("Add", "Subtract", "Average"):
            inputs = self._broadcast(name, inputs, shape)
            if all(self.graph[source].shape == shape for source in inputs):
                return self._add_synapse(layer, name, inputs, shape, axis)
            refusal = vocabulary.BROADCASTING
        elif class_name in vocabulary.ROLES and layer.get_config().get("interpolation", "nearest") != "nearest":
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

    def _broadcast(self, name: str, inputs: list[str], shape: tuple[int, ...]) -> list[str]:
        """Brings the terms of a sum to its shape, as far as that can be done."""

        def add(node: Node) -> str:
            node.name = self.graph.unique_name(node.name)
            return self._add(node)

        return [broadcast(add, self.graph[source], name, shape) or source for source in inputs]

    def _add_scaled_sum(self, layer: Any, name: str, inputs: list[str], shape: tuple[int, ...]) -> str:
        axis = self.graph[inputs[0]].channel_axis
        spec = scale_spec(np.full(1, float(layer.get_config()["scale"])), None, axis + 1)
        scaled = self._add(Synapse(self.graph.unique_name(f"{name}_scale"), inputs[1:], shape, axis, layer=spec))
        return self._add(Synapse(name, [inputs[0], scaled], shape, axis, layer=LayerSpec("Add", {})))

    def _add_synapse(self, layer: Any, name: str, inputs: list[str], shape: tuple[int, ...], axis: int) -> str:
        config = layer.get_config()
        arrays = _weights_of(layer)
        activation = config.get("activation")
        if "activation" in config:
            config["activation"] = "linear"
        spec = LayerSpec(type(layer).__name__, config, arrays)
        self._add(Synapse(name, inputs, shape, axis, layer=dense_spec(spec) if "equation" in config else spec))
        if activation in (None, "linear"):
            return name
        spec = _function_spec(layer.activation)
        suffix = spec.config.get("activation", spec.class_name.lower())
        fused = Activation(self.graph.unique_name(f"{name}_{suffix}"), [name], shape, axis, layer=spec)
        self.origins.append(Origin(fused.name, f"activation of {type(layer).__name__}"))
        return self._add(fused)


def _weights_of(layer: Any) -> dict[str, np.ndarray]:
    weights = {key: getattr(layer, key, None) for key in _WEIGHT_NAMES}
    return {
        key: np.asarray(keras.ops.convert_to_numpy(value), dtype=np.float64)
        for key, value in weights.items()
        if value is not None
    }


def _is_scaled_sum(layer: Any) -> bool:
    """Whether a layer is the one that Keras's InceptionResNetV2 brings along: `a + scale * b`."""
    own = type(layer).__module__.endswith("applications.inception_resnet_v2")
    return own and type(layer).__name__ == "CustomScaleLayer"


def _is_inactive(call: Call) -> bool:
    return vocabulary.is_keras_layer(call.source) and type(call.source).__name__ in vocabulary.INACTIVE


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
