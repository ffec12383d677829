"""A layout for all: every channels-first layer runs channels last, between two Permute nodes.

TensorFlow's CPU kernels for float64 and several float32 ones exist for channels last only. Populations keep the layout
of the source, so that spikes have the shape of the activations that they stand for.
"""

from snn_toolbox_tf.graph import Graph, LayerSpec, MaxPool, Node, Synapse


def use_channels_last(graph: Graph) -> None:
    """Rewrites all nodes whose layer has `data_format="channels_first"`."""
    back: dict[str, str] = {}
    for node in graph.of_type(Synapse, MaxPool):
        if node.layer.config.get("data_format") != "channels_first":
            continue
        node.layer.config = {**node.layer.config, "data_format": "channels_last"}
        source = graph[node.inputs[0]]
        if source.name in back:
            # There and back again: read the channels-last tensor itself.
            node.inputs = [back[source.name]]
        elif len(source.shape) > 1:
            rank = len(source.shape)
            shape = (*source.shape[1:], source.shape[0])
            order = [*range(2, rank + 1), 1]
            before = _permute(node, f"{node.name}_channels_last", source.name, shape, order, rank - 1)
            before.name = graph.unique_name(before.name)
            graph.insert(before, before=node.name)
            node.inputs = [before.name]
        if len(node.shape) > 1:
            rank = len(node.shape)
            first = node.shape
            node.shape, node.channel_axis = (*first[1:], first[0]), rank - 1
            after = _permute(node, f"{node.name}_channels_first", node.name, first, [rank, *range(1, rank)], 0)
            after.name = graph.unique_name(after.name)
            graph.insert_behind(after)
            back[after.name] = node.name


def _permute(
    node: Node, name: str, source: str, shape: tuple[int, ...], order: list[int], channel_axis: int
) -> Synapse:
    layer = LayerSpec("Permute", {"dims": order})
    return Synapse(name, [source], shape, channel_axis, origin=node.origin, layer=layer)
