"""Thresholds without calibration data: from batch-norm statistics, else from the weights alone.

Batch norm tells the distribution of what it puts out: per channel, mean beta and standard deviation |gamma|, about normal.
Where a population's current is a sum of such outputs, and of rectified ones, means and variances add. Everywhere else the
rule is the model-based normalization of Diehl et al. (2015, algorithm 1): theta is the largest current that the positive
weights can deliver if every input neuron fires at its maximum.
"""

import statistics

import numpy as np

from snn_toolbox_tf.calibration.threshold_rules import Thresholds
from snn_toolbox_tf.graph import Graph, InputNode, LayerNode, Node, Population, Synapse
from snn_toolbox_tf.synapses import family_of
from snn_toolbox_tf.synapses.family import Moments

_NORMAL = statistics.NormalDist()


def thresholds_from_model(graph: Graph, percentile: float) -> Thresholds:
    """Returns one threshold per channel (batch norm) or per population (weights alone).

    Args:
        graph: The graph with its source's weights.
        percentile: Of the positive part of the normal distribution.

    Returns:
        Thresholds by population name; of windows of the same neurons the largest, under the name that they have in common.
    """
    moments: dict[str, Moments | None] = {}
    largest: dict[str, np.ndarray] = {}
    thresholds: Thresholds = {}
    for node in graph:
        moments[node.name] = _moments(node, moments)
        if isinstance(node, Population):
            source = moments[node.inputs[0]]
            if source is not None and source[0].size == node.shape[node.channel_axis]:
                theta = _normal_percentile(source, percentile)
                moments[node.name] = _rectified(source)
            else:
                theta = np.maximum(largest[node.inputs[0]].max(keepdims=True).reshape(1), 0.0)
            if node.trained_threshold is not None:
                theta = node.trained_threshold.reshape(-1)
            thresholds[node.shared_name] = np.maximum(theta, thresholds.get(node.shared_name, 0.0))
            positive = np.where(theta > 0, theta, max(float(theta.max()), 1e-12))
            largest[node.name] = np.broadcast_to(
                node.channel_vector(positive if positive.size > 1 else positive[0]), node.shape
            )
        else:
            largest[node.name] = _largest(node, largest)
    return thresholds


def _moments(node: Node, moments: dict[str, Moments | None]) -> Moments | None:
    """Mean and variance per channel of a node's output, or None if they are not known."""
    if isinstance(node, Synapse) and node.moments is not None:
        return node.moments
    if isinstance(node, LayerNode):
        return family_of(node).moments(node, [moments[name] for name in node.inputs])
    return None


def _normal_percentile(moments: Moments, percentile: float) -> np.ndarray:
    """The percentile of the positive part of N(mean, variance), per channel.

    100 % of a normal distribution is infinite; it is read as 99.99 %.
    """
    mean, deviation = moments[0], np.sqrt(moments[1])
    share = min(percentile, 99.99) / 100.0
    result = np.zeros_like(mean)
    for channel, (center, width) in enumerate(zip(mean, deviation, strict=True)):
        if width <= 0:
            result[channel] = max(center, 0.0)
            continue
        below_zero = _NORMAL.cdf(-center / width)
        result[channel] = max(center + width * _NORMAL.inv_cdf(min(below_zero + share * (1 - below_zero), 1 - 1e-9)), 0)
    return result


def _rectified(moments: Moments) -> Moments:
    """Mean and variance of max(x, 0) for x ~ N(mean, variance)."""
    mean, deviation = moments[0], np.sqrt(np.maximum(moments[1], 1e-30))
    z = mean / deviation
    cdf = np.array([_NORMAL.cdf(value) for value in z])
    pdf = np.array([_NORMAL.pdf(value) for value in z])
    first = mean * cdf + deviation * pdf
    second = (mean**2 + deviation**2) * cdf + mean * deviation * pdf
    return first, np.maximum(second - first**2, 0.0)


def _largest(node: Node, largest: dict[str, np.ndarray]) -> np.ndarray:
    """The largest value that each element can take if inputs lie in [0, 1] and populations in [0, theta]."""
    if isinstance(node, InputNode):
        return np.ones(node.shape)
    if not isinstance(node, LayerNode):
        raise TypeError(f"Node '{node.name}' ({type(node).__name__}) has no place in a spiking graph.")
    return family_of(node).largest_value(node, [np.maximum(largest[name], 0.0) for name in node.inputs])
