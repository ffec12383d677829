"""Adam, with steps in units of what is trained, and how their rate goes."""

import math

import tensorflow as tf

from snn_toolbox_tf.network.trained import Trained

#: The rate rises in this share of all steps: the first ones are large whatever they have seen.
WARM_UP = 0.1
_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma & Ba 2015) on variables that are measured in units of their own, so that one rate suits them all.

    Args:
        trained: What it changes.
    """

    def __init__(self, trained: list[Trained]) -> None:
        self._trained = trained
        self._first = [tf.Variable(tf.zeros_like(one.variable)) for one in trained]
        self._second = [tf.Variable(tf.zeros_like(one.variable)) for one in trained]
        self._steps = tf.Variable(0.0)

    def apply(self, gradients: list[tf.Tensor | None], rate: tf.Tensor) -> None:
        """Takes a step."""
        steps = self._steps.assign_add(1.0)
        size = rate * tf.sqrt(1.0 - _SECOND**steps) / (1.0 - _FIRST**steps)
        for one, first, second, gradient in zip(self._trained, self._first, self._second, gradients, strict=True):
            if gradient is None:
                continue
            gradient = tf.cast(gradient, tf.float32) * one.unit
            m = first.assign(_FIRST * first + (1.0 - _FIRST) * gradient)
            v = second.assign(_SECOND * second + (1.0 - _SECOND) * tf.square(gradient))
            one.variable.assign_sub(one.unit * size * m / (tf.sqrt(v) + _EPSILON))

    def reset(self) -> None:
        """Forgets what it has seen."""
        for variable in [*self._first, *self._second, self._steps]:
            variable.assign(tf.zeros_like(variable))


def warm_cosine(step: int, steps: int) -> float:
    """Returns the part of the rate that a step has: a linear warm-up, and a cosine's decay to 0."""
    return min(1.0, (step + 1) / max(WARM_UP * steps, 4.0)) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
