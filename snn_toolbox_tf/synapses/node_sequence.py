"""Several nodes in a row that do together what one layer or operation of the source does."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Graph, LayerSpec, MaxPool, Node, Synapse
from snn_toolbox_tf.synapses.scale import per_channel
from snn_toolbox_tf.synapses.scaling import scale_spec


class NodeSequence:
    """Adds nodes to a graph, each of which reads the one before.

    Args:
        graph: The graph.
        name: What the nodes stand for; the last one gets this name in the end.
        source: Name of the node that the first one reads.
        before: Name of the node in front of which they stand; None to add them at the end.
        origin: The part of the source that they stand for; the name if None.

    Attributes:
        node: The last node so far.
    """

    def __init__(
        self, graph: Graph, name: str, source: str, *, before: str | None = None, origin: str | None = None
    ) -> None:
        self._graph, self._name, self._before, self._origin = graph, name, before, origin or name
        self.node = self._start = graph[source]

    def add(self, node: Node) -> "NodeSequence":
        """Adds a node; its name, inputs and origin are set here."""
        node.name, node.inputs = self._graph.unique_name(f"{self._name}_part"), [self.node.name]
        node.origin = self._origin
        self._graph.insert(node, before=self._before)
        self.node = node
        return self

    def synapse(
        self,
        class_name: str,
        config: dict[str, Any],
        shape: Sequence[int],
        weights: dict[str, np.ndarray] | None = None,
        channel_axis: int = -1,
    ) -> "NodeSequence":
        """Adds a layer."""
        return self.add(Synapse("", [], tuple(shape), channel_axis, layer=LayerSpec(class_name, config, weights or {})))

    def max_pool(self, class_name: str, config: dict[str, Any], shape: Sequence[int]) -> "NodeSequence":
        """Adds a max pooling."""
        return self.add(MaxPool("", [], tuple(shape), layer=LayerSpec(class_name, config)))

    def reshape(self, shape: Sequence[int], channel_axis: int = -1) -> "NodeSequence":
        """Adds a Reshape, if the shape is another one."""
        if tuple(shape) == self.node.shape:
            return self
        return self.synapse("Reshape", {"target_shape": list(shape)}, shape, channel_axis=channel_axis)

    def permute(self, order: Sequence[int]) -> "NodeSequence":
        """Adds a Permute to this order of the sample's axes, if it is another one; the channels move along."""
        order = list(order)
        if order == sorted(order):
            return self
        shape = [self.node.shape[axis] for axis in order]
        dims = [axis + 1 for axis in order]
        return self.synapse("Permute", {"dims": dims}, shape, channel_axis=order.index(self.node.channel_axis))

    def affine(self, factor: np.ndarray, offset: np.ndarray | None = None) -> "NodeSequence":
        """Adds a product with a factor and a sum with an offset, which broadcast against the node, element by element."""
        for node in scale_nodes(self._graph, self._name, self.node, factor, offset):
            self.add(node)
        return self

    def end(self) -> str:
        """Gives the last node the sequence's name, if there is one, and returns the last node's name."""
        if self.node is not self._start:
            self._graph.rename(self.node.name, self._name)
        return self.node.name


def scale_nodes(
    graph: Graph, name: str, source: Node, factor: np.ndarray, offset: np.ndarray | None = None
) -> list[Node]:
    """Returns what multiplies a node's output and adds to it, to be inserted in this order: a `Scale`, or three nodes.

    Args:
        graph: Where unique names are looked up.
        name: What the `Scale` shall be called.
        source: The node.
        factor: Broadcasts against the node's shape. If it (or the offset) varies along more than one axis, the `Scale`
            stands on the flattened tensor, where every element is a channel.
        offset: Likewise, or None.

    Returns:
        The nodes; like their source, they stand for its part of the source model.
    """
    name = graph.unique_name(name)
    axes = sorted(range(len(source.shape)), key=lambda axis: axis != source.channel_axis)
    for axis in axes:
        vectors = [None if array is None else per_channel(array, source.shape, axis) for array in (factor, offset)]
        if vectors[0] is not None and (offset is None or vectors[1] is not None):
            return [_scale(name, source.name, source, vectors, axis + 1)]
    size = int(np.prod(source.shape))
    origin = source.origin
    flat = Synapse(
        graph.unique_name(f"{name}_flat"), [source.name], (size,), origin=origin, layer=LayerSpec("Flatten", {})
    )
    values = [None if array is None else np.broadcast_to(array, source.shape).reshape(-1) for array in (factor, offset)]
    back = LayerSpec("Reshape", {"target_shape": list(source.shape)})
    shaped = graph.unique_name(f"{name}_shaped")
    return [
        flat,
        _scale(name, flat.name, flat, values, -1),
        Synapse(shaped, [name], source.shape, source.channel_axis, origin=origin, layer=back),
    ]


def _scale(name: str, source: str, like: Node, values: list[Any], axis: int) -> Synapse:
    factor, offset = values
    if offset is not None:
        factor, offset = np.broadcast_arrays(factor, offset)
    layer = scale_spec(factor, offset, axis)
    return Synapse(name, [source], like.shape, like.channel_axis, origin=like.origin, layer=layer)
