"""Moves a ReLU below the max pooling that reads it: `maxpool(relu(x)) = relu(maxpool(x))`, exactly.

The pooling then works on currents, in front of its population, which has fewer neurons.
"""

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Activation, Graph, MaxPool, Node, Synapse


def sink_relu_below_pooling(graph: Graph) -> None:
    """Applies the rewrite until nothing changes. Other readers of the ReLU keep it."""
    while (found := _find(graph)) is not None:
        _swap(graph, *found)
        graph.sort()


def _find(graph: Graph) -> tuple[Activation, Node] | None:
    for relu in graph.of_type(Activation):
        if not vocabulary.relu_bound(relu.layer.class_name, relu.layer.config)[0]:
            continue
        for reader in graph.consumers(relu.name):
            if _leads_to_pooling(graph, reader):
                return relu, reader
    return None


def _leads_to_pooling(graph: Graph, node: Node) -> bool:
    """Whether a node is a max pooling, or only moves values on their way to one."""
    if isinstance(node, MaxPool):
        return True
    if not isinstance(node, Synapse) or node.layer.class_name not in vocabulary.COMMUTES_WITH_RELU:
        return False
    readers = graph.consumers(node.name)
    return graph.readers(node.name) == 1 and len(readers) == 1 and _leads_to_pooling(graph, readers[0])


def _swap(graph: Graph, relu: Activation, reader: Node) -> None:
    alone = graph.readers(relu.name) == 1
    reader.inputs = [relu.inputs[0]]
    if alone:
        graph.delete(relu.name)
    name = relu.name if alone else graph.unique_name(f"{relu.name}_{reader.name}")
    moved = Activation(name, [reader.name], reader.shape, reader.channel_axis, layer=relu.layer)
    graph.insert(moved, after=reader.name)
    graph.redirect(reader.name, name)
