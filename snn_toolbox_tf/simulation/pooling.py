"""Max pooling nodes in time, by either rule."""

import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import MaxPool


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
    window = window_of(node, shape)
    # One-dimensional pooling is two-dimensional with one row.
    image = shape if len(shape) == 3 else [1, *shape]
    blocks, sums = tf.reshape(current, [timesteps, -1, *image]), tf.reshape(accumulated, [-1, *image])
    if node.rule == "winner_take_all":
        pooled, after = ops.winner_take_all(blocks, sums, window)
    else:
        pooled, after = ops.accumulate_max_pool(blocks, sums, window, differentiable=differentiable)
    return tf.reshape(pooled, [-1, *node.shape]), tf.reshape(after, [-1, *shape])


def window_of(node: MaxPool, input_shape: tf.TensorShape) -> ops.Window:
    """Returns the windows of a one- or two-dimensional (global) max pooling over rows and columns."""
    sizes = list(input_shape[:-1])
    config = node.layer.config
    if node.layer.class_name.startswith("Global"):
        pool = strides = sizes
    else:
        pool = list(config["pool_size"])
        strides = list(config["strides"] or config["pool_size"])
    rows = [1] * (2 - len(sizes))
    return ops.Window((*rows, *pool), (*rows, *strides), config.get("padding", "valid"))
