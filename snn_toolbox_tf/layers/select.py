"""`Select`: puts each element of the input where it belongs in the output."""

import math
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="SnnToolbox")
class Select(keras.layers.Layer):
    """Takes elements of the input, or zeros, in any order: slices, splits, flips, repetitions, padding by zeros.

    `y[k] = x[indices[k] - 1]` on flattened samples, and 0 where `indices[k] = 0`.

    Args:
        target_shape: Shape of the output without the batch axis.

    Input: float tensor `[batch, ...]`.
    Output: float tensor `[batch, *target_shape]`.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> layer = snn.layers.Select(target_shape=[3])
        >>> layer.build((None, 2))
        >>> _ = layer.indices.assign([2, 1, 0])
        >>> [float(value) for value in layer(keras.ops.reshape([5.0, 7.0], (1, 2)))[0]]
        [7.0, 5.0, 0.0]
    """

    def __init__(self, target_shape: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = [int(size) for size in target_shape]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weight `indices`, int32, one per element of the output."""
        shape = (math.prod(self.target_shape),)
        self.indices = self.add_weight(
            name="indices", shape=shape, dtype="int32", initializer="zeros", trainable=False, autocast=False
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Returns the chosen elements."""
        flat = tf.reshape(inputs, [-1, math.prod(inputs.shape[1:])])
        return tf.reshape(tf.gather(tf.pad(flat, [[0, 0], [1, 0]]), self.indices, axis=1), [-1, *self.target_shape])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the target shape behind the batch axis."""
        return (input_shape[0], *self.target_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "target_shape": self.target_shape}
