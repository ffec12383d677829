"""Puts the normalised graph on dyadic grids, on which float32 sums are exact in any order.

A float32 sum of multiples of 2^-q is exact as long as no partial sum exceeds 2^(24 - q). So every current gets a number of
fractional bits q that its bound allows, shared by all that is summed into it, for each channel its own:

- a weighted layer that reads spikes (q = 0) has its weights rounded to 2^-q;
- where a layer reads a current that has fractional bits already (a pointwise after a depthwise convolution, a Scale behind
  a convolution), or divides by what is no power of two (3x3 averages), 24 bits do not suffice: it runs in float64, where
  its sums are exact too, and a RoundToGrid node ends the chain (a readout is summed in float64 anyway and needs none). Far
  beyond what calibration has seen that node clips, so that its grid can be fine;
- whatever depends on real-valued input alone runs in float64 and is rounded to the grid on its way to the first
  population. Its float64 sums do depend on their order, in the last of 53 bits; rounding to about 20 bits hides that.
"""

import dataclasses

import numpy as np

from snn_toolbox_tf import kernels
from snn_toolbox_tf.graph import Graph, LayerSpec, MaxPool, Node, Population, Readout, Synapse
from snn_toolbox_tf.passes import scales
from snn_toolbox_tf.passes.bits import (
    FLOAT32_BITS,
    FLOAT64_BITS,
    MINIMAL_WEIGHT_BITS,
    PerChannel,
    added_bits,
    bit_limits,
    capacity,
    largest_values,
    summed_weight,
)
from snn_toolbox_tf.passes.bounds import ANALOG_HEADROOM
from snn_toolbox_tf.passes.scales import Scale
from snn_toolbox_tf.vocabulary import Role

#: Currents of one timestep may exceed the largest activation seen in calibration by this factor: spikes come unevenly.
CURRENT_HEADROOM = 64.0
#: Room for the sum over time of a readout that is not rounded: up to 2^16 timesteps.
_TIME_BITS = 16


@dataclasses.dataclass(frozen=True)
class Observed:
    """The largest absolute values that calibration has seen of a normalised graph's nodes, by name.

    Attributes:
        analog: Of nodes that depend on the input alone.
        currents: Of other nodes.
    """

    analog: dict[str, float]
    currents: dict[str, float]


def observed(graph: Graph, largest: dict[str, np.ndarray], scale: dict[str, Scale]) -> Observed:
    """Returns what calibration has seen, in normalised units.

    Args:
        graph: The normalised graph.
        largest: Largest absolute value per channel of the balanced graph's nodes, seen in calibration.
        scale: The scale of the balanced graph's nodes, from `normalize`.

    Returns:
        One number per node; nodes that `normalize` inserted have theirs through their input.
    """
    values: dict[str, float] = {}
    for node in graph:
        if isinstance(node, Population):
            values[node.name] = 1.0
        elif node.name in largest:
            values[node.name] = float(np.max(largest[node.name] / scale[node.name]))
        else:
            values[node.name] = values[node.inputs[0]]
            if isinstance(node, Synapse) and node.layer.class_name == "Scale":
                values[node.name] *= float(np.abs(node.layer.weights["factor"]).max())
    spiking = graph.spiking_ancestry()
    analog = {name: value for name, value in values.items() if name not in spiking}
    return Observed(analog, {name: value for name, value in values.items() if name in spiking})


def quantize(graph: Graph, seen: Observed, *, clip: bool = True) -> None:
    """Rewrites a normalised graph, in place, on dyadic grids.

    Args:
        graph: The normalised graph.
        seen: What calibration has seen.
        clip: Whether currents far beyond what calibration has seen may be clipped, see `_clips`.
    """
    boundaries = _round_analog(graph, seen.analog)
    clips = _clips(graph, seen.currents) if clip else {}
    bounds = largest_values(graph, boundaries, clips)
    clips = {name: limit for name, limit in clips.items() if bounds.inside[name].max() > limit}
    limits = bit_limits(graph, bounds.outside)
    for name in boundaries:
        _set_bits(graph, name, limits[name])
    _assign_bits(graph, limits, bounds.inside, clips, decide=True)


def _clips(graph: Graph, currents: dict[str, float]) -> dict[str, float]:
    """Returns where the current of weighted layers that read currents is clipped: far beyond what calibration has seen.

    Bounds multiply from layer to layer where no population stands between: what is possible then is far from what
    happens, and a grid for it would be too coarse for what does.
    """
    return {name: CURRENT_HEADROOM * currents[name] for name in scales.current_readers(graph) if currents[name] > 0}


def requantize(graph: Graph, largest_inputs: dict[str, float]) -> None:
    """Puts a graph that `quantize` rewrote and whose weights have changed since on grids anew, in place.

    Fractional bits follow the new weights; which nodes run in float64, and where rounding nodes stand, stays as it is.

    Args:
        graph: The quantised graph, with its new weights.
        largest_inputs: Largest absolute value of each input; that of what depends on the input alone follows.
    """
    spiking = graph.spiking_ancestry()
    # Nodes that are clipped have their limit in the rounding node behind them by now.
    bounds = largest_values(graph, {name: ANALOG_HEADROOM * value for name, value in largest_inputs.items()}, {})
    limits = bit_limits(graph, bounds.outside)
    for node in graph:
        if scales.node_role(node) is Role.ROUND and node.name not in spiking:
            _set_bits(graph, node.name, limits[node.name])
    _assign_bits(graph, limits, bounds.inside, {}, decide=False)


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
                f"the input stays within {ANALOG_HEADROOM:g} times the range of the calibration data."
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
            bounds[end.name] = largest[node.name] * ANALOG_HEADROOM
    return bounds


def _set_bits(graph: Graph, name: str, bits: PerChannel) -> None:
    node = graph[name]
    if isinstance(node, Synapse):
        node.layer.config["bits"] = int(bits.min())


def _assign_bits(
    graph: Graph, limits: dict[str, PerChannel], bounds: dict[str, PerChannel], clips: dict[str, float], *, decide: bool
) -> None:
    """Forwards: rounds weights, and (`decide`) ends chains that exceed float32 in RoundToGrid nodes."""
    spiking = graph.spiking_ancestry()
    bits: dict[str, PerChannel] = {}

    def bits_of(name: str) -> PerChannel:
        node = graph[name]
        if isinstance(node, Synapse) and node.layer.class_name == "RoundToGrid":
            return np.array([int(node.layer.config["bits"])])
        return bits[name]

    for node in graph:
        if isinstance(node, Population):
            bits[node.name] = np.zeros(1, np.int64)
        elif node.name in spiking and scales.node_role(node) is Role.ROUND:
            _set_bits(graph, node.name, limits[node.name])
        elif node.name in spiking:
            inputs = [bits_of(name) for name in node.inputs]
            limit, bound, clip = limits[node.name], bounds[node.name], clips.get(node.name)
            bits[node.name] = _assign_node_bits(graph, node, inputs, limit, bound, clip=clip, decide=decide)


def _assign_node_bits(
    graph: Graph,
    node: Node,
    inputs: list[PerChannel],
    limit: PerChannel,
    bound: PerChannel,
    *,
    clip: float | None,
    decide: bool,
) -> PerChannel:
    role, most = scales.node_role(node), np.array([max(int(bits.max()) for bits in inputs)])
    if role is Role.WEIGHTED and isinstance(node, Synapse):
        own = _own_limit(node, limit)
        if (own.min() - most >= MINIMAL_WEIGHT_BITS and clip is None) if decide else (node.dtype == "float32"):
            _round_weights(node.layer, own - most, own)
            return own
        room = capacity(bound.max(keepdims=True), FLOAT64_BITS) - most
        is_readout = not graph.consumers(node.name) and room - _TIME_BITS >= MINIMAL_WEIGHT_BITS
        # Weights need no more significant bits than float32 has.
        largest = np.abs(node.layer.weights[kernels.kernel_name(node.layer)]).max(keepdims=True).reshape(1)
        kernel_bits = np.minimum(room - _TIME_BITS if is_readout else room, capacity(largest))
        _round_weights(node.layer, kernel_bits, kernel_bits + most)
        if is_readout:
            node.dtype = "float64"
            return kernel_bits + most
    elif role is Role.CHANNELWISE and isinstance(node, Synapse):
        added = added_bits(graph, node)
        if added is not None and (inputs[0] + added <= limit).all():
            return inputs[0] + added
        room = capacity(bound * summed_weight(graph, node), FLOAT64_BITS).min() - int(most.max())
        _round_matrices(node, room // 2)
    elif role is Role.SUM:
        return np.max(np.broadcast_arrays(*inputs), axis=0)
    else:
        return inputs[0] if isinstance(node, MaxPool) else most
    if decide:
        _end_in_float64(graph, node, limit, clip=clip)
    return limit.min(keepdims=True)


def _own_limit(node: Synapse, limit: PerChannel) -> PerChannel:
    """The limit per output channel of a weighted layer; one for all where its channels are not on the last axis."""
    per_channel = scales.weight_axis(node) == len(node.shape) - 1
    if node.layer.class_name == "Scale":
        per_channel = per_channel and node.layer.config["channels"] == limit.size
    return limit if per_channel else limit.min(keepdims=True)


def _end_in_float64(graph: Graph, node: Node, bits: PerChannel, *, clip: float | None) -> None:
    node.dtype = "float64"
    graph.insert_behind(_round_node(graph, node, int(bits.min()), clip))


def _round_node(graph: Graph, node: Node, bits: int, largest: float | None = None) -> Synapse:
    layer = LayerSpec("RoundToGrid", {"bits": bits, "largest": largest})
    return Synapse(graph.unique_name(f"{node.name}_grid"), [node.name], node.shape, node.channel_axis, layer=layer)


def _round_weights(layer: LayerSpec, kernel_bits: PerChannel, bias_bits: PerChannel) -> None:
    bits = {kernels.kernel_name(layer): kernel_bits, kernels.bias_name(layer): bias_bits}
    for name, array in layer.weights.items():
        of_weight = kernels.along_outputs(layer, name, bits[name])
        layer.weights[name] = np.round(array * 2.0**of_weight) / 2.0**of_weight
        layer.fractional_bits[name] = of_weight


def _round_matrices(node: Synapse, bits: int) -> None:
    """Puts a `Resample` on a grid on which its float64 sums are exact."""
    if node.layer.class_name == "Resample":
        unit = 2.0 ** min(bits, FLOAT32_BITS)
        node.layer.weights = {name: np.round(matrix * unit) / unit for name, matrix in node.layer.weights.items()}
