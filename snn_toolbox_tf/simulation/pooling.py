"""Max pooling nodes in time, by either rule."""

import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import MaxPool
from snn_toolbox_tf.synapses import MAX_POOLING


def pool(
    node: MaxPool, current: tf.Tensor, accumulated: tf.Tensor, timesteps: int, *, differentiable: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs a max pooling node through a block.

    Args:
        node: The node.
        current: Its input, `[timesteps * batch, ...]`, channels last.
        accumulated: What its inputs have summed up to, float64 `[batch, ...]`.
        timesteps: Length of the block.
        differentiable: Whether a gradient is wanted.

    Returns:
        What the node passes on by its rule, `[timesteps * batch, ...]`, and what the inputs have summed up to after the
        block.
    """
    shape = accumulated.shape[1:]
    window = MAX_POOLING.window(node, tuple(shape))
    # One-dimensional pooling is two-dimensional with one row.
    image = shape if len(shape) == 3 else [1, *shape]
    blocks, sums = tf.reshape(current, [timesteps, -1, *image]), tf.reshape(accumulated, [-1, *image])
    if node.rule == "winner_take_all":
        pooled, after = ops.winner_take_all(blocks, sums, window)
    else:
        pooled, after = ops.accumulate_max_pool(blocks, sums, window, differentiable=differentiable)
    return tf.reshape(pooled, [-1, *node.shape]), tf.reshape(after, [-1, *shape])
