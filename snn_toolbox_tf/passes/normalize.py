"""Balanced form -> normalised form: every threshold 1, every spike 0 or 1.

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

from snn_toolbox_tf import kernels
from snn_toolbox_tf.chain import scale_nodes
from snn_toolbox_tf.graph import Graph, Input, Node, Population, Readout, Synapse
from snn_toolbox_tf.passes import scales
from snn_toolbox_tf.passes.scales import Scale
from snn_toolbox_tf.vocabulary import Role


def normalize(graph: Graph) -> dict[str, Scale]:
    """Rewrites a balanced graph, in place, as the normalised one.

    Returns:
        The scale of every node of the balanced graph.
    """
    actual = _take_up_scales(graph, _wanted_scales(graph))
    for node in graph.of_type(Population):
        if node.max_value is not None:
            node.max_value = node.max_value / node.threshold
        node.threshold = node.channel_vector(1.0)
        node.spike_height = "unit"
    graph.sort()
    return actual


def _ones(node: Node) -> Scale:
    return np.ones((1,) * len(node.shape))


def _wanted_scales(graph: Graph) -> dict[str, Scale | None]:
    """Backwards: the scale that all readers of a node agree on, or None if it is free or they disagree."""
    wanted: dict[str, Scale | None] = {}
    for node in reversed(list(graph)):
        if isinstance(node, Population):
            wanted[node.name] = node.threshold
            continue
        if isinstance(node, Input):
            wanted[node.name] = _ones(node)
            continue
        demands = [_ones(node) for readout in graph.readouts if readout.node == node.name]
        for reader in graph.consumers(node.name):
            demands.extend(_demands(graph, node, reader, wanted))
        # Readers may disagree: the first one is served, the others get a Scale node.
        scale = demands[0] if demands else None
        wanted[node.name] = scale if scale is None or _can_have(graph, node, scale) else _ones(node)
    return wanted


def _can_have(graph: Graph, node: Node, scale: Scale) -> bool:
    if isinstance(node, Synapse) and scales.node_role(node) is Role.WEIGHTED:
        return kernels.per_channel(scale, node.shape, scales.weight_axis(node)) is not None
    if isinstance(node, Synapse) and scales.node_role(node) is Role.CONCATENATE:
        return True
    return all(scales.pull(node, graph[name], scale) is not None for name in node.inputs)


def _demands(graph: Graph, node: Node, reader: Node, wanted: dict[str, Scale | None]) -> list[Scale]:
    """The scales that one reader asks of a node; none if the reader takes any."""
    if isinstance(reader, Population):
        return [reader.threshold]
    target = wanted[reader.name]
    if scales.node_role(reader) is Role.WEIGHTED or target is None:
        return []
    if isinstance(reader, Synapse) and scales.node_role(reader) is Role.CONCATENATE:
        positions = [index for index, name in enumerate(reader.inputs) if name == node.name]
        return [scales.sliced(graph, reader, index, target) for index in positions]
    pulled = scales.pull(reader, node, target)
    return [_ones(node) if pulled is None else pulled]


def _take_up_scales(graph: Graph, wanted: dict[str, Scale | None]) -> dict[str, Scale]:
    """Forwards: fixes each node's scale, rescales weights, and puts `Scale` nodes on the edges that need one."""
    actual: dict[str, Scale] = {}
    # Populations, and what only moves their spikes about: no weights there could take up another scale.
    spikes: set[str] = set()
    for node in graph:
        sources = [actual[name] for name in node.inputs]
        if isinstance(node, Input):
            actual[node.name] = _ones(node)
        elif isinstance(node, Population):
            _require(graph, node, 0, sources[0], node.threshold)
            actual[node.name] = node.threshold
            spikes.add(node.name)
        elif isinstance(node, Synapse) and scales.node_role(node) is Role.WEIGHTED:
            actual[node.name] = _rescale_weights(graph, node, sources[0], wanted[node.name])
        elif scales.moves_values_only(node) and node.inputs[0] in spikes:
            pushed = scales.push(node, graph[node.inputs[0]], sources[0])
            actual[node.name] = _rescale_weightless(
                graph, node, sources, wanted[node.name] if pushed is None else pushed
            )
            spikes.add(node.name)
        else:
            actual[node.name] = _rescale_weightless(graph, node, sources, wanted[node.name])
    for readout in graph.readouts:
        scale, node = actual[readout.node], graph[readout.node]
        if not _same(scale, _ones(node), node):
            _insert_scale(graph, node, readout, 0, scale)
    return actual


def _rescale_weights(graph: Graph, node: Synapse, source: Scale, target: Scale | None) -> Scale:
    before = graph[node.inputs[0]]
    vector = kernels.per_channel(source, before.shape, scales.weight_axis(node))
    if vector is None:
        _require(graph, node, 0, source, _ones(before))
        vector = np.ones(1)
    scale = _ones(node) if target is None else target
    out = kernels.per_channel(scale, node.shape, scales.weight_axis(node))
    if out is None:
        raise ValueError(f"Synapse '{node.name}' cannot take up a scale that varies within a channel.")
    kernels.scale_input(node.layer, vector)
    kernels.scale_output(node.layer, 1.0 / out)
    return scale


def _rescale_weightless(graph: Graph, node: Node, sources: list[Scale], target: Scale | None) -> Scale:
    if target is None:
        target = _forward_scale(graph, node, sources)
    for index, source in enumerate(sources):
        before = graph[node.inputs[index]]
        if isinstance(node, Synapse) and scales.node_role(node) is Role.CONCATENATE:
            needed: Scale | None = scales.sliced(graph, node, index, target)
        else:
            pushed = scales.push(node, before, source)
            if pushed is not None and _same(pushed, target, node):
                # What is cropped away may have any scale.
                continue
            needed = scales.pull(node, before, target)
        if needed is None:
            raise ValueError(f"Node '{node.name}' cannot pass on a scale that varies within a channel.")
        _require(graph, node, index, source, needed)
    return target


def _forward_scale(graph: Graph, node: Node, sources: list[Scale]) -> Scale:
    """The scale of a node whose readers take any: what its inputs have, the largest where they differ."""
    if isinstance(node, Synapse) and scales.node_role(node) is Role.CONCATENATE:
        return scales.concatenated(graph, node, sources)
    pushed = [scales.push(node, graph[name], scale) for name, scale in zip(node.inputs, sources, strict=True)]
    known = [scale for scale in pushed if scale is not None]
    if len(known) < len(pushed):
        return _ones(node)
    target = known[0]
    for scale in known[1:]:
        target = np.maximum(target, scale)
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
