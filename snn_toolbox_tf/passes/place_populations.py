"""Puts a population of spiking neurons where each inner ReLU stood."""

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Activation, Graph, Population


def place_populations(graph: Graph) -> None:
    """Replaces every activation (all are ReLUs by now) by a population with threshold 1, to be calibrated."""
    for node in graph.of_type(Activation):
        _, bound = vocabulary.relu_bound(node.layer.class_name, node.layer.config)
        population = Population(node.name, node.inputs, node.shape, node.channel_axis)
        population.threshold = population.channel_vector(1.0)
        if bound is not None:
            population.max_value = population.channel_vector(bound)
        graph.replace(population)
