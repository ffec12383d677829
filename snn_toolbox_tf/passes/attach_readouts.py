"""Gives each output its readout: the current to sum over time, and the nonlinearity to apply after decoding.

The rule for a ReLU that is an output: it is decoded like softmax, as ReLU of the time-averaged current. If inner nodes
read it too, they get a population of their own; the output does not wait for its spikes.
"""

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Activation, Graph


def attach_readouts(graph: Graph) -> None:
    """Moves output nonlinearities into the readouts."""
    for readout in graph.readouts:
        node = graph[readout.node]
        if isinstance(node, Activation) and vocabulary.is_output_nonlinearity(node.layer):
            readout.nonlinearity = node.layer
            readout.node = node.inputs[0]
    graph.prune()
