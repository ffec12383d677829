"""Bounds on what a node of the normalised graph can put out, whatever its populations do."""

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, Input, LayerSpec, MaxPool, Population, Synapse
from snn_toolbox_tf.network import build_layer


def absolute_bounds(graph: Graph, given: dict[str, float]) -> dict[str, float]:
    """Returns the largest absolute value that each node, and each partial sum inside it, can take in one timestep.

    Spikes are at most 1; a synapse's bound is what its layer gives for its inputs' bounds with all weights made positive.

    Args:
        graph: A normalised graph.
        given: Bounds of nodes that are not to be derived from their inputs: what real-valued input reaches.

    Returns:
        A bound by node name.
    """
    bounds: dict[str, np.ndarray] = {}
    for node in graph:
        if node.name in given:
            bounds[node.name] = np.full(node.shape, given[node.name])
        elif isinstance(node, (Population, Input)):
            bounds[node.name] = np.ones(node.shape)
        elif isinstance(node, (Synapse, MaxPool)):
            spec = node.layer
            class_name = "Add" if spec.class_name == "Subtract" else spec.class_name
            positive = LayerSpec(class_name, spec.config, {key: np.abs(value) for key, value in spec.weights.items()})
            inputs = [bounds[name][np.newaxis] for name in node.inputs]
            layer = build_layer(positive, node.name, "float64", [array.shape for array in inputs])
            outputs = layer(inputs if len(inputs) > 1 else inputs[0])
            bounds[node.name] = tf.convert_to_tensor(outputs).numpy()[0]
    return {name: float(array.max()) for name, array in bounds.items()}
