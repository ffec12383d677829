"""A graph as it grows from the nodes of a NIR file."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Graph, LayerSpec, Node, Synapse
from snn_toolbox_tf.synapses import NodeSequence, is_rounding


class CannotImportError(Exception):
    """A NIR node that no SpikingModel has.

    Args:
        reason: Why.
        remedy: What to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")


@dataclasses.dataclass
class GraphBuilder:
    """Nodes of a network, in one layout of channels for all.

    Args:
        graph: The graph.
        data_format: "channels_first", as NIR has them, or "channels_last".

    Attributes:
        nodes: Name of the node that gives what a NIR node puts out, by that one's name.
    """

    graph: Graph
    data_format: str
    nodes: dict[str, str] = dataclasses.field(default_factory=dict)

    def channel_axis(self, rank: int) -> int:
        """Returns the axis of channels of a tensor."""
        return 0 if self.data_format == "channels_first" else rank - 1

    def shape(self, shape: Any) -> tuple[int, ...]:
        """Returns the layout's shape for a shape of NIR."""
        first, *rest = (int(size) for size in np.ravel(shape))
        return (first, *rest) if self.data_format == "channels_first" else (*rest, first)

    def nir_shape(self, name: str) -> tuple[int, ...]:
        """Returns NIR's shape of what a node of the graph puts out."""
        shape = self.graph[name].shape
        return shape if self.data_format == "channels_first" else (shape[-1], *shape[:-1])

    def array(self, values: np.ndarray, name: str) -> np.ndarray:
        """Returns numbers per element of what a node puts out, from NIR's layout in the graph's; or one number.

        Raises:
            CannotImportError: If they do not fit.
        """
        values = np.asarray(values, np.float64)
        if values.size == 1:
            return values.reshape(())
        if values.shape != self.nir_shape(name):
            raise CannotImportError(
                f"it has parameters of shape {values.shape} for input of shape {self.nir_shape(name)}",
                "Expected one for all, or one per element",
            )
        first = values.flat[0]
        if (values == first).all():
            return np.asarray(first)
        return values if self.data_format == "channels_first" else np.moveaxis(values, 0, -1)

    def sequence(self, name: str, source: str) -> NodeSequence:
        """Returns what adds nodes behind a node; call its `end` when all are there."""
        return NodeSequence(self.graph, self.graph.unique_name(name), source)

    def rounded(self, source: str, bits: int) -> str:
        """Returns the node that rounds a node's output to a grid; one for all that read it."""
        name = f"{source}_grid_{bits}"
        if name not in self.graph:
            node = self.graph[source]
            layer = LayerSpec("RoundToGrid", {"bits": bits})
            self.graph.insert(Synapse(name, [source], node.shape, node.channel_axis, layer=layer))
        return name

    def summed(self, sources: list[str], reader: str) -> str:
        """Returns the node that adds up nodes.

        Raises:
            CannotImportError: If their shapes differ.
        """
        if len(sources) == 1:
            return sources[0]
        shapes = {name: self.nir_shape(name) for name in sources}
        if len(set(shapes.values())) > 1:
            raise CannotImportError(f"it adds up what differs in shape: {shapes}", "Expected inputs of one shape")
        first = self.graph[sources[0]]
        name = self.graph.unique_name(f"{reader}_sum")
        self.graph.insert(
            Synapse(name, list(sources), first.shape, first.channel_axis, origin=reader, layer=LayerSpec("Add", {}))
        )
        return name


def spread_float64(graph: Graph) -> None:
    """What reads float64 computes in it, up to the node that rounds."""
    for node in graph:
        if (
            isinstance(node, Synapse)
            and not is_rounding(node)
            and any(_is_float64(graph[name]) for name in node.inputs)
        ):
            node.dtype = "float64"


def _is_float64(node: Node) -> bool:
    return node.dtype == "float64"
