"""How far a spiking network is from its source: in its outputs, and layer by layer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

#: Weights of what is compared besides the decoded outputs: the readouts, and the activations.
READOUT_WEIGHT, ACTIVATION_WEIGHT = 1.0, 0.3
_SMALLEST = 1e-7


class Answer(NamedTuple):
    """What a network gives for a batch.

    Attributes:
        outputs: Decoded outputs, in the source's structure.
        readouts: The same before they are decoded, in order: logits, where classes are decided.
        activations: What populations stand for, by name.
    """

    outputs: Any
    readouts: list[tf.Tensor]
    activations: Mapping[str, tf.Tensor]


def distance(student: Answer, teacher: Answer) -> tf.Tensor:
    """Returns the loss, a scalar.

    A source that is sure of almost all of its samples says little by its probabilities, more by its logits; that is why
    readouts are compared as well (Ba & Caruana 2014, "Do Deep Nets Really Need to be Deep?").
    """
    readouts = [relative_error(ours, theirs) for ours, theirs in zip(student.readouts, teacher.readouts, strict=True)]
    layers = [relative_error(ours, teacher.activations[name]) for name, ours in student.activations.items()]
    loss = output_loss(student.outputs, teacher.outputs) + READOUT_WEIGHT * tf.add_n(readouts)
    return loss + ACTIVATION_WEIGHT / len(layers) * tf.add_n(layers) if layers else loss


def output_loss(outputs: Any, expected: Any) -> tf.Tensor:
    """Returns the divergence of decoded outputs from the source's, summed over all outputs; a scalar.

    It is the Kullback-Leibler divergence of classes, which are probabilities, or logits if they do not sum to 1; of other
    values, the relative squared error.
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
        lambda: _kullback_leibler(tf.nn.softmax(ours), tf.nn.softmax(theirs)),
    )


def _kullback_leibler(ours: tf.Tensor, theirs: tf.Tensor) -> tf.Tensor:
    ours, theirs = tf.maximum(ours, _SMALLEST), tf.maximum(theirs, _SMALLEST)
    return tf.reduce_mean(tf.reduce_sum(theirs * (tf.math.log(theirs) - tf.math.log(ours)), axis=-1))


def relative_error(ours: tf.Tensor, theirs: tf.Tensor) -> tf.Tensor:
    """Returns the mean squared error in units of the mean square of what is expected."""
    return tf.reduce_mean(tf.square(ours - theirs)) / tf.maximum(tf.reduce_mean(tf.square(theirs)), 1e-30)
