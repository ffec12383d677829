"""Max pooling as a circuit: in each window, the neuron that fires first inhibits all others."""

import tensorflow as tf

from snn_toolbox_tf.ops.max_pool import Window


def lateral_inhibition(spikes: tf.Tensor, winners: tf.Tensor, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """Passes on the spikes of the neuron of each window that has fired first, from then on.

    Of several neurons that fire first in the same timestep, the first in the window wins, row by row: which of them would
    have fired earlier, had timesteps been shorter, spikes do not tell.

    Args:
        spikes: float32 `[timesteps, batch, rows, columns, channels]`. A neuron fires where they are positive.
        winners: Which neuron has won each window before the block: 1 plus its place in a sample, counted row by row, or 0
            if none has fired yet; int32 `[batch, rows, columns, channels]` of the windows.
        window: The windows.

    Returns:
        What passes, like `spikes`, `[timesteps, batch, rows, columns, channels]`, and the winners after the block.

    Example:
        >>> import tensorflow as tf, snn_toolbox_tf as snn
        >>> spikes = tf.reshape([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [4, 1, 1, 2, 1])  # four timesteps, two columns
        >>> window = snn.ops.Window(pool=(1, 2), strides=(1, 2))
        >>> passed, winners = snn.ops.lateral_inhibition(spikes, tf.zeros([1, 1, 1, 1], tf.int32), window)
        >>> passed.numpy().ravel().tolist(), winners.numpy().ravel().tolist()  # the second fires first
        ([0.0, 1.0, 0.0, 1.0], [2])
    """
    shape = tf.shape(spikes)
    timesteps, batch, size = shape[0], shape[1], tf.reduce_prod(shape[2:])
    left = tf.range(timesteps, 0, -1)
    # The number of timesteps left at the first spike, 0 without any: the largest is that of the first neuron.
    countdown = tf.reshape(left, [-1, 1, 1, 1, 1]) * tf.cast(spikes > 0, tf.int32)
    first = tf.cast(tf.reduce_max(countdown, axis=0), tf.float32)
    earliest, places = tf.nn.max_pool_with_argmax(
        first, window.pool, window.strides, window.padding.upper(), output_dtype=tf.int64
    )
    won = tf.where(earliest > 0, tf.cast(places, tf.int32) + 1, 0)
    winners = tf.where(winners > 0, winners, won)
    # A block may have more elements than 32 bits count.
    samples = tf.reshape(tf.range(tf.cast(timesteps * batch, tf.int64)), [timesteps, batch, 1, 1, 1])
    indices = samples * tf.cast(size, tf.int64) + tf.cast(tf.maximum(winners - 1, 0), tf.int64)
    passed = tf.gather(tf.reshape(spikes, [-1]), indices)
    return tf.where(winners > 0, passed, tf.zeros_like(passed)), winners
