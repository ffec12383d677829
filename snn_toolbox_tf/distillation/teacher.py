"""The source network, whose outputs and activations a spiking network learns."""

from collections.abc import Mapping

import tensorflow as tf

from snn_toolbox_tf.distillation.loss import Answer
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.network import Network


class Teacher:
    """A source network.

    Args:
        graph: Its graph, before anything was corrected.
    """

    def __init__(self, graph: Graph) -> None:
        self._network = Network(graph, dtype="float32")
        self._populations = [node.name for node in graph.of_type(Population)]
        self._readouts = [readout.node for readout in graph.readouts]

    def run(self, inputs: Mapping[str, tf.Tensor]) -> Answer:
        """Returns what it gives for a tensor `[batch, ...]` per input."""
        values = self._network.run_as_ann(inputs)
        readouts = [values[name] for name in self._readouts]
        return Answer(self._network.decode(readouts), readouts, {name: values[name] for name in self._populations})
