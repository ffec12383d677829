"""The graph between a Keras model and a spiking network: nodes in topological order, and how passes rewrite them."""

import copy
from collections.abc import Iterator
from typing import Any

from snn_toolbox_tf.graph.nodes import InputNode, LayerSpec, Node, Population, Readout


class Graph:
    """Nodes in topological order, the network's readouts, and the structures of its inputs and outputs.

    Args:
        name: Name of the source model.
        nodes: Nodes, each after the nodes that it reads.
        readouts: The outputs, in the order of `output_structure`.
        input_structure: The source's inputs (a name, or a list or dict of names).
        output_structure: The source's outputs, likewise.
    """

    def __init__(
        self, name: str, nodes: list[Node], readouts: list[Readout], input_structure: Any, output_structure: Any
    ) -> None:
        self.name = name
        self._nodes = {node.name: node for node in nodes}
        self.readouts = readouts
        self.input_structure = input_structure
        self.output_structure = output_structure

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._nodes.values()))

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def of_type(self, *types: type) -> list[Any]:
        """Returns the nodes of the given types, in topological order."""
        return [node for node in self if isinstance(node, types)]

    def output_shape(self, readout: Readout) -> tuple[int, ...]:
        """Returns the shape of a decoded output without the batch axis."""
        return self[readout.node].shape if readout.shape is None else tuple(readout.shape)

    def consumers(self, name: str) -> list[Node]:
        """Returns the nodes that read `name`, once each."""
        return [node for node in self if name in node.inputs]

    def readers(self, name: str) -> int:
        """Returns how often `name` is read: once per use as an input, once per readout."""
        uses = sum(node.inputs.count(name) for node in self)
        return uses + sum(readout.node == name for readout in self.readouts)

    def unique_name(self, wanted: str) -> str:
        """Returns `wanted`, with a number appended if a node already has that name."""
        name, number = wanted, 1
        while name in self._nodes:
            number += 1
            name = f"{wanted}_{number}"
        return name

    def insert(self, node: Node, *, after: str | None = None, before: str | None = None) -> None:
        """Adds a node right after, or right before, an existing one in the topological order; or at the end."""
        anchor = after if after is not None else before
        if anchor is None:
            self._nodes[node.name] = node
            return
        order: dict[str, Node] = {}
        for name, existing in self._nodes.items():
            if name == anchor and before is not None:
                order[node.name] = node
            order[name] = existing
            if name == anchor and after is not None:
                order[node.name] = node
        self._nodes = order

    def insert_on_edge(self, node: Node, reader: Node | Readout, slot: int = 0) -> None:
        """Puts `node` between its own input and one input slot of a reader; other readers and slots stay as they are."""
        self.insert(node, after=node.inputs[0])
        if isinstance(reader, Readout):
            reader.node = node.name
        else:
            reader.inputs = [node.name if index == slot else name for index, name in enumerate(reader.inputs)]

    def insert_behind(self, node: Node) -> None:
        """Puts `node` behind its own input; everything that read that input reads `node` instead."""
        source = node.inputs[0]
        self.redirect(source, node.name)
        node.inputs = [source]
        self.insert(node, after=source)

    def redirect(self, old: str, new: str) -> None:
        """Makes every reader of `old`, the node `new` itself excepted, read `new`."""
        for node in self:
            if node.name != new:
                node.inputs = [new if name == old else name for name in node.inputs]
        for readout in self.readouts:
            if readout.node == old:
                readout.node = new

    def replace(self, node: Node) -> None:
        """Puts `node` in the place of the node of the same name."""
        self._nodes[node.name] = node

    def remove(self, name: str) -> None:
        """Removes a node with one input; its readers read that input instead."""
        node = self._nodes[name]
        self.redirect(name, node.inputs[0])
        del self._nodes[name]

    def delete(self, name: str) -> None:
        """Removes a node that nothing reads any more."""
        del self._nodes[name]

    def rename(self, old: str, new: str) -> None:
        """Gives a node another name, which no node has; its place stays, and its readers follow."""
        self.redirect(old, new)
        self._nodes = {new if name == old else name: node for name, node in self._nodes.items()}
        self._nodes[new].name = new

    def prune(self) -> None:
        """Removes what no readout depends on; inputs stay."""
        needed = {readout.node for readout in self.readouts}
        for node in reversed(list(self)):
            if node.name in needed:
                needed.update(node.inputs)
        self._nodes = {n.name: n for n in self if n.name in needed or isinstance(n, InputNode)}

    def sort(self) -> None:
        """Restores topological order, keeping the present order among independent nodes."""
        order: dict[str, Node] = {}

        def visit(node: Node) -> None:
            pending = [node]
            while pending:
                top = pending[-1]
                missing = [name for name in top.inputs if name not in order]
                if missing:
                    pending.extend(self._nodes[name] for name in reversed(missing))
                else:
                    order[pending.pop().name] = top

        for node in self:
            visit(node)
        self._nodes = order

    def spiking_ancestry(self) -> set[str]:
        """Returns the names of all nodes that depend on a population: everything past the encoder."""
        names: set[str] = set()
        for node in self:
            if isinstance(node, Population) or any(name in names for name in node.inputs):
                names.add(node.name)
        return names

    def specs(self) -> Iterator[LayerSpec]:
        """Yields the layers of all nodes and decoders."""
        for node in self:
            if (spec := getattr(node, "layer", None)) is not None:
                yield spec
        for readout in self.readouts:
            yield from readout.decoder

    def copy(self) -> "Graph":
        """Returns an independent copy."""
        return copy.deepcopy(self)
