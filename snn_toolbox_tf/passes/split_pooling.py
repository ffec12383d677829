"""Three-dimensional pooling as two- and one-dimensional pooling, one after the other, which have kernels for float64.

A maximum, or a mean, over a box is that over its height and width, then over its depth. Rearranging brings the axis that is
not pooled into the channels. Needs all layers channels last.

Of max pooling by winners (`MaxPool.rule`) this makes winners among winners (or, by lateral inhibition, the first among the
first), who need not be the winners of the whole box.
"""

import dataclasses
from collections.abc import Sequence

from snn_toolbox_tf.graph import Graph, LayerSpec, MaxPool, Synapse
from snn_toolbox_tf.synapses import NodeSequence


def split_pooling(graph: Graph) -> None:
    """Rewrites all three-dimensional pooling layers."""
    for node in graph.of_type(MaxPool, Synapse):
        if node.layer.class_name in ("MaxPooling3D", "AveragePooling3D"):
            _split(graph, node)
        elif node.layer.class_name == "GlobalMaxPooling3D":
            _flatten_depth(graph, node)


def _split(graph: Graph, node: MaxPool | Synapse) -> None:
    depth, height, width, channels = graph[node.inputs[0]].shape
    new_depth, new_height, new_width, _ = node.shape
    kind = node.layer.class_name.removesuffix("3D")
    config = node.layer.config
    pool, strides = config["pool_size"], config["strides"] or config["pool_size"]

    def pooling(suffix: str, axes: slice, shape: Sequence[int]) -> MaxPool | Synapse:
        sizes = {"pool_size": list(pool[axes]), "strides": list(strides[axes])}
        spec = {**sizes, "padding": config["padding"], "data_format": "channels_last"}
        layer = LayerSpec(f"{kind}{suffix}", spec)
        return dataclasses.replace(node, shape=tuple(shape), channel_axis=-1, layer=layer)

    sequence = NodeSequence(graph, node.name, node.inputs[0], before=node.name, origin=node.origin)
    sequence.permute((1, 2, 0, 3)).reshape((height, width, depth * channels))
    sequence.add(pooling("2D", slice(1, 3), (new_height, new_width, depth * channels)))
    sequence.reshape((new_height, new_width, depth, channels)).permute((2, 0, 1, 3))
    sequence.reshape((depth, new_height * new_width * channels))
    sequence.add(pooling("1D", slice(0, 1), (new_depth, new_height * new_width * channels)))
    _put_in_place(graph, node, sequence)


def _flatten_depth(graph: Graph, node: MaxPool) -> None:
    """A global maximum does not care for the shape: depth and height become one axis."""
    depth, height, width, channels = graph[node.inputs[0]].shape
    layer = LayerSpec("GlobalMaxPooling2D", {"keepdims": False, "data_format": "channels_last"})
    sequence = NodeSequence(graph, node.name, node.inputs[0], before=node.name, origin=node.origin)
    sequence.reshape((depth * height, width, channels))
    sequence.add(dataclasses.replace(node, shape=(channels,), channel_axis=-1, layer=layer))
    _put_in_place(graph, node, sequence)


def _put_in_place(graph: Graph, node: MaxPool | Synapse, sequence: NodeSequence) -> None:
    """What comes out of a sequence, in the node's shape, takes the node's place."""
    sequence.reshape(node.shape, node.channel_axis)
    graph.redirect(node.name, sequence.node.name)
    graph.delete(node.name)
    sequence.end()
