"""The calls of a model, in topological order.

`keras.models.clone_model(model, call_function=...)` visits every call of a Functional model, operators on Keras tensors
included. The clone, made of stand-ins, is thrown away; the source's layers are never called and so stay as they were.
"""

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass
class Call:
    """One call of a layer or operation; `source` is the source model's layer."""

    operation: Any
    source: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]


@dataclasses.dataclass
class Trace:
    """A model's calls in topological order; a nested model's trace hangs on the call of it.

    The calls keep all tensors alive, so that these can be told apart by their `id`.
    """

    model: keras.Model
    clone: keras.Model
    calls: list[Call]
    nested: dict[int, "Trace"]


def runs_as_wired(model: keras.Model) -> bool:
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


def trace_calls(model: keras.Model) -> Trace:
    """Returns the calls of a Sequential or Functional model; nested models are traced one by one."""
    calls: list[Call] = []
    nested: dict[int, Trace] = {}
    sources: dict[int, Any] = {}

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None) and runs_as_wired(layer):
            trace = trace_calls(layer)
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
        calls.append(Call(operation, sources.get(id(operation), operation), args, kwargs, keras.tree.flatten(outputs)))
        return outputs

    if isinstance(model, keras.Sequential):
        functional = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    else:
        functional = keras.Model(model.input, model.output, name=model.name)
    copy = keras.models.clone_model(functional, clone_function=clone, call_function=record)
    return Trace(model, copy, calls, nested)


def trace_wrapped(layer: Any, shape: tuple[int, ...]) -> Trace:
    """Returns the calls of what a wrapper calls on samples of this shape: one layer, or a model."""
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None) and runs_as_wired(layer):
        return trace_calls(layer)
    inputs, stand_in = keras.Input(shape), _StandIn(layer)
    outputs = stand_in(inputs)
    model = keras.Model(inputs, outputs)
    return Trace(model, model, [Call(stand_in, layer, (inputs,), {}, keras.tree.flatten(outputs))], {})
