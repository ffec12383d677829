"""Max pooling nodes in time, by each rule."""

import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import MaxPool
from snn_toolbox_tf.simulation.block import NodeState, zeros
from snn_toolbox_tf.synapses import MAX_POOLING


def initial_state(node: MaxPool, input_shape: tuple[int, ...], batch_size: tf.Tensor, sum_dtype: tf.DType) -> NodeState:
    """Returns what a max pooling node keeps, before anything has come in.

    Args:
        node: The node.
        input_shape: Shape of its input without the batch axis.
        batch_size: Number of samples.
        sum_dtype: Of sums over time.
    """
    if node.rule == "lateral_inhibition":
        return {"winners": zeros(batch_size, node.shape, tf.int32)}
    return {"accumulated": zeros(batch_size, input_shape, sum_dtype)}


def pool(
    node: MaxPool, current: tf.Tensor, state: NodeState, timesteps: int, *, differentiable: bool
) -> tuple[tf.Tensor, NodeState]:
    """Runs a max pooling node through a block.

    Args:
        node: The node.
        current: Its input, `[timesteps * batch, ...]`, channels last.
        state: What its inputs have summed up to, `[batch, ...]`; or which of them has won each window.
        timesteps: Length of the block.
        differentiable: Whether a gradient is wanted.

    Returns:
        What the node passes on by its rule, `[timesteps * batch, ...]`, and its state after the block.
    """
    shape = current.shape[1:]
    window = MAX_POOLING.window(node, tuple(shape))
    blocks = tf.reshape(current, [timesteps, -1, *_image(shape)])
    if node.rule == "lateral_inhibition":
        images = window.output_size(_image(shape)[:2])
        before = tf.reshape(state["winners"], [-1, *images, shape[-1]])
        pooled, winners = ops.lateral_inhibition(blocks, before, window)
        return tf.reshape(pooled, [-1, *node.shape]), {"winners": tf.reshape(winners, [-1, *node.shape])}
    sums = tf.reshape(state["accumulated"], [-1, *_image(shape)])
    if node.rule == "winner_take_all":
        pooled, after = ops.winner_take_all(blocks, sums, window)
    else:
        pooled, after = ops.accumulate_max_pool(blocks, sums, window, differentiable=differentiable)
    return tf.reshape(pooled, [-1, *node.shape]), {"accumulated": tf.reshape(after, [-1, *shape])}


def _image(shape: tf.TensorShape) -> list[int]:
    """One-dimensional pooling is two-dimensional with one row."""
    return [*shape] if len(shape) == 3 else [1, *shape]
