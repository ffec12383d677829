"""What is trained: variables of populations, and weights of layers, each with the size of a step that is large for it."""

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.corrections.steps import HIGHEST_POTENTIAL, LOWEST_POTENTIAL
from snn_toolbox_tf.corrections.write import POTENTIAL_STEP
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.layers import straight_through_round

_POTENTIAL_BITS = -int(np.log2(POTENTIAL_STEP))


class PopulationVariables:
    """A population's threshold, initial potential and additional bias, as variables.

    Args:
        node: The population as calibration has left it.
        timesteps: T.
    """

    def __init__(self, node: Population, timesteps: int) -> None:
        self.node, self._timesteps = node, timesteps
        channels = node.channel_vector(np.ones(node.shape[node.channel_axis])).shape
        self.log_threshold = tf.Variable(np.log(node.threshold), dtype=tf.float32)
        # One per channel, unless each neuron has its own.
        shape = np.broadcast_shapes(node.v0.shape, channels)
        self.start = tf.Variable(np.broadcast_to(node.v0, shape), dtype=tf.float32)
        self.charge = tf.Variable(np.zeros(channels), dtype=tf.float32)

    @property
    def variables(self) -> list[tf.Variable]:
        """All of them."""
        return [self.log_threshold, self.start, self.charge]

    @property
    def threshold(self) -> tf.Tensor:
        """theta, in units of the source's activations; no larger than the bound of the source's ReLU."""
        threshold = tf.exp(self.log_threshold)
        bound = self.node.max_value
        return threshold if bound is None else tf.minimum(threshold, tf.constant(bound, tf.float32))

    @property
    def initial_potential(self) -> tf.Tensor:
        """In units of the threshold, rounded as it will be."""
        rounded = straight_through_round(self.start, _POTENTIAL_BITS)
        return tf.clip_by_value(rounded, LOWEST_POTENTIAL, HIGHEST_POTENTIAL)

    @property
    def bias(self) -> tf.Tensor:
        """What is added at every timestep, in units of the threshold."""
        return self.charge / self._timesteps


def learns(node: Population) -> bool:
    """Whether a population's parameters may change: not where the source was trained with a threshold of its own."""
    return node.trained_threshold is None
