"""Threshold rules: from activation statistics to one theta per population or per channel."""

import numpy as np

from snn_toolbox_tf.calibration.from_data import ActivationStatistics
from snn_toolbox_tf.graph import Graph, Population

Thresholds = dict[str, np.ndarray]


def percentile_thresholds(
    statistics: ActivationStatistics, percentile: float, *, per_channel: bool, max_rate: float = 1.0
) -> Thresholds:
    """Theta = the given percentile of the positive activations (Rueckauer et al. 2017, section 2.2.1), / max_rate.

    Args:
        statistics: What was observed.
        percentile: In (0, 100].
        per_channel: One threshold per channel, or one per population.
        max_rate: Firing rate that an activation at the percentile shall have, in (0, 1].

    Returns:
        Per population a vector of thresholds: one per channel, or one. Zero where no activation was positive.
    """
    return {
        name: (histogram if per_channel else histogram.merged()).percentile(percentile) / max_rate
        for name, histogram in statistics.histograms.items()
    }


def apply_thresholds(graph: Graph, thresholds: Thresholds) -> None:
    """Writes thresholds into the balanced graph.

    A dead channel, whose threshold would be 0, gets the largest threshold of its population, and a dead population 1:
    any positive value serves, as long as unforeseen input does not make it fire wildly. A ReLU with an upper bound gets
    no threshold above that bound, where the firing rate then saturates exactly as the ReLU does.
    """
    for node in graph.of_type(Population):
        theta = np.asarray(thresholds[node.name], dtype=np.float64).reshape(-1)
        largest = theta.max()
        theta = np.where(theta > 0, theta, largest if largest > 0 else 1.0)
        node.threshold = node.channel_vector(theta if theta.size > 1 else theta[0])
        if node.max_value is not None:
            node.threshold = np.minimum(node.threshold, node.max_value)


def set_neuron_parameters(graph: Graph, *, v0: float, reset: str) -> None:
    """Gives every population its initial potential (in units of theta) and its reset rule."""
    for node in graph.of_type(Population):
        node.v0, node.reset = v0, reset
