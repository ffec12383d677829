"""Thresholds that a network's numbers can resolve: none is tiny against the currents that may come."""

import numpy as np

from snn_toolbox_tf.graph import Graph, Node, Population
from snn_toolbox_tf.grid import ANALOG_HEADROOM, absolute_bounds
from snn_toolbox_tf.synapses.carriers import current_readers

#: The largest current, in thresholds, that layers which read spikes may give in one timestep.
LARGEST_CURRENT = 2.0**10
#: So often are bounds computed anew where a threshold was raised for all windows of its neuron.
_ROUNDS = 3


def raise_thresholds(graph: Graph, largest: dict[str, np.ndarray]) -> None:
    """Raises every theta that the largest possible current would exceed more than 2^10 times, to that part of the current.

    A channel that was just about positive in the calibration data, once, has a theta close to 0. What it can tell the next
    layer is as small; but it shares the grid of its layer, whose 24 bits hold the current of the channel that has most
    thresholds: all other channels would be left with few.

    Where several layers with weights follow each other without a population between them, what is possible is far from
    what happens. Those currents are bounded by the grid instead. Thresholds that were trained stay as they are, too.

    Args:
        graph: The graph with its source's weights and its thresholds, changed in place.
        largest: Largest absolute value of each node that depends on the input alone, broadcastable to its shape; those of
            other nodes are not used.
    """
    loose = _loosely_bounded(graph)

    def passed_on(node: Node, bound: np.ndarray) -> np.ndarray:
        if not isinstance(node, Population):
            return bound
        if node.inputs[0] not in loose and node.trained_threshold is None:
            # One value per threshold: per channel, or for all.
            shared = tuple(axis for axis, size in enumerate(np.shape(node.threshold)) if size == 1)
            theta = np.maximum(node.threshold, bound.max(axis=shared, keepdims=True) / LARGEST_CURRENT)
            node.threshold = (
                theta if node.max_value is None else np.minimum(theta, node.max_value / node.neuron.highest_rate)
            )
        return node.threshold

    spiking = graph.spiking_ancestry()
    analog = {name: ANALOG_HEADROOM * values for name, values in largest.items() if name not in spiking}
    absolute_bounds(graph, analog, passed_on)
    # What windows receive of each other has grown with their thresholds, unless these were the same before.
    for _ in range(_ROUNDS):
        if not _tie(graph):
            break
        absolute_bounds(graph, analog, passed_on)
    _tie(graph)


def _tie(graph: Graph) -> bool:
    """Gives all windows of the same neurons the largest of their thresholds; returns whether one has changed."""
    windows: dict[str, list[Population]] = {}
    for node in graph.of_type(Population):
        windows.setdefault(node.shared_name, []).append(node)
    changed = False
    for nodes in windows.values():
        theta = np.maximum.reduce([node.threshold for node in nodes])
        changed |= any(not np.array_equal(node.threshold, theta) for node in nodes)
        for node in nodes:
            node.threshold = theta
    return changed


def _loosely_bounded(graph: Graph) -> set[str]:
    """Returns the names of weighted layers that read currents, and of what carries their currents on."""
    loose = current_readers(graph)
    for node in graph:
        if not isinstance(node, Population) and any(name in loose for name in node.inputs):
            loose.add(node.name)
    return loose
