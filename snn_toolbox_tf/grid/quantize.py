"""Puts the normalised graph on dyadic grids, on which float32 sums are exact in any order.

A float32 sum of multiples of 2^-q is exact as long as no partial sum exceeds 2^(24 - q). So every current gets a number of
fractional bits q that its bound allows, shared by all that is summed into it, for each channel its own:

- a weighted layer that reads spikes (q = 0) has its weights rounded to 2^-q;
- where a layer reads a current that has fractional bits already (a pointwise after a depthwise convolution, a Scale behind
  a convolution), or divides by what is no power of two (3x3 averages), 24 bits do not suffice: it runs in float64, where
  its sums are exact too, and a RoundToGrid node ends the chain (a readout is summed in float64 anyway and needs none);
- whatever depends on real-valued input alone runs in float64 and is rounded to the grid on its way to the first
  population. Its float64 sums do depend on their order, in the last of 53 bits; rounding to about 20 bits hides that.
"""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import Graph, LayerNode, LayerSpec, Node, Population, Readout, Synapse
from snn_toolbox_tf.grid.bounds import ANALOG_HEADROOM
from snn_toolbox_tf.grid.fractional_bits import (
    FLOAT64_BITS,
    MINIMAL_WEIGHT_BITS,
    bit_limits,
    capacity,
    largest_values,
)
from snn_toolbox_tf.synapses import Scale, family_of, is_rounding, is_scale, is_weighted, sources_of, weighted_family
from snn_toolbox_tf.synapses.carriers import current_readers
from snn_toolbox_tf.synapses.family import PerChannel

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
        largest: Largest absolute value per channel of the unnormalised graph's nodes, seen in calibration.
        scale: The scale of the unnormalised graph's nodes, from `normalize`.

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
            if is_scale(node):
                values[node.name] *= float(np.abs(node.layer.weights["factor"]).max())
    spiking = graph.spiking_ancestry()
    analog = {name: value for name, value in values.items() if name not in spiking}
    return Observed(analog, {name: value for name, value in values.items() if name in spiking})


def quantize(graph: Graph, seen: Observed) -> None:
    """Rewrites a normalised graph, in place, on dyadic grids.

    Bounds multiply from layer to layer where no population stands between: what is possible then is far from what happens,
    and a grid for it would be too coarse for what does. There the grid is made for currents up to `CURRENT_HEADROOM` times
    those that calibration has seen. A larger one is rounded like any float32, to 24 significant bits.

    Args:
        graph: The normalised graph.
        seen: What calibration has seen.
    """
    boundaries = _round_analog(graph, seen.analog)
    expected = {
        name: CURRENT_HEADROOM * seen.currents[name]
        for name in current_readers(graph)
        if seen.currents.get(name, 0) > 0
    }
    bounds = largest_values(graph, boundaries, expected)
    for node in graph.of_type(Synapse):
        if node.name in expected and bounds.inside[node.name].max() > expected[node.name]:
            node.expected = expected[node.name]
    limits = bit_limits(graph, bounds.outside)
    for name in boundaries:
        _set_bits(graph, name, limits[name])
    _assign_bits(graph, limits, bounds.inside, decide=True)


def requantize(graph: Graph, largest_inputs: dict[str, float]) -> None:
    """Puts a graph that `quantize` rewrote and whose weights have changed since on grids anew, in place.

    Fractional bits follow the new weights; which nodes run in float64, and where rounding nodes stand, stays as it is.

    Args:
        graph: The quantised graph, with all its new weights.
        largest_inputs: Largest absolute value of each input; that of what depends on the input alone follows.
    """
    spiking = graph.spiking_ancestry()
    expected = {node.name: node.expected for node in graph.of_type(Synapse) if node.expected is not None}
    bounds = largest_values(graph, {name: ANALOG_HEADROOM * value for name, value in largest_inputs.items()}, expected)
    limits = bit_limits(graph, bounds.outside)
    for node in graph:
        if is_rounding(node) and node.name not in spiking:
            _set_bits(graph, node.name, limits[node.name])
    _assign_bits(graph, limits, bounds.inside, decide=False)


def reproducibility_exceptions(graph: Graph) -> list[str]:
    """Returns what cannot be promised to be bit-equal, in words; empty for most networks.

    Real-valued input that joins spikes (a skip connection from the input) and is then summed once more before any
    population is exact only while it stays within the calibration data's range times 4; and what sums currents for which
    the grid was not made (`Synapse.expected`), while they stay within 64 times those that calibration has seen.
    """
    spiking = graph.spiking_ancestry()
    analog: set[str] = {node.name for node in graph if node.name not in spiking}
    unexpected: set[str] = set()
    exceptions = []
    for node in graph:
        if node.name not in spiking or isinstance(node, Population):
            continue
        sums = isinstance(node, Synapse) and family_of(node).sums
        real_valued = [name for name in node.inputs if name in analog]
        if real_valued:
            analog.add(node.name)
        if real_valued and sums:
            exceptions.append(
                f"'{node.name}' sums real-valued input ({', '.join(real_valued)}) together with spikes: exact only while "
                f"the input stays within {ANALOG_HEADROOM:g} times the range of the calibration data."
            )
        large = [name for name in node.inputs if name in unexpected]
        if large and sums:
            exceptions.append(
                f"'{node.name}' sums currents ({', '.join(large)}) that no population bounds: exact only while they stay "
                f"within {CURRENT_HEADROOM:g} times the largest that the calibration data has caused."
            )
        if large or (isinstance(node, Synapse) and node.expected is not None):
            unexpected.add(node.name)
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


def _assign_bits(graph: Graph, limits: dict[str, PerChannel], bounds: dict[str, PerChannel], *, decide: bool) -> None:
    """Forwards: rounds weights, and (`decide`) ends chains that exceed float32 in RoundToGrid nodes.

    Args:
        graph: The graph; changed.
        limits: The most fractional bits of each node's output.
        bounds: The largest sums inside each node.
        decide: Whether nodes may go to float64.
    """
    spiking = graph.spiking_ancestry()
    real_valued = _real_valued(graph, spiking)
    bits: dict[str, PerChannel] = {}

    def bits_of(name: str) -> PerChannel:
        node = graph[name]
        return (
            np.array([int(node.layer.config["bits"])])
            if isinstance(node, Synapse) and is_rounding(node)
            else bits[name]
        )

    for node in graph:
        if isinstance(node, Population):
            bits[node.name] = np.zeros(1, np.int64)
        elif node.name in spiking and is_rounding(node):
            _set_bits(graph, node.name, limits[node.name])
        elif node.name in spiking and node.name not in real_valued:
            inputs = [bits_of(name) for name in node.inputs]
            limit, bound = limits[node.name], bounds[node.name]
            if is_weighted(node):
                bits[node.name] = _assign_weighted(graph, node, inputs, limit, bound, decide=decide)
            elif isinstance(node, LayerNode):
                bits[node.name] = _assign_unweighted(graph, node, inputs, limit, bound, decide=decide)


def _real_valued(graph: Graph, spiking: set[str]) -> set[str]:
    """Returns the names of nodes that no grid holds: what input reaches, alone or together with a bias neuron's spikes."""
    names: set[str] = set()
    for node in graph:
        ends = isinstance(node, Population) or (isinstance(node, Synapse) and is_rounding(node))
        if not ends and (node.name not in spiking or any(name in names for name in node.inputs)):
            names.add(node.name)
    return names


def _assign_weighted(
    graph: Graph,
    node: Synapse,
    inputs: list[PerChannel],
    limit: PerChannel,
    bound: PerChannel,
    *,
    decide: bool,
) -> PerChannel:
    """Rounds the weights of a node; returns the fractional bits of its output.

    Args:
        graph: The graph; a rounding node may be added.
        node: The node.
        inputs: The fractional bits of its input.
        limit: The most fractional bits that its output may have.
        bound: The largest sums inside it.
        decide: Whether it may go to float64.
    """
    family, most = weighted_family(node), inputs[0].max()
    own = _own_limit(node, limit)
    fits = node.expected is None and own.min() - most >= MINIMAL_WEIGHT_BITS
    if fits if decide else node.dtype == "float32":
        _round_weights(node, own - most, own)
        return own
    room = capacity(bound.max(keepdims=True), FLOAT64_BITS) - most
    is_readout = not graph.consumers(node.name) and room - _TIME_BITS >= MINIMAL_WEIGHT_BITS
    # Weights need no more significant bits than float32 has.
    largest = np.abs(node.layer.weights[family.kernel]).max(keepdims=True).reshape(1)
    kernel_bits = np.minimum(room - _TIME_BITS if is_readout else room, capacity(largest))
    _round_weights(node, kernel_bits, kernel_bits + most)
    if is_readout:
        node.dtype = "float64"
        return kernel_bits + most
    if decide:
        _end_in_float64(graph, node, limit)
    return limit.min(keepdims=True)


def _assign_unweighted(
    graph: Graph, node: LayerNode, inputs: list[PerChannel], limit: PerChannel, bound: PerChannel, *, decide: bool
) -> PerChannel:
    """Returns the fractional bits of an unweighted node's output; if they are too many, it goes to float64."""
    family, sources = family_of(node), sources_of(graph, node)
    own = family.bits_of_output(node, sources, inputs)
    if own is not None and (own <= limit).all():
        return own
    room = capacity(bound * family.summed_weight(node, sources[0]), FLOAT64_BITS).min() - int(inputs[0].max())
    family.round_weights(node, int(room))
    if decide:
        _end_in_float64(graph, node, limit)
    return limit.min(keepdims=True)


def _own_limit(node: Synapse, limit: PerChannel) -> PerChannel:
    """The limit per output channel of a weighted layer; one for all where its channels are not on the last axis."""
    per_channel = weighted_family(node).weight_axis(node) == len(node.shape) - 1
    if is_scale(node):
        per_channel = per_channel and node.layer.config["channels"] == limit.size
    return limit if per_channel else limit.min(keepdims=True)


def _end_in_float64(graph: Graph, node: Node, bits: PerChannel) -> None:
    node.dtype = "float64"
    graph.insert_behind(_round_node(graph, node, int(bits.min())))


def _round_node(graph: Graph, node: Node, bits: int) -> Synapse:
    layer = LayerSpec("RoundToGrid", {"bits": bits})
    name = graph.unique_name(f"{node.name}_grid")
    return Synapse(name, [node.name], node.shape, node.channel_axis, origin=node.origin, layer=layer)


def _round_weights(node: Synapse, kernel_bits: PerChannel, bias_bits: PerChannel) -> None:
    family, layer = weighted_family(node), node.layer
    bits = {family.kernel: kernel_bits, family.bias: bias_bits}
    for name, array in layer.weights.items():
        of_weight = family.along_outputs(layer, name, bits[name])
        layer.weights[name] = np.round(array * 2.0**of_weight) / 2.0**of_weight
        layer.fractional_bits[name] = of_weight
