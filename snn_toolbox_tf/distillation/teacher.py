"""The source network, whose outputs and activations a spiking network learns."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

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

    def run(self, inputs: Mapping[str, tf.Tensor]) -> tuple[Any, dict[str, tf.Tensor]]:
        """Returns decoded outputs in the source's structure, and the activations that populations stand for."""
        values = self._network.run_as_ann(inputs)
        outputs = self._network.decode([values[name] for name in self._readouts])
        return outputs, {name: values[name] for name in self._populations}
