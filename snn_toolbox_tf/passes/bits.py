"""How many fractional bits the output of each node may have, channel by channel."""

import dataclasses
import math

import numpy as np

from snn_toolbox_tf.graph import Graph, MaxPool, Node, Population, Synapse
from snn_toolbox_tf.passes import scales
from snn_toolbox_tf.passes.bounds import absolute_bounds
from snn_toolbox_tf.vocabulary import Role

FLOAT32_BITS = 24
FLOAT64_BITS = 53
#: Weights with fewer fractional bits than this would be too coarse; the layer goes to float64 instead.
MINIMAL_WEIGHT_BITS = 12
_SMALLEST_BOUND = 2.0**-60

#: One number per element of a node's last axis, or one for all.
PerChannel = np.ndarray


@dataclasses.dataclass(frozen=True)
class LargestValues:
    """Bounds per element of the last axis, by node name.

    Attributes:
        inside: Of the sums inside a node.
        outside: Of what it passes on; less where it is clipped.
    """

    inside: dict[str, PerChannel]
    outside: dict[str, PerChannel]


def largest_values(graph: Graph, given: dict[str, float], clips: dict[str, float]) -> LargestValues:
    """Returns `absolute_bounds` per element of the last axis; nodes in `clips` pass on no more than is said there."""
    inside: dict[str, np.ndarray] = {}

    def passed_on(node: Node, bound: np.ndarray) -> np.ndarray:
        if isinstance(node, Population):
            return np.ones(node.shape)
        inside[node.name] = bound
        return np.minimum(bound, clips[node.name]) if node.name in clips else bound

    outside = absolute_bounds(graph, given, passed_on)
    return LargestValues(_per_channel({**outside, **inside}), _per_channel(outside))


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
    role = scales.node_role(reader)
    if isinstance(reader, Population):
        # Its threshold is 1: a grid finer than float32's at 1 would serve nothing.
        return np.array([FLOAT32_BITS])
    if isinstance(reader, MaxPool) or role is Role.SUM:
        return limits[reader.name]
    if isinstance(reader, Synapse) and role is Role.CONCATENATE:
        return _limit_of_part(graph, node, reader, limits[reader.name])
    if role is Role.REARRANGING:
        return limits[reader.name].min(keepdims=True)
    if role is Role.CHANNELWISE:
        summed = capacity(bounds[node.name] * summed_weight(graph, reader))
        added = added_bits(graph, reader)
        return summed if added is None else np.minimum(summed, limits[reader.name] - added)
    return np.array([FLOAT64_BITS])


def _limit_of_part(graph: Graph, node: Node, reader: Synapse, limit: PerChannel) -> PerChannel:
    """What a concatenation leaves to one of its inputs."""
    if scales.concatenation_axis(reader) != len(reader.shape) - 1 or limit.size == 1:
        return limit
    result, start = np.array([FLOAT64_BITS]), 0
    for name in reader.inputs:
        stop = start + graph[name].shape[-1]
        if name == node.name:
            result = np.minimum(result, limit[start:stop])
        start = stop
    return result


def summed_weight(graph: Graph, node: Node) -> float:
    """How much larger than the largest input a sum inside a weightless layer can be, before any division."""
    if not isinstance(node, Synapse):
        return 1.0
    name, source = node.layer.class_name, graph[node.inputs[0]]
    if name.startswith("GlobalAveragePooling"):
        return float(np.prod(source.shape[:-1]))
    if name.startswith("AveragePooling"):
        return float(np.prod(node.layer.config["pool_size"]))
    return float(np.prod([np.abs(matrix).sum(axis=1).max() for matrix in matrices_of(node)]))


def added_bits(graph: Graph, node: Node) -> int | None:
    """How many fractional bits a weightless layer adds; None if its output does not stay on a dyadic grid."""
    matrices = matrices_of(node)
    if matrices:
        bits = [_bits_of(matrix) for matrix in matrices]
        return None if max(bits) > MINIMAL_WEIGHT_BITS else sum(bits)
    area = int(summed_weight(graph, node))
    ragged = isinstance(node, Synapse) and area > 1 and node.layer.config.get("padding") == "same"
    return None if ragged or area & (area - 1) else int(math.log2(area))


def matrices_of(node: Node) -> list[np.ndarray]:
    """The matrices of a `Resample`."""
    if not isinstance(node, Synapse) or node.layer.class_name != "Resample":
        return []
    return list(node.layer.weights.values())


def _bits_of(matrix: np.ndarray) -> int:
    """The fewest fractional bits that hold a matrix, or more than are of use."""
    for bits in range(MINIMAL_WEIGHT_BITS + 1):
        scaled = matrix * 2.0**bits
        if np.array_equal(scaled, np.round(scaled)):
            return bits
    return MINIMAL_WEIGHT_BITS + 1
