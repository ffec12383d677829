"""Three-dimensional pooling as two- and one-dimensional pooling, one after the other, which have kernels for float64.

A maximum, or a mean, over a box is that over its height and width, then over its depth. Rearranging brings the axis that is
not pooled into the channels. Needs all layers channels last.
"""

from collections.abc import Sequence

from snn_toolbox_tf.graph import Graph, LayerSpec, MaxPool, Node, Synapse


def split_pooling(graph: Graph) -> None:
    """Rewrites all three-dimensional pooling layers."""
    for node in graph.of_type(MaxPool, Synapse):
        if node.layer.class_name in ("MaxPooling3D", "AveragePooling3D"):
            _split(graph, node)
        elif node.layer.class_name == "GlobalMaxPooling3D":
            _flatten_depth(graph, node)


def _split(graph: Graph, node: MaxPool | Synapse) -> None:
    """The last rearrangement takes the node's name: its output is the node's output."""
    depth, height, width, channels = graph[node.inputs[0]].shape
    new_depth, new_height, new_width, _ = node.shape
    kind = node.layer.class_name.removesuffix("3D")
    config = node.layer.config
    pool, strides = config["pool_size"], config["strides"] or config["pool_size"]

    def pooling(suffix: str, axes: slice) -> LayerSpec:
        sizes = {"pool_size": list(pool[axes]), "strides": list(strides[axes])}
        return LayerSpec(f"{kind}{suffix}", {**sizes, "padding": config["padding"], "data_format": "channels_last"})

    chain = _Chain(graph, node)
    chain.rearrange("Permute", {"dims": [2, 3, 1, 4]}, (height, width, depth, channels))
    chain.reshape((height, width, depth * channels))
    chain.pool(pooling("2D", slice(1, 3)), (new_height, new_width, depth * channels))
    chain.reshape((new_height, new_width, depth, channels))
    chain.rearrange("Permute", {"dims": [3, 1, 2, 4]}, (depth, new_height, new_width, channels))
    chain.reshape((depth, new_height * new_width * channels))
    chain.pool(pooling("1D", slice(0, 1)), (new_depth, new_height * new_width * channels))
    chain.end()


def _flatten_depth(graph: Graph, node: MaxPool) -> None:
    """A global maximum does not care for the shape: depth and height become one axis."""
    depth, height, width, channels = graph[node.inputs[0]].shape
    chain = _Chain(graph, node)
    chain.reshape((depth * height, width, channels))
    node.inputs = [chain.name]
    node.layer = LayerSpec("GlobalMaxPooling2D", {**node.layer.config, "data_format": "channels_last"})


class _Chain:
    """Puts nodes in front of a node, one after the other."""

    def __init__(self, graph: Graph, node: MaxPool | Synapse) -> None:
        self._graph, self._node = graph, node
        self.name = node.inputs[0]

    def _add(self, made: Node) -> None:
        self._graph.insert(made, before=self._node.name)
        self.name = made.name

    def _unique(self) -> str:
        return self._graph.unique_name(f"{self._node.name}_part")

    def rearrange(self, class_name: str, config: dict, shape: Sequence[int]) -> None:
        """Adds a layer that moves values."""
        self._add(Synapse(self._unique(), [self.name], tuple(shape), -1, layer=LayerSpec(class_name, config)))

    def reshape(self, shape: Sequence[int]) -> None:
        """Adds a Reshape."""
        self.rearrange("Reshape", {"target_shape": list(shape)}, shape)

    def pool(self, layer: LayerSpec, shape: Sequence[int]) -> None:
        """Adds a pooling layer of the node's kind."""
        self._add(type(self._node)(self._unique(), [self.name], tuple(shape), -1, layer=layer))

    def end(self) -> None:
        """Replaces the node by a Reshape to its shape."""
        node = self._node
        layer = LayerSpec("Reshape", {"target_shape": list(node.shape)})
        self._graph.replace(Synapse(node.name, [self.name], node.shape, node.channel_axis, layer=layer))
