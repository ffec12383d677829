"""Thresholds that a network's numbers can resolve: none is tiny against the currents that may come."""

import numpy as np

from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.passes.bounds import ANALOG_HEADROOM, absolute_bounds

#: The largest current, in thresholds, that may come in one timestep.
LARGEST_CURRENT = 2.0**10


def raise_thresholds(graph: Graph, largest: dict[str, np.ndarray]) -> None:
    """Raises every theta that the largest possible current would exceed more than 2^10 times, to that part of the current.

    A channel that was just about positive in the calibration data, once, has a theta close to 0. What it can tell the next
    layer is as small; but it shares the grid of its layer, whose 24 bits hold the current of the channel that has most
    thresholds: all other channels would be left with few.

    Args:
        graph: The balanced graph with its thresholds, changed in place.
        largest: Largest absolute value of each node that depends on the input alone, broadcastable to its shape.
    """

    def spike(node: Population, current: np.ndarray) -> np.ndarray:
        # One value per threshold: per channel, or for all.
        shared = tuple(axis for axis, size in enumerate(np.shape(node.threshold)) if size == 1)
        floor = current.max(axis=shared, keepdims=True) / LARGEST_CURRENT
        theta = np.maximum(node.threshold, floor)
        node.threshold = theta if node.max_value is None else np.minimum(theta, node.max_value)
        return node.threshold

    absolute_bounds(graph, {name: ANALOG_HEADROOM * values for name, values in largest.items()}, spike)
