"""How far a spiking network is from its source: in its outputs, and layer by layer."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

_SMALLEST = 1e-7


def output_loss(outputs: Any, expected: Any) -> tf.Tensor:
    """Returns the divergence of the outputs from the source's, summed over all outputs; a scalar.

    Of probabilities, it is the Kullback-Leibler divergence. Of other values, the relative squared error; where these may be
    logits, the divergence of their softmax is added.
    """
    pairs = zip(keras.tree.flatten(outputs), keras.tree.flatten(expected), strict=True)
    return tf.add_n([_divergence(tf.cast(ours, tf.float32), tf.cast(theirs, tf.float32)) for ours, theirs in pairs])


def _divergence(ours: tf.Tensor, theirs: tf.Tensor) -> tf.Tensor:
    if theirs.shape.rank != 2 or theirs.shape[1] == 1:
        return relative_error(ours, theirs)
    sums = tf.reduce_sum(theirs, axis=-1)
    probable = tf.reduce_all(tf.abs(sums - 1.0) < 1e-3) & tf.reduce_all(theirs >= 0.0)
    return tf.cond(
        probable,
        lambda: _kullback_leibler(ours, theirs),
        lambda: _kullback_leibler(tf.nn.softmax(ours), tf.nn.softmax(theirs)) + 0.1 * relative_error(ours, theirs),
    )


def _kullback_leibler(ours: tf.Tensor, theirs: tf.Tensor) -> tf.Tensor:
    ours, theirs = tf.maximum(ours, _SMALLEST), tf.maximum(theirs, _SMALLEST)
    return tf.reduce_mean(tf.reduce_sum(theirs * (tf.math.log(theirs) - tf.math.log(ours)), axis=-1))


def relative_error(ours: tf.Tensor, theirs: tf.Tensor) -> tf.Tensor:
    """Returns the mean squared error in units of the mean square of what is expected."""
    return tf.reduce_mean(tf.square(ours - theirs)) / tf.maximum(tf.reduce_mean(tf.square(theirs)), 1e-30)


def activation_loss(activations: Mapping[str, tf.Tensor], expected: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Returns the mean over populations of their relative squared error."""
    errors = [relative_error(activation, expected[name]) for name, activation in activations.items()]
    return tf.add_n(errors) / max(len(errors), 1)
