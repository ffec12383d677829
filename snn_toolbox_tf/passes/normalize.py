"""Source's weights -> normalised form: every threshold 1, every spike 0 or 1.

A change of form, not of function. Each tensor gets a scale, `true value = scale * normalised value`:

- a population's output has scale theta, and its input must have scale theta too, because it then fires at 1;
- a readout keeps scale 1;
- walking backwards, a current that everybody reads at one scale takes that scale (1/theta is pulled back through sums and
  pooling to the weighted layers in front);
- walking forwards, weighted layers take up the scales of their input and output into the kernel; where two scales meet
  that no weights can reconcile (identity shortcuts, a current that two populations read), a `Scale` node stands between.
  Behind a population it stands as late as it can: in front of the sum that asks for it, which a population then
  computes itself.
"""

import numpy as np

from snn_toolbox_tf.graph import Graph, InputNode, LayerNode, Node, Population, Readout, Synapse
from snn_toolbox_tf.synapses import (
    Scale,
    family_of,
    is_weighted,
    ones,
    per_channel,
    scale_nodes,
    sources_of,
    weighted_family,
)
from snn_toolbox_tf.synapses.carriers import spike_carriers


def normalize(graph: Graph) -> dict[str, Scale]:
    """Rewrites a spiking graph with its source's weights, in place, as the normalised one.

    Returns:
        The scale of every node that was there before.
    """
    actual = _take_up_scales(graph, _wanted_scales(graph))
    for node in graph.of_type(Population):
        if node.max_value is not None:
            node.max_value = node.max_value / node.threshold
        if node.trained_threshold is not None:
            node.trained_threshold = node.trained_threshold / node.threshold
        if node.added_bias is not None:
            node.added_bias = node.added_bias / node.threshold
        node.threshold = node.channel_vector(1.0)
        node.spike_height = "unit"
    graph.sort()
    return actual


def _wanted_scales(graph: Graph) -> dict[str, Scale | None]:
    """Backwards: the scale that all readers of a node agree on, or None if it is free or they disagree."""
    wanted: dict[str, Scale | None] = {}
    for node in reversed(list(graph)):
        if isinstance(node, Population):
            wanted[node.name] = node.threshold
            continue
        if isinstance(node, InputNode):
            wanted[node.name] = ones(node.shape)
            continue
        demands = [ones(node.shape) for readout in graph.readouts if readout.node == node.name]
        for reader in graph.consumers(node.name):
            demands.extend(_demands(graph, node, reader, wanted))
        # Readers may disagree: the first one is served, the others get a Scale node.
        scale = demands[0] if demands else None
        if scale is not None and isinstance(node, LayerNode) and not _can_have(graph, node, scale):
            scale = ones(node.shape)
        wanted[node.name] = scale
    return wanted


def _can_have(graph: Graph, node: LayerNode, scale: Scale) -> bool:
    if is_weighted(node):
        return per_channel(scale, node.shape, weighted_family(node).weight_axis(node)) is not None
    sources = sources_of(graph, node)
    return all(family_of(node).pull(node, sources, index, scale) is not None for index in range(len(sources)))


def _demands(graph: Graph, node: Node, reader: Node, wanted: dict[str, Scale | None]) -> list[Scale]:
    """The scales that one reader asks of a node; none if the reader takes any."""
    if isinstance(reader, Population):
        return [reader.threshold]
    target = wanted[reader.name]
    if not isinstance(reader, LayerNode) or is_weighted(reader) or target is None:
        return []
    sources = sources_of(graph, reader)
    pulled = [
        family_of(reader).pull(reader, sources, index, target)
        for index, name in enumerate(reader.inputs)
        if name == node.name
    ]
    return [ones(node.shape) if scale is None else scale for scale in pulled]


def _take_up_scales(graph: Graph, wanted: dict[str, Scale | None]) -> dict[str, Scale]:
    """Forwards: fixes each node's scale, rescales weights, and puts `Scale` nodes on the edges that need one."""
    actual: dict[str, Scale] = {}
    carriers = spike_carriers(graph)
    for node in graph:
        scales = [actual[name] for name in node.inputs]
        if isinstance(node, InputNode):
            actual[node.name] = ones(node.shape)
        elif isinstance(node, Population):
            _require(graph, node, 0, scales[0], node.threshold)
            actual[node.name] = node.threshold
        elif is_weighted(node):
            actual[node.name] = _rescale_weights(graph, node, scales[0], wanted[node.name])
        elif isinstance(node, LayerNode):
            target = wanted[node.name]
            if node.name in carriers and len(node.inputs) == 1:
                # No weights between here and the population could take up another scale.
                pushed = family_of(node).push(node, sources_of(graph, node), scales)
                target = target if pushed is None else pushed
            actual[node.name] = _rescale_unweighted(graph, node, scales, target)
    for readout in graph.readouts:
        scale, node = actual[readout.node], graph[readout.node]
        if not _same(scale, ones(node.shape), node):
            _insert_scale(graph, node, readout, 0, scale)
    return actual


def _rescale_weights(graph: Graph, node: Synapse, source: Scale, target: Scale | None) -> Scale:
    before, family = graph[node.inputs[0]], weighted_family(node)
    axis = family.weight_axis(node)
    vector = per_channel(source, before.shape, axis)
    if vector is None:
        _require(graph, node, 0, source, ones(before.shape))
        vector = np.ones(1)
    scale = ones(node.shape) if target is None else target
    out = per_channel(scale, node.shape, axis)
    if out is None:
        raise ValueError(f"Synapse '{node.name}' cannot take up a scale that varies within a channel.")
    family.scale_input(node.layer, vector)
    family.scale_output(node.layer, 1.0 / out)
    return scale


def _rescale_unweighted(graph: Graph, node: LayerNode, scales: list[Scale], target: Scale | None) -> Scale:
    family, sources = family_of(node), sources_of(graph, node)
    pushed = family.push(node, sources, scales)
    if target is None:
        # All readers take any: what the inputs have.
        target = ones(node.shape) if pushed is None else pushed
    if len(sources) == 1 and pushed is not None and _same(pushed, target, node):
        # What is cropped away may have any scale.
        return target
    for index, scale in enumerate(scales):
        needed = family.pull(node, sources, index, target)
        if needed is None:
            raise ValueError(f"Node '{node.name}' cannot pass on a scale that varies within a channel.")
        _require(graph, node, index, scale, needed)
    return target


def _require(graph: Graph, node: Node, index: int, source: Scale, needed: Scale) -> None:
    before = graph[node.inputs[index]]
    if not _same(source, needed, before):
        _insert_scale(graph, before, node, index, source / needed)


def _same(first: Scale, second: Scale, node: Node) -> bool:
    return np.array_equal(np.broadcast_to(first, node.shape), np.broadcast_to(second, node.shape))


def _insert_scale(graph: Graph, before: Node, reader: Node | Readout, slot: int, factor: Scale) -> None:
    for node in scale_nodes(graph, f"{before.name}_to_{reader.name}", before, factor):
        graph.insert_on_edge(node, reader, slot)
