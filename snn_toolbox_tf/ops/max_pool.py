"""Max pooling of accumulated currents: its front and its reference."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Window:
    """The windows of a pooling over two axes.

    Attributes:
        pool: Their size (rows, columns).
        strides: Steps from one to the next.
        padding: "valid" or "same", as Keras and TensorFlow mean it.
    """

    pool: tuple[int, int]
    strides: tuple[int, int]
    padding: str = "valid"

    def output_size(self, input_size: Sequence[int]) -> list[int]:
        """Returns the number of windows along both axes."""
        if self.padding == "same":
            return [-(-size // stride) for size, stride in zip(input_size, self.strides, strict=True)]
        return [
            (size - pool) // stride + 1 for size, pool, stride in zip(input_size, self.pool, self.strides, strict=True)
        ]


def reference(current: tf.Tensor, accumulated: tf.Tensor, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """Pools accumulated currents with TensorFlow operations; see `ops.accumulate_max_pool`."""
    sums = accumulated + tf.cumsum(tf.cast(current, tf.float64), axis=0)
    every = tf.concat([accumulated[tf.newaxis], sums], axis=0)
    merged = tf.reshape(every, [-1, *accumulated.shape[1:]])
    pooled = tf.nn.max_pool2d(merged, window.pool, window.strides, window.padding.upper())
    pooled = tf.reshape(pooled, [-1, tf.shape(accumulated)[0], *pooled.shape[1:]])
    return tf.cast(pooled[1:] - pooled[:-1], current.dtype), sums[-1]
