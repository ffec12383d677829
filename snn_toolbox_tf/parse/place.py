"""Where in the graph the nodes of one call belong."""

import dataclasses
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.graph import Activation, Graph, LayerSpec, MaxPool, Node, Refusal, Synapse, Unsupported
from snn_toolbox_tf.parse.broadcasting import broadcast
from snn_toolbox_tf.synapses import NodeSequence


@dataclasses.dataclass(frozen=True)
class Place:
    """One call of a layer or an operation.

    Attributes:
        graph: The graph.
        name: Name of the node that gives the call's output.
        inputs: Names of the nodes that are read.
        shape: Shape of the output without the batch axis; None where Keras does not know a size.
        channel_axis: Axis of the output that counts channels, without the batch axis; -1 is the last one.
        origin: Name of the part of the source that the nodes stand for; `name` if empty.
    """

    graph: Graph
    name: str
    inputs: list[str]
    shape: tuple[Any, ...]
    channel_axis: int = -1
    origin: str = ""

    @property
    def source(self) -> Node:
        """The first node that is read."""
        return self.graph[self.inputs[0]]

    def sequence(self, source: str | None = None) -> NodeSequence:
        """Returns a sequence of nodes that starts at a node, or at the first input."""
        return NodeSequence(self.graph, self.name, source or self.inputs[0], origin=self.origin)

    def add(self, node: Node) -> str:
        """Adds a node and returns its name."""
        node.origin = self.origin or self.name
        self.graph.insert(node)
        return node.name

    def synapse(self, layer: LayerSpec) -> str:
        """Adds a layer that reads all inputs."""
        return self.add(Synapse(self.name, self.inputs, self.shape, self.channel_axis, layer=layer))

    def join(self, layer: LayerSpec, inputs: list[str]) -> str:
        """Adds a layer that joins these inputs; of one alone there is nothing to join."""
        return inputs[0] if len(inputs) == 1 else dataclasses.replace(self, inputs=inputs).synapse(layer)

    def max_pool(self, layer: LayerSpec) -> str:
        """Adds a max pooling."""
        return self.add(MaxPool(self.name, self.inputs, self.shape, self.channel_axis, layer=layer))

    def activation(self, layer: LayerSpec) -> str:
        """Adds a nonlinearity."""
        return self.add(Activation(self.name, self.inputs, self.shape, self.channel_axis, layer=layer))

    def affine(self, factor: Any, offset: Any = None) -> str | None:
        """Adds an elementwise product and sum with what broadcasts against `[batch, *shape]`; None if that is not so."""
        arrays = [None if values is None else elementwise(values, self.shape) for values in (factor, offset)]
        if arrays[0] is None or (arrays[1] is None and offset is not None):
            return None
        source = broadcast(self.graph, self.inputs[0], self.name, self.shape)
        return None if source is None else self.sequence(source).affine(arrays[0], arrays[1]).end()

    def refuse(self, class_name: str, refusal: Refusal) -> str:
        """Adds what stands for an operation that has no place in a spiking network."""
        shape = tuple(size or 1 for size in self.shape)
        node = Unsupported(self.name, self.inputs, shape, self.channel_axis, class_name=class_name, refusal=refusal)
        return self.add(node)


def elementwise(values: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Returns what broadcasts against `[batch, *shape]`, and is the same for all samples, in the rank of `shape`.

    >>> elementwise([1.0, 2.0], (3, 2)).shape
    (1, 2)
    """
    array = as_float64(values)
    if array.ndim == len(shape) + 1 and len(array) == 1:
        array = array[0]
    if array.ndim > len(shape) or any(
        size not in (1, whole) for size, whole in zip(array.shape[::-1], shape[::-1], strict=False)
    ):
        return None
    return array.reshape((1,) * (len(shape) - array.ndim) + array.shape)


def as_float64(values: Any) -> np.ndarray:
    """Returns a number, an array, a tensor or a variable as a float64 array."""
    plain = values if isinstance(values, (int, float, np.ndarray, list, tuple)) else keras.ops.convert_to_numpy(values)
    return np.asarray(plain, dtype=np.float64)
