"""Writes what was learnt into the graph."""

import numpy as np

from snn_toolbox_tf.corrections.write import add_bias, write_weights
from snn_toolbox_tf.distillation.student import Student
from snn_toolbox_tf.distillation.variables import learns
from snn_toolbox_tf.graph import Graph, Population


def write_student(graph: Graph, student: Student, *, weights: bool) -> None:
    """Gives a graph what a student has learnt.

    Args:
        graph: The graph that the student was made from, changed in place.
        student: The student.
        weights: Whether its weights were trained.
    """
    if weights:
        write_weights(graph, student.network.weight_values())
    for node in filter(learns, graph.of_type(Population)):
        learnt = student.populations[node.name]
        node.threshold = learnt.threshold.numpy().astype(np.float64)
        potential = learnt.initial_potential.numpy().astype(np.float64)
        node.initial_potential = potential if (potential != node.neuron.v0).any() else None
        bias = (learnt.bias * learnt.threshold).numpy().astype(np.float64)
        if bias.any():
            node.added_bias = bias if node.added_bias is None else node.added_bias + bias
            add_bias(graph, node, bias.reshape(-1))
