"""A copy of a model in which layers with trained thresholds stand in place of ReLUs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.activations import ACTIVATION_LAYERS
from snn_toolbox_tf.layers import QuantizationClipFloorShift, ThresholdReLU
from snn_toolbox_tf.parse.source_model import flat_layers


@dataclasses.dataclass(frozen=True)
class Replacement:
    """What stands in place of a ReLU.

    Attributes:
        threshold: Initial theta: one number, or one per channel.
        axis: Channel axis, counted from the last one (-1), so that it is the same for one step of a TimeDistributed layer.
    """

    threshold: np.ndarray
    axis: int


def replace_rectifiers(
    model: keras.Model, replacements: Mapping[int, Replacement], levels: int | None, name: str
) -> keras.Model:
    """Returns a copy of a model, with copies of its weights.

    Args:
        model: A Sequential or Functional model. It is not changed.
        replacements: What to replace, by the `id` of the layer or operation that is a ReLU, or of a layer that ends in one.
        levels: Number of steps of the new layers, or None for ReLUs without steps.
        name: Name of the copy.
    """
    copier = _Copier(replacements, levels, {layer.name for layer in [*model.layers, *flat_layers(model)]})
    copy = copier.model(model, name)
    copier.copy_weights()
    return copy


class _Copier:
    """Copies layers, each once, however often it is called."""

    def __init__(self, replacements: Mapping[int, Replacement], levels: int | None, names: set[str]) -> None:
        self._replacements, self._levels, self._names = replacements, levels, names
        self._copies: dict[int, Any] = {}
        self._pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
        # What follows a copy, as a layer of its own now, by the copy's `id`.
        self._followers: dict[int, keras.layers.Layer] = {}
        self._rectifiers: set[int] = set()

    def model(self, source: keras.Model, name: str) -> keras.Model:
        """Returns a copy of a model, still with other weights."""
        # Keras changes the calls of Functional models only.
        sequential = isinstance(source, keras.Sequential)
        ends = (source.inputs[0], source.outputs[0]) if sequential else (source.input, source.output)
        functional = keras.Model(*ends, name=name)
        return keras.models.clone_model(functional, clone_function=self._copy, call_function=self._call)

    def copy_weights(self) -> None:
        """Gives all copies the weights of what they are copies of."""
        for source, copy in self._pairs:
            copy.set_weights(source.get_weights())
            if isinstance(copy, keras.layers.Normalization):
                # It computes with tensors that it makes of its weights.
                copy.finalize_state()

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if id(operation) in self._rectifiers:
            # What `keras.ops.minimum(x, 6.0)` is given besides is a number.
            args, kwargs = tuple(filter(_is_tensor, (*args, *kwargs.values()))), {}
        outputs = operation(*args, **kwargs)
        follower = self._followers.get(id(operation))
        return outputs if follower is None else follower(outputs)

    def _copy(self, source: Any) -> Any:
        if id(source) not in self._copies:
            self._copies[id(source)] = self._copied(source)
        return self._copies[id(source)]

    def _copied(self, source: Any) -> Any:
        if isinstance(source, keras.Model):
            return self.model(source, source.name)
        if isinstance(source, keras.layers.TimeDistributed):
            return self._copied_wrapper(source)
        replacement = self._replacements.get(id(source))
        if not isinstance(source, keras.layers.Layer):
            return source if replacement is None else self._rectifier(replacement, source.name)
        if replacement and (isinstance(source, ThresholdReLU) or type(source).__name__ in ACTIVATION_LAYERS):
            return self._rectifier(replacement, source.name, dtype=source.dtype_policy)
        config = source.get_config()
        if replacement:
            config["activation"] = "linear"
        copy = type(source).from_config(config)
        self._pairs.append((source, copy))
        if replacement:
            follower = self._rectifier(replacement, self._name_behind(source), dtype=source.dtype_policy)
            self._followers[id(copy)] = follower
        return copy

    def _copied_wrapper(self, source: keras.layers.TimeDistributed) -> keras.layers.Layer:
        """What a wrapped layer ends in is wrapped, too: its axes are those of one step."""
        inner = self._copy(source.layer)
        wrapper = keras.layers.TimeDistributed(inner, name=source.name, trainable=source.trainable)
        if id(inner) in self._followers:
            follower = keras.layers.TimeDistributed(self._followers[id(inner)], name=self._name_behind(source))
            self._followers[id(wrapper)] = follower
        return wrapper

    def _name_behind(self, source: keras.layers.Layer) -> str:
        """Returns a name that no layer has yet."""
        name, number = f"{source.name}_relu", 1
        while name in self._names:
            number += 1
            name = f"{source.name}_relu_{number}"
        self._names.add(name)
        return name

    def _rectifier(self, replacement: Replacement, name: str, **options: Any) -> ThresholdReLU:
        theta = replacement.threshold
        options |= {"threshold": theta.tolist() if theta.size > 1 else float(theta[0]), "axis": replacement.axis}
        if self._levels is None:
            layer = ThresholdReLU(name=name, **options)
        else:
            layer = QuantizationClipFloorShift(levels=self._levels, name=name, **options)
        self._rectifiers.add(id(layer))
        return layer


def _is_tensor(value: Any) -> bool:
    return isinstance(value, keras.KerasTensor)
