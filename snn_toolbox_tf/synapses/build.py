"""A layer's description as a living Keras layer."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf import layers as own_layers
from snn_toolbox_tf.foundation.names import scope_name
from snn_toolbox_tf.graph import LayerSpec

_DISCARDED_SUFFIXES = ("_regularizer", "_constraint", "_initializer", "lora_rank", "lora_alpha", "quantization_config")
#: Layer classes of users by the names that specs have for them.
REGISTERED_CLASSES: dict[str, type[keras.layers.Layer]] = {}


def layer_class(class_name: str) -> type[keras.layers.Layer]:
    """Returns the class of a layer: this package's, a registered one, or that of `keras.layers`.

    Raises:
        ValueError: If there is none.
    """
    found = getattr(own_layers, class_name, None) or REGISTERED_CLASSES.get(class_name)
    found = found or getattr(keras.layers, class_name, None)
    if found is None:
        raise ValueError(
            f"There is no layer class '{class_name}'. If it is your own, import it and call "
            "`snn_toolbox_tf.register_layer(TheClass)` first."
        )
    return found


def build_layer(
    spec: LayerSpec, name: str, dtype: str, input_shapes: list[tuple[int | None, ...]]
) -> keras.layers.Layer:
    """Returns the Keras layer of a spec, built and with the spec's weights.

    Args:
        spec: The layer.
        name: Its name.
        dtype: What it computes in.
        input_shapes: The shapes of its inputs, with the batch axis.
    """
    config = {key: value for key, value in spec.config.items() if not key.endswith(_DISCARDED_SUFFIXES)}
    config.update({"name": scope_name(name), "dtype": dtype})
    # Weights come from the spec or a file: random initial values would be work for nothing.
    config.update({key: "zeros" for key in spec.config if key.endswith("_initializer")})
    layer = layer_class(spec.class_name).from_config(config)
    layer.build(input_shapes if len(input_shapes) > 1 else input_shapes[0])
    layer.built = True
    for key, value in spec.weights.items():
        getattr(layer, key).assign(np.asarray(value))
    return layer


def variables_of(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Returns a layer's own weights by the names of its attributes."""
    # Keras has its kernels in `_kernel`, behind a property. In Keras 3.6 a layer's weight is no `keras.Variable`, but of the
    # class that this one is made from.
    weights = {id(weight) for weight in layer.weights}
    return {name.removeprefix("_"): value for name, value in vars(layer).items() if id(value) in weights}


def apply_spec(spec: LayerSpec, name: str, inputs: list[np.ndarray]) -> np.ndarray:
    """Returns what a layer gives for one sample, in float64.

    Args:
        spec: The layer.
        name: Its name, for messages.
        inputs: Its inputs without the batch axis.
    """
    batches: list[Any] = [np.asarray(array, np.float64)[np.newaxis] for array in inputs]
    layer = build_layer(spec, name, "float64", [array.shape for array in batches])
    return tf.convert_to_tensor(layer(batches if len(batches) > 1 else batches[0])).numpy()[0]
