"""Spikes as bits: spike j of a sample is bit j % 8 of its byte j // 8."""

import tensorflow as tf


def pack_bits(spikes: tf.Tensor) -> tf.Tensor:
    """Packs spikes `[timesteps, batch, ...]` into uint8 `[timesteps, batch, bytes]`: spike j is bit j % 8 of byte j // 8."""
    spikes = tf.convert_to_tensor(spikes)
    shape = tf.shape(spikes)
    size = tf.reduce_prod(shape[2:])
    flat = tf.cast(tf.reshape(spikes, [shape[0], shape[1], size]), tf.int32)
    flat = tf.pad(flat, [[0, 0], [0, 0], [0, -size % 8]])
    bytes_ = tf.reshape(flat, [shape[0], shape[1], (size + 7) // 8, 8])
    bits = tf.cast(tf.reduce_sum(bytes_ * tf.constant([1, 2, 4, 8, 16, 32, 64, 128]), axis=-1), tf.uint8)
    known = spikes.shape[2:].num_elements()
    return tf.ensure_shape(bits, [*spikes.shape[:2], None if known is None else (known + 7) // 8])


def unpack_bits(bits: tf.Tensor) -> tf.Tensor:
    """Returns the spikes, float32 `[..., 8 * bytes]`, that bits `[..., bytes]` stand for, behind them zeros."""
    each = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits[..., tf.newaxis], tf.constant([*range(8)], tf.uint8)), 1)
    shape = tf.shape(bits)
    spikes = tf.reshape(tf.cast(each, tf.float32), tf.concat([shape[:-1], [shape[-1] * 8]], axis=0))
    return tf.ensure_shape(spikes, [*bits.shape[:-1], None if bits.shape[-1] is None else bits.shape[-1] * 8])
