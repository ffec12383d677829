"""What a TimeDistributed wrapper does: the nodes of what it wraps, with one more axis in front.

Most layers do the same with one more axis, or can be told to. Where not, the axis becomes part of the channels while the
layer runs, and its weights are repeated.
"""

import dataclasses

from snn_toolbox_tf.graph import Activation, Graph, InputNode, MaxPool, Node, Synapse, Unsupported
from snn_toolbox_tf.parse import refusals
from snn_toolbox_tf.synapses import NodeSequence, family_of, use_channels_last
from snn_toolbox_tf.synapses.family import shifted_axis


def distribute(inner: Graph, graph: Graph, source: str, names: dict[str, str]) -> str:
    """Adds the nodes of a wrapped layer or model, each of which works on all steps at once.

    Args:
        inner: Graph of what is wrapped, with one input and one readout; it is changed.
        graph: The graph to add to.
        source: Name of the node that is read, `[steps, ...]`.
        names: The names that the parts of what is wrapped shall have.

    Returns:
        The name of the node that gives the output.
    """
    use_channels_last(inner)
    inner.sort()
    steps = graph[source].shape[0]
    placed: dict[str, str] = {}
    for node in inner:
        if isinstance(node, InputNode):
            placed[node.name] = source
            continue
        origin = names.get(node.origin) or next(iter(names.values()))
        wanted = origin if node.name == node.origin else f"{origin}_{node.name}"
        copy = dataclasses.replace(
            node,
            name=graph.unique_name(wanted),
            inputs=[placed[name] for name in node.inputs],
            origin=origin,
            tied=f"{origin}/{node.tied}" if node.tied else "",
        )
        placed[node.name] = _distribute_node(graph, copy, inner[node.inputs[0]].shape, steps)
    return placed[inner.readouts[0].node]


def _distribute_node(graph: Graph, node: Node, before: tuple[int, ...], steps: int) -> str:
    """Adds a node, which has its inputs already, for all steps; `before` is the shape of its input in one step."""
    if isinstance(node, Activation):
        node.layer = dataclasses.replace(node.layer, config=shifted_axis(node.layer.config))
    elif isinstance(node, (Synapse, MaxPool)):
        family = family_of(node)
        layer = family.with_leading_axis(node.layer, node.shape, before, steps)
        if layer is not None:
            node.layer = layer
        elif (folded := family.with_more_channels(node.layer, steps)) is not None:
            return _fold(graph, dataclasses.replace(node, layer=folded), before, steps)
        else:
            node = Unsupported(
                node.name,
                node.inputs,
                node.shape,
                node.channel_axis,
                origin=node.origin,
                class_name=node.layer.class_name,
                refusal=refusals.DISTRIBUTED,
            )
    node.shape, node.channel_axis = (steps, *node.shape), node.channel_axis + 1
    graph.insert(node)
    return node.name


def _fold(graph: Graph, node: Synapse | MaxPool, before: tuple[int, ...], steps: int) -> str:
    """Adds a layer that runs with the steps as part of the channels; it is told of them already."""
    sequence = NodeSequence(graph, node.name, node.inputs[0], origin=node.origin)
    rank = len(before)
    sequence.permute([*range(1, rank), 0, rank]).reshape((*before[:-1], steps * before[-1]))
    shape, rank = node.shape, len(node.shape)
    sequence.add(dataclasses.replace(node, shape=(*shape[:-1], steps * shape[-1])))
    sequence.reshape((*shape[:-1], steps, shape[-1])).permute([rank - 1, *range(rank - 1), rank])
    return sequence.end()
