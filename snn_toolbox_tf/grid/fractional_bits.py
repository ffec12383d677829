"""How many fractional bits the output of each node may have, channel by channel."""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import Graph, LayerNode, Node, Population
from snn_toolbox_tf.grid.bounds import absolute_bounds
from snn_toolbox_tf.synapses import family_of, sources_of
from snn_toolbox_tf.synapses.family import PerChannel

FLOAT32_BITS = 24
FLOAT64_BITS = 53
#: Weights with fewer fractional bits than this would be too coarse; the layer goes to float64 instead.
MINIMAL_WEIGHT_BITS = 12
_SMALLEST_BOUND = 2.0**-60


@dataclasses.dataclass(frozen=True)
class LargestValues:
    """Bounds per element of the last axis, by node name.

    Attributes:
        inside: Of the sums inside a node.
        outside: Of what it passes on; less where less is to be expected.
    """

    inside: dict[str, PerChannel]
    outside: dict[str, PerChannel]


def largest_values(graph: Graph, given: dict[str, float], expected: dict[str, float]) -> LargestValues:
    """Returns `absolute_bounds` per element of the last axis.

    Args:
        graph: The graph, with its weights.
        given: Bounds of nodes that are not to be derived from their inputs.
        expected: The largest values to be expected of some nodes, where what is possible is far larger.
    """
    inside: dict[str, np.ndarray] = {}

    def passed_on(node: Node, bound: np.ndarray) -> np.ndarray:
        if isinstance(node, Population):
            return np.ones(node.shape)
        inside[node.name] = bound
        return np.minimum(bound, expected[node.name]) if node.name in expected else bound

    outside = absolute_bounds(graph, given, passed_on)
    return LargestValues(
        _of_all_windows(graph, _per_channel({**outside, **inside})), _of_all_windows(graph, _per_channel(outside))
    )


def _of_all_windows(graph: Graph, bounds: dict[str, PerChannel]) -> dict[str, PerChannel]:
    """Gives all windows of the same neurons or synapses the largest of their bounds: they share a grid."""
    largest: dict[str, PerChannel] = {}
    for node in graph:
        largest[node.shared_name] = np.maximum(bounds[node.name], largest.get(node.shared_name, 0.0))
    return {node.name: largest[node.shared_name] for node in graph}


def _per_channel(bounds: dict[str, np.ndarray]) -> dict[str, PerChannel]:
    return {name: array.reshape(-1, array.shape[-1] if array.ndim else 1).max(axis=0) for name, array in bounds.items()}


def capacity(bound: PerChannel, significant_bits: int = FLOAT32_BITS) -> PerChannel:
    """Returns the fractional bits that a number of this size leaves."""
    # 1 % covers the rounding of weights; what is always zero may have any number of bits.
    return significant_bits - np.ceil(np.log2(np.maximum(bound * 1.01, _SMALLEST_BOUND))).astype(np.int64)


def bit_limits(graph: Graph, bounds: dict[str, PerChannel]) -> dict[str, PerChannel]:
    """Backwards: the largest number of fractional bits that each node's output may have."""
    limits: dict[str, PerChannel] = {}
    for node in reversed(list(graph)):
        limit = capacity(bounds[node.name])
        for reader in graph.consumers(node.name):
            limit = np.minimum(limit, _limit_of_reader(graph, node, reader, bounds, limits))
        limits[node.name] = limit
    return limits


def _limit_of_reader(
    graph: Graph, node: Node, reader: Node, bounds: dict[str, PerChannel], limits: dict[str, PerChannel]
) -> PerChannel:
    if isinstance(reader, Population):
        # Its threshold is 1: a grid finer than float32's at 1 would serve nothing.
        return np.array([FLOAT32_BITS])
    if not isinstance(reader, LayerNode):
        raise TypeError(f"Node '{reader.name}' ({type(reader).__name__}) has no place in a spiking graph.")
    family, sources = family_of(reader), sources_of(graph, reader)
    limit = np.array([FLOAT64_BITS])
    for index, name in enumerate(reader.inputs):
        if name != node.name:
            continue
        if not family.weighted:
            limit = np.minimum(limit, capacity(bounds[name] * family.summed_weight(reader, sources[index])))
        asked = family.limit_of_input(reader, sources, index, limits[reader.name])
        limit = limit if asked is None else np.minimum(limit, asked)
    return limit
