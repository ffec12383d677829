"""Moves a ReLU below the max pooling that reads it: `maxpool(relu(x)) = relu(maxpool(x))`, exactly.

The same holds for every function that never falls, a LeakyReLU for example.

The pooling then works on currents, in front of its population, which has fewer neurons.
"""

from snn_toolbox_tf.activations import rectifier_of
from snn_toolbox_tf.graph import Activation, Graph, MaxPool, Node, Synapse
from snn_toolbox_tf.synapses import family_of


def sink_relu_below_pooling(graph: Graph) -> None:
    """Applies the rewrite until nothing changes. Other readers of the ReLU keep it."""
    while (found := _find(graph)) is not None:
        _swap(graph, *found)
        graph.sort()


def _find(graph: Graph) -> tuple[Activation, Node] | None:
    for relu in graph.of_type(Activation):
        rectifier = rectifier_of(relu.layer)
        if rectifier is None or not (rectifier.monotone and rectifier.uniform):
            continue
        for reader in graph.consumers(relu.name):
            if _leads_to_pooling(graph, reader, keeps_zero=rectifier.keeps_zero):
                return relu, reader
    return None


def _leads_to_pooling(graph: Graph, node: Node, *, keeps_zero: bool) -> bool:
    """Whether a node is a max pooling, or only moves values on their way to one; padding adds zeros."""
    if isinstance(node, MaxPool):
        # The winner is chosen by its spikes, so that the population must stay in front.
        return node.rule == "accumulated"
    if not isinstance(node, Synapse) or not family_of(node).commutes_with_relu:
        return False
    if family_of(node).adds_zeros and not keeps_zero:
        return False
    readers = graph.consumers(node.name)
    alone = graph.readers(node.name) == 1 and len(readers) == 1
    return alone and _leads_to_pooling(graph, readers[0], keeps_zero=keeps_zero)


def _swap(graph: Graph, relu: Activation, reader: Node) -> None:
    alone = graph.readers(relu.name) == 1
    reader.inputs = [relu.inputs[0]]
    if alone:
        graph.delete(relu.name)
    name = relu.name if alone else graph.unique_name(f"{relu.name}_{reader.name}")
    moved = Activation(name, [reader.name], reader.shape, reader.channel_axis, origin=relu.origin, layer=relu.layer)
    graph.insert(moved, after=reader.name)
    graph.redirect(reader.name, name)
