"""A model's calls as graph nodes."""

import dataclasses
from typing import Any

import keras

from snn_toolbox_tf.graph import Activation, Graph, InputNode, Readout, Unsupported
from snn_toolbox_tf.parse.layers import HAVE_THEIRS, lower_layer
from snn_toolbox_tf.parse.operators import lower_operation
from snn_toolbox_tf.parse.place import Place
from snn_toolbox_tf.parse.specs import function_spec, is_keras_layer
from snn_toolbox_tf.parse.time_distributed import distribute
from snn_toolbox_tf.parse.trace import Call, Trace, trace_wrapped


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the source has in one place: an input, the call of a layer or operation, or a layer's own activation.

    Attributes:
        name: Its name; the nodes that were made of it have it as their `origin`.
        class_name: Class of the layer or operation.
        inactive: Whether it does nothing at inference, so that there is no node.
        source: The layer or operation itself; None for an input.
    """

    name: str
    class_name: str
    inactive: bool = False
    source: Any = None


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
            self.graph.insert(
                InputNode(name, [], tensor.shape[1:], dtype=keras.backend.standardize_dtype(tensor.dtype))
            )
            self._value[id(tensor)] = name
            self.origins.append(Origin(name, "InputLayer"))
            names.append(name)
        self._lower(trace, "")
        # Keras names an output after its layer, also where that has an activation of its own.
        sequential = isinstance(trace.model, keras.Sequential)
        output_names = [trace.model.layers[-1].name] if sequential else list(getattr(trace.model, "output_names", []))
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

    def _lower(self, trace: Trace, prefix: str) -> None:
        for call in trace.calls:
            tensors = [t for t in keras.tree.flatten((call.args, call.kwargs)) if isinstance(t, keras.KerasTensor)]
            if id(call.operation) in trace.nested:
                inner = trace.nested[id(call.operation)]
                argument = call.args[0] if call.args else call.kwargs["inputs"]
                for inside, outside in _matched_inputs(inner.clone, argument):
                    self._value[id(inside)] = self._value[id(outside)]
                self._lower(inner, f"{prefix}{call.source.name}.")
                for inside, outside in zip(keras.tree.flatten(inner.clone.output), call.outputs, strict=True):
                    self._value[id(outside)] = self._value[id(inside)]
                continue
            inputs = [self._value[id(tensor)] for tensor in tensors]
            result = self._lower_call(call, self.graph.unique_name(prefix + call.source.name), inputs)
            names = [result] * len(call.outputs) if isinstance(result, str) else result
            for tensor, name in zip(call.outputs, names, strict=True):
                self._value[id(tensor)] = name

    def _lower_call(self, call: Call, name: str, inputs: list[str]) -> str | list[str]:
        """Adds the nodes of a call, and says where they came from."""
        shape = self._shape_of(call)
        layer, class_name = call.source, type(call.source).__name__
        place = Place(self.graph, name, inputs, shape, self._channel_axis(layer, inputs, shape))
        if is_keras_layer(layer) and class_name == "TimeDistributed":
            return self._distribute(layer, place)
        origin = len(self.origins)
        is_layer = isinstance(layer, keras.layers.Layer)
        result = lower_layer(place, layer) if is_layer else lower_operation(place, call)
        self.origins.insert(origin, Origin(name, class_name, inactive=result in inputs, source=layer))
        complete = is_keras_layer(layer) and class_name in HAVE_THEIRS
        if complete or not isinstance(result, str) or isinstance(self.graph[result], (Activation, Unsupported)):
            return result
        return self._add_own_activation(layer, place, result)

    def _add_own_activation(self, layer: Any, place: Place, result: str) -> str:
        """Adds the activation that is part of a layer, if it has one."""
        function = layer.get_config().get("activation") if isinstance(layer, keras.layers.Layer) else None
        if function in (None, "linear"):
            return result
        spec = function_spec(layer.activation)
        suffix = spec.config.get("activation", spec.class_name.lower())
        name = self.graph.unique_name(f"{place.name}_{suffix}")
        self.origins.append(Origin(name, f"activation of {type(layer).__name__}", source=layer))
        own = dataclasses.replace(place, name=name, inputs=[result], shape=self.graph[result].shape)
        return own.activation(spec)

    def _shape_of(self, call: Call) -> tuple[int | None, ...]:
        """Returns the shape of a call's output. Where Keras has lost a size on the way, it is looked up in the graph."""
        shape = tuple(call.outputs[0].shape[1:])
        if None not in shape:
            return shape

        def known(value: Any) -> Any:
            if not isinstance(value, keras.KerasTensor) or id(value) not in self._value:
                return value
            return keras.KerasTensor((None, *self.graph[self._value[id(value)]].shape), value.dtype)

        args, kwargs = keras.tree.map_structure(known, (call.args, call.kwargs))
        outputs = keras.tree.flatten(call.operation.compute_output_spec(*args, **kwargs))
        return tuple(outputs[0].shape[1:])

    def _distribute(self, wrapper: Any, place: Place) -> str:
        """Adds the nodes of what a TimeDistributed layer wraps."""
        inner = Lowering(trace_wrapped(wrapper.layer, place.source.shape[1:]))
        names = {}
        for origin in inner.origins[1:]:
            own = f"{place.name}.{origin.name}"
            if not isinstance(wrapper.layer, keras.Model):
                own = place.name + origin.name.removeprefix(wrapper.layer.name)
            names[origin.name] = own
            self.origins.append(dataclasses.replace(origin, name=own))
        return distribute(inner.graph, self.graph, place.inputs[0], names)

    def _channel_axis(self, layer: Any, inputs: list[str], shape: tuple[int | None, ...]) -> int:
        config = layer.get_config() if isinstance(layer, keras.layers.Layer) else {}
        if type(layer).__name__ == "Dense":
            return -1
        if type(layer).__name__ == "BatchNormalization":
            axis = config["axis"][0] if isinstance(config["axis"], (list, tuple)) else config["axis"]
            return axis - 1 if axis > 0 else axis
        if config.get("data_format") == "channels_first" and len(shape) > 1:
            return 0
        first = self.graph[inputs[0]]
        if "data_format" not in config and len(first.shape) == len(shape):
            return first.channel_axis
        return -1


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
