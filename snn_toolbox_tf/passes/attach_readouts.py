"""Gives each output its readout: the current to sum over time, and what to apply after decoding.

The rule for a ReLU that is an output: it is decoded like softmax, as ReLU of the time-averaged current. If inner nodes
read it too, they get a population of their own; the output does not wait for its spikes.
"""

from collections.abc import Iterator

from snn_toolbox_tf.activations import is_output_nonlinearity, rectifier_of
from snn_toolbox_tf.graph import Activation, Graph, Node, Synapse
from snn_toolbox_tf.synapses import family_of


def attach_readouts(graph: Graph) -> None:
    """Moves output nonlinearities, and what only rearranges or scales behind them, into the readouts."""
    for readout in graph.readouts:
        tail = list(_tail(graph, readout.node))
        # A ReLU has a place inside the network, unless it is the output itself; a softmax has none.
        first = [
            place for place, node in enumerate(tail) if isinstance(node, Activation) and not (place and _fires(node))
        ]
        if first:
            readout.shape = graph[readout.node].shape
            readout.decoder = [node.layer for node in reversed(tail[: first[-1] + 1])]
            readout.node = tail[first[-1]].inputs[0]
    graph.prune()


def _tail(graph: Graph, name: str) -> Iterator[Activation | Synapse]:
    """From an output backwards: the nodes that could as well be applied to what was decoded."""
    node: Node = graph[name]
    while isinstance(node, (Activation, Synapse)) and len(node.inputs) == 1 and _decodable(node):
        yield node
        node = graph[node.inputs[0]]


def _decodable(node: Activation | Synapse) -> bool:
    if isinstance(node, Activation) and node.tied:
        # Other windows of the same neurons fire, and share their weights with this one.
        return False
    if isinstance(node, Activation):
        return is_output_nonlinearity(node.layer)
    return family_of(node).decodable


def _fires(node: Activation) -> bool:
    return rectifier_of(node.layer) is not None
