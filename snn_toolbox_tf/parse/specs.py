"""Layers of Keras, and activation functions, as data."""

from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.activations import CUSTOM_FUNCTION
from snn_toolbox_tf.graph import LayerSpec
from snn_toolbox_tf.parse.place import as_float64

_WEIGHT_NAMES = (
    "kernel",
    "bias",
    "depthwise_kernel",
    "pointwise_kernel",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "alpha",
)


def is_keras_layer(operation: Any) -> bool:
    """Whether an operation is one of Keras's own layers, and not a user's subclass of the same name."""
    return type(operation) is getattr(keras.layers, type(operation).__name__, None)


def spec_of(layer: Any) -> LayerSpec:
    """Returns a layer as data, without its activation."""
    config = layer.get_config()
    if "activation" in config:
        config["activation"] = "linear"
    return LayerSpec(type(layer).__name__, config, weights_of(layer))


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    """Returns a layer's weights by attribute name."""
    weights = {key: getattr(layer, key, None) for key in _WEIGHT_NAMES}
    # The alpha of a PReLU is a weight, that of an ELU a number.
    return {key: as_float64(value) for key, value in weights.items() if hasattr(value, "shape")}


def function_spec(function: Any) -> LayerSpec:
    """Returns an activation function (or a layer in its place) as a layer."""
    if isinstance(function, keras.layers.Layer) and is_keras_layer(function):
        return LayerSpec(type(function).__name__, function.get_config(), weights_of(function))
    name = getattr(function, "__name__", type(function).__name__)
    try:
        known = keras.activations.get(name) is function
    except ValueError:
        known = False
    return LayerSpec("Activation", {"activation": name if known else f"{CUSTOM_FUNCTION} {name}"})
