"""Puts the normalised graph on dyadic grids, on which float32 sums are exact in any order.

A float32 sum of multiples of 2^-q is exact as long as no partial sum exceeds 2^(24 - q). So every current gets a number of
fractional bits q that its bound allows, shared by all that is summed into it:

- a weighted layer that reads spikes (q = 0) has its weights rounded to 2^-q;
- where a layer reads a current that has fractional bits already (a pointwise after a depthwise convolution, a Scale behind
  a convolution), or divides by what is no power of two (3x3 averages), 24 bits do not suffice: it runs in float64, where
  its sums are exact too, and a RoundToGrid node ends the chain (a readout is summed in float64 anyway and needs none);
- whatever depends on real-valued input alone runs in float64 and is rounded to the grid on its way to the first
  population. Its float64 sums do depend on their order, in the last of 53 bits; rounding to about 20 bits hides that.
"""

import math

import numpy as np

from snn_toolbox_tf import kernels
from snn_toolbox_tf.graph import Graph, LayerSpec, MaxPool, Node, Population, Readout, Synapse
from snn_toolbox_tf.passes import scales
from snn_toolbox_tf.passes.bounds import absolute_bounds
from snn_toolbox_tf.passes.scales import Scale
from snn_toolbox_tf.vocabulary import Role

FLOAT32_BITS = 24
#: Weights with fewer fractional bits than this would be too coarse; the layer goes to float64 instead.
MINIMAL_WEIGHT_BITS = 12
FLOAT64_BITS = 53
_SMALLEST_BOUND = 2.0**-60
#: Room for the sum over time of a readout that is not rounded: up to 2^16 timesteps.
_TIME_BITS = 16
#: Real-valued currents may exceed the largest one seen in calibration by this factor before bits run short.
_ANALOG_HEADROOM = 4.0


def analog_bounds(graph: Graph, largest: dict[str, np.ndarray], scale: dict[str, Scale]) -> dict[str, float]:
    """Returns the largest absolute value, in normalised units, of each node that depends on the input alone.

    Args:
        graph: The normalised graph.
        largest: Largest absolute value per channel of the balanced graph's nodes, seen in calibration.
        scale: The scale of the balanced graph's nodes, from `normalize`.

    Returns:
        One bound per node; nodes that `normalize` inserted are bounded through their input.
    """
    bounds: dict[str, float] = {}
    spiking = graph.spiking_ancestry()
    for node in graph:
        if node.name in spiking:
            continue
        if node.name in largest:
            bounds[node.name] = float(np.max(largest[node.name] / scale[node.name]))
            continue
        bounds[node.name] = bounds[node.inputs[0]]
        if isinstance(node, Synapse) and node.layer.class_name == "Scale":
            bounds[node.name] *= float(np.abs(node.layer.weights["factor"]).max())
    return bounds


def quantize(graph: Graph, largest_analog: dict[str, float]) -> None:
    """Rewrites a normalised graph, in place, on dyadic grids.

    Args:
        graph: The normalised graph.
        largest_analog: Largest absolute value of each node that depends on the input alone, see `analog_bounds`.
    """
    boundaries = _round_analog(graph, largest_analog)
    bounds = absolute_bounds(graph, boundaries)
    limits = _bit_limits(graph, bounds)
    for name in boundaries:
        _set_bits(graph, name, limits[name])
    _assign_bits(graph, limits, bounds, decide=True)


def requantize(graph: Graph, largest_inputs: dict[str, float]) -> None:
    """Puts a graph that `quantize` rewrote and whose weights have changed since on grids anew, in place.

    Fractional bits follow the new weights; which nodes run in float64, and where rounding nodes stand, stays as it is.

    Args:
        graph: The quantised graph, with its new weights.
        largest_inputs: Largest absolute value of each input; that of what depends on the input alone follows.
    """
    spiking = graph.spiking_ancestry()
    bounds = absolute_bounds(graph, {name: _ANALOG_HEADROOM * value for name, value in largest_inputs.items()})
    limits = _bit_limits(graph, bounds)
    for node in graph:
        if scales.node_role(node) is Role.ROUND and node.name not in spiking:
            _set_bits(graph, node.name, limits[node.name])
    _assign_bits(graph, limits, bounds, decide=False)


def reproducibility_exceptions(graph: Graph) -> list[str]:
    """Returns what cannot be promised to be bit-equal, in words; empty for most networks.

    Real-valued input that joins spikes (a skip connection from the input) and is then summed once more before any
    population is exact only while it stays within the calibration data's range times 4.
    """
    spiking = graph.spiking_ancestry()
    tainted: set[str] = set()
    exceptions = []
    for node in graph:
        if node.name not in spiking or isinstance(node, Population):
            continue
        analog = [name for name in node.inputs if name not in spiking or name in tainted]
        if not analog:
            continue
        tainted.add(node.name)
        elementwise = isinstance(node, Synapse) and node.layer.class_name == "Scale"
        if scales.node_role(node) in (Role.WEIGHTED, Role.CHANNELWISE) and not elementwise:
            exceptions.append(
                f"'{node.name}' sums real-valued input ({', '.join(analog)}) together with spikes: exact only while "
                f"the input stays within {_ANALOG_HEADROOM:g} times the range of the calibration data."
            )
    return exceptions


def _round_analog(graph: Graph, largest: dict[str, float]) -> dict[str, float]:
    """Marks the float64 part and ends it in RoundToGrid nodes; returns the bounds of these, by name."""
    spiking = graph.spiking_ancestry()
    analog = [node for node in graph if node.name not in spiking]
    bounds = {}
    for node in analog:
        node.dtype = "float64"
        edges: list[tuple[Node | Readout, int]] = [
            (reader, slot)
            for reader in graph.consumers(node.name)
            if reader.name in spiking
            for slot, name in enumerate(reader.inputs)
            if name == node.name
        ]
        edges += [(readout, 0) for readout in graph.readouts if readout.node == node.name]
        for reader, slot in edges:
            end = _round_node(graph, node, bits=0)
            graph.insert_on_edge(end, reader, slot)
            bounds[end.name] = largest[node.name] * _ANALOG_HEADROOM
    return bounds


def _set_bits(graph: Graph, name: str, bits: int) -> None:
    node = graph[name]
    if isinstance(node, Synapse):
        node.layer.config["bits"] = bits


def _bit_limits(graph: Graph, bounds: dict[str, float]) -> dict[str, int]:
    """Backwards: the largest number of fractional bits that each node's output may have."""
    limits: dict[str, int] = {}
    for node in reversed(list(graph)):
        limit = _capacity(bounds[node.name])
        for reader in graph.consumers(node.name):
            role = scales.node_role(reader)
            if isinstance(reader, Population):
                # Its threshold is 1: a grid finer than float32's at 1 would serve nothing.
                limit = min(limit, FLOAT32_BITS)
            elif isinstance(reader, MaxPool) or role in (Role.SUM, Role.CONCATENATE, Role.REARRANGING):
                limit = min(limit, limits[reader.name])
            elif role is Role.CHANNELWISE:
                limit = min(limit, _capacity(bounds[node.name] * _summed_weight(graph, reader)))
                added = _added_bits(graph, reader)
                if added is not None:
                    limit = min(limit, limits[reader.name] - added)
        limits[node.name] = limit
    return limits


def _capacity(bound: float, significant_bits: int = FLOAT32_BITS) -> int:
    # 1 % covers the rounding of weights; what is always zero may have any number of bits.
    return significant_bits - math.ceil(math.log2(max(bound * 1.01, _SMALLEST_BOUND)))


def _assign_bits(graph: Graph, limits: dict[str, int], bounds: dict[str, float], *, decide: bool) -> None:
    """Forwards: rounds weights, and (`decide`) ends chains that exceed float32 in RoundToGrid nodes."""
    spiking = graph.spiking_ancestry()
    bits: dict[str, int] = {}

    def bits_of(name: str) -> int:
        node = graph[name]
        if isinstance(node, Synapse) and node.layer.class_name == "RoundToGrid":
            return int(node.layer.config["bits"])
        return bits[name]

    for node in graph:
        if isinstance(node, Population):
            bits[node.name] = 0
        elif node.name in spiking and scales.node_role(node) is Role.ROUND:
            _set_bits(graph, node.name, limits[node.name])
        elif node.name in spiking:
            bits[node.name] = _assign_node_bits(
                graph, node, max(map(bits_of, node.inputs)), limits[node.name], bounds[node.name], decide=decide
            )


def _assign_node_bits(graph: Graph, node: Node, bits: int, limit: int, bound: float, *, decide: bool) -> int:
    role = scales.node_role(node)
    if role is Role.WEIGHTED and isinstance(node, Synapse):
        if (limit - bits >= MINIMAL_WEIGHT_BITS) if decide else (node.dtype == "float32"):
            _round_weights(node.layer, limit - bits, limit)
            return limit
        room = _capacity(bound, FLOAT64_BITS) - bits
        is_readout = not graph.consumers(node.name) and room - _TIME_BITS >= MINIMAL_WEIGHT_BITS
        # Weights need no more significant bits than float32 has.
        largest = max(float(np.abs(node.layer.weights[kernels.kernel_name(node.layer)]).max()), _SMALLEST_BOUND)
        kernel_bits = min(room - _TIME_BITS if is_readout else room, _capacity(largest))
        _round_weights(node.layer, kernel_bits, kernel_bits + bits)
        if is_readout:
            node.dtype = "float64"
            return kernel_bits + bits
    elif role is not Role.CHANNELWISE:
        return bits
    else:
        added = _added_bits(graph, node)
        if added is not None and bits + added <= limit:
            return bits + added
        _round_matrices(node, (_capacity(bound * _summed_weight(graph, node), FLOAT64_BITS) - bits) // 2)
    if decide:
        _end_in_float64(graph, node, limit)
    return limit


def _end_in_float64(graph: Graph, node: Node, bits: int) -> None:
    node.dtype = "float64"
    graph.insert_behind(_round_node(graph, node, bits))


def _round_node(graph: Graph, node: Node, bits: int) -> Synapse:
    layer = LayerSpec("RoundToGrid", {"bits": bits})
    return Synapse(graph.unique_name(f"{node.name}_grid"), [node.name], node.shape, node.channel_axis, layer=layer)


def _round_weights(layer: LayerSpec, kernel_bits: int, bias_bits: int) -> None:
    bits = {kernels.kernel_name(layer): kernel_bits, kernels.bias_name(layer): bias_bits}
    for name, array in layer.weights.items():
        layer.weights[name] = np.round(array * 2.0 ** bits[name]) / 2.0 ** bits[name]
        layer.fractional_bits[name] = bits[name]


def _summed_weight(graph: Graph, node: Node) -> float:
    """How much larger than the largest input a sum inside a weightless layer can be, before any division."""
    if not isinstance(node, Synapse):
        return 1.0
    name, source = node.layer.class_name, graph[node.inputs[0]]
    if name.startswith("GlobalAveragePooling"):
        return float(np.prod(source.shape[:-1]))
    if name.startswith("AveragePooling"):
        return float(np.prod(node.layer.config["pool_size"]))
    return float(np.prod([np.abs(matrix).sum(axis=1).max() for matrix in _matrices(node)]))


def _added_bits(graph: Graph, node: Node) -> int | None:
    """How many fractional bits a weightless layer adds; None if its output does not stay on a dyadic grid."""
    matrices = _matrices(node)
    if matrices:
        bits = [_bits_of(matrix) for matrix in matrices]
        return None if max(bits) > MINIMAL_WEIGHT_BITS else sum(bits)
    area = int(_summed_weight(graph, node))
    ragged = isinstance(node, Synapse) and area > 1 and node.layer.config.get("padding") == "same"
    return None if ragged or area & (area - 1) else int(math.log2(area))


def _matrices(node: Node) -> list[np.ndarray]:
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


def _round_matrices(node: Node, bits: int) -> None:
    """Puts a `Resample` on a grid on which its float64 sums are exact."""
    if isinstance(node, Synapse) and node.layer.class_name == "Resample":
        bits = min(bits, FLOAT32_BITS)
        node.layer.weights = {
            name: np.round(matrix * 2.0**bits) / 2.0**bits for name, matrix in node.layer.weights.items()
        }
