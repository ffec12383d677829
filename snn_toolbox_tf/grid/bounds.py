"""Bounds on what a node of a network can put out, whatever its populations do."""

from collections.abc import Callable, Mapping

import numpy as np

from snn_toolbox_tf.graph import Graph, InputNode, LayerNode, Node, Population
from snn_toolbox_tf.synapses import family_of

#: Real-valued currents may exceed the largest one seen in calibration by this factor before bits run short.
ANALOG_HEADROOM = 4.0


def absolute_bounds(
    graph: Graph,
    given: Mapping[str, np.ndarray | float],
    passed_on: Callable[[Node, np.ndarray], np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Returns the largest absolute value that each element, and each partial sum inside it, can take in one timestep.

    A synapse's bound is what its layer gives for its inputs' bounds with all weights made positive.

    Args:
        graph: The graph, with its weights.
        given: Bounds of nodes that are not to be derived from their inputs: what real-valued input reaches.
        passed_on: The largest value that a node passes on, for its bound; of a population for the bound of its current. If
            None, all of it; of a population its most spikes in a timestep.

    Returns:
        An array of the node's shape by node name.
    """
    bounds: dict[str, np.ndarray] = {}
    for node in graph:
        if node.name in given:
            bounds[node.name] = np.broadcast_to(given[node.name], node.shape)
        elif isinstance(node, Population) and passed_on is not None:
            bounds[node.name] = np.broadcast_to(passed_on(node, bounds[node.inputs[0]]), node.shape)
        elif isinstance(node, (Population, InputNode)):
            largest = node.neuron.burst if isinstance(node, Population) else 1
            bounds[node.name] = np.full(node.shape, float(largest))
        elif isinstance(node, LayerNode):
            bound = family_of(node).largest_magnitude(node, [bounds[name] for name in node.inputs])
            bounds[node.name] = bound if passed_on is None else passed_on(node, bound)
    return bounds
