"""Spikes as bits: spike j of a sample is bit j % 8 of its byte j // 8."""

import math
from collections.abc import Sequence

import tensorflow as tf


def pack_bits(spikes: tf.Tensor) -> tf.Tensor:
    """Packs spikes `[timesteps, batch, ...]` into uint8 `[timesteps, batch, bytes]`: spike j is bit j % 8 of byte j // 8."""
    shape = tf.shape(spikes)
    size = tf.reduce_prod(shape[2:])
    flat = tf.cast(tf.reshape(spikes, [shape[0], shape[1], size]), tf.int32)
    flat = tf.pad(flat, [[0, 0], [0, 0], [0, -size % 8]])
    bytes_ = tf.reshape(flat, [shape[0], shape[1], (size + 7) // 8, 8])
    return tf.cast(tf.reduce_sum(bytes_ * tf.constant([1, 2, 4, 8, 16, 32, 64, 128]), axis=-1), tf.uint8)


def unpack_bits(bits: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns the spikes, float32 `[batch, *shape]`, that bits `[batch, bytes]` stand for."""
    each = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits[..., tf.newaxis], tf.range(8, dtype=tf.uint8)), 1)
    return tf.cast(tf.reshape(tf.reshape(each, [-1, each.shape[1] * 8])[:, : math.prod(shape)], [-1, *shape]), tf.float32)
