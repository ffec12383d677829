"""Puts a population of spiking neurons where each inner ReLU stood."""

from snn_toolbox_tf.activations import TRAINED_RECTIFIERS, rectifier_of
from snn_toolbox_tf.graph import Activation, Graph, Population


def place_populations(graph: Graph) -> None:
    """Replaces every activation (all are ReLUs by now) by a population with threshold 1, to be calibrated."""
    for node in graph.of_type(Activation):
        population = Population(
            node.name, node.inputs, node.shape, node.channel_axis, origin=node.origin, tied=node.tied
        )
        population.threshold = population.channel_vector(1.0)
        rectifier = rectifier_of(node.layer)
        if rectifier is not None and rectifier.pieces[0].max_value is not None:
            population.max_value = population.channel_vector(rectifier.pieces[0].max_value)
        if node.layer.class_name in TRAINED_RECTIFIERS:
            population.trained_threshold = population.max_value
            population.levels = node.layer.config.get("levels")
        graph.replace(population)
