"""Max pooling in time: of accumulated currents (the reference), and by winners."""

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
    sums = accumulated + tf.cumsum(tf.cast(current, accumulated.dtype), axis=0)
    every = tf.concat([accumulated[tf.newaxis], sums], axis=0)
    merged = tf.reshape(every, [-1, *accumulated.shape[1:]])
    pooled = tf.nn.max_pool2d(merged, window.pool, window.strides, window.padding.upper())
    pooled = tf.reshape(pooled, [-1, tf.shape(accumulated)[0], *pooled.shape[1:]])
    return tf.cast(pooled[1:] - pooled[:-1], current.dtype), sums[-1]


def winner_take_all(current: tf.Tensor, accumulated: tf.Tensor, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """Passes on what the winner of each window puts out: the input that has given most so far, the present one included.

    On spikes this is the gating of Rueckauer et al. (2017, Frontiers in Neuroscience 11:682, on spiking max pooling): only
    spikes of the neuron that fires most pass. Of several winners it is the first.

    Args:
        current: Spikes (or currents), float32 or float64 `[timesteps, batch, rows, columns, channels]`.
        accumulated: Their sum before the block, float64 `[batch, rows, columns, channels]`.
        window: The windows.

    Returns:
        What passes, of the current's dtype, `[timesteps, batch, rows, columns, channels]`, and the sums after the block.

    Example:
        >>> import tensorflow as tf, snn_toolbox_tf as snn
        >>> spikes = tf.reshape([0.0, 1.0, 1.0, 0.0, 1.0, 0.0], [3, 1, 1, 2, 1])  # three timesteps, two columns
        >>> window = snn.ops.Window(pool=(1, 2), strides=(1, 2))
        >>> passed, _ = snn.ops.winner_take_all(spikes, tf.zeros([1, 1, 2, 1], tf.float64), window)
        >>> passed.numpy().ravel().tolist()  # the second wins, then both (the first is taken), then the first
        [1.0, 1.0, 1.0]
    """
    sums = accumulated + tf.cumsum(tf.cast(current, accumulated.dtype), axis=0)
    merged = tf.reshape(sums, [-1, *accumulated.shape[1:]])
    _, winners = tf.nn.max_pool_with_argmax(
        merged, window.pool, window.strides, window.padding.upper(), include_batch_in_index=True
    )
    passed = tf.gather(tf.reshape(current, [-1]), winners)
    return tf.reshape(passed, [current.shape[0] or -1, tf.shape(accumulated)[0], *passed.shape[1:]]), sums[-1]
