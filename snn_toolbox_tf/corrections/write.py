"""Writes what corrections have found into the graph: thresholds, initial potentials, and biases of the layers in front."""

from collections.abc import Mapping

import numpy as np

from snn_toolbox_tf.corrections.setting import Setting
from snn_toolbox_tf.graph import Graph, MaxPool, Node, Population, Synapse, sample_axis
from snn_toolbox_tf.synapses import family_of, is_weighted, scale_spec, weighted_family

#: Initial potentials are multiples of this part of the threshold.
POTENTIAL_STEP = 2.0**-8


def write_settings(graph: Graph, settings: Mapping[str, Setting]) -> None:
    """Gives populations their settings.

    Args:
        graph: The graph with its source's weights, changed in place.
        settings: By population.
    """
    for node in graph.of_type(Population):
        setting = settings[node.name]
        node.threshold = node.channel_vector(_one_or_all(setting.threshold))
        potential = np.round(setting.initial_potential / POTENTIAL_STEP) * POTENTIAL_STEP
        differs = (potential != node.neuron.v0).any()
        node.initial_potential = node.channel_vector(_one_or_all(potential)) if differs else None
        if setting.bias.any():
            add_bias(graph, node, setting.bias)


def _one_or_all(values: np.ndarray) -> np.ndarray:
    return values if values.size > 1 else values.reshape(())


def add_bias(graph: Graph, node: Population, bias: np.ndarray) -> None:
    """Adds a constant current to what a population receives, one for all neurons or one per channel.

    It goes into the bias of the weighted layer in front, where only this population reads it; otherwise a `Scale` with an
    offset comes between.
    """
    reader: Node = node
    while True:
        before = graph[reader.inputs[0]]
        # A sum takes up a bias in any of its terms, a maximum in all that it compares.
        lone = [name for name in reader.inputs if graph.readers(name) == 1]
        weighted = [graph[name] for name in lone if _takes_bias(graph[name], node)]
        if weighted:
            synapse = weighted[0]
            values = np.broadcast_to(bias, (node.shape[node.channel_axis],))
            weighted_family(synapse).add_bias(synapse.layer, values, synapse.shape[weighted_family(synapse).weight_axis(synapse)])
            return
        if len(reader.inputs) > 1 or before.name not in lone or not _lets_bias_through(before, node):
            break
        reader = before
    factor = np.ones(bias.size)
    spec = scale_spec(factor, bias, axis=node.channel_axis + 1)
    name = graph.unique_name(f"{node.name}_bias")
    between = Synapse(name, [node.inputs[0]], node.shape, channel_axis=node.channel_axis, layer=spec, dtype=_dtype(graph, node))
    graph.insert_on_edge(between, node)


def _takes_bias(synapse: Node, node: Population) -> bool:
    """Whether a layer's bias is a current per channel of the population."""
    return (
        isinstance(synapse, Synapse)
        and is_weighted(synapse)
        and len(synapse.shape) == len(node.shape)
        and weighted_family(synapse).weight_axis(synapse) == node.channel_axis
        and synapse.shape[node.channel_axis] == node.shape[node.channel_axis]
    )


def _lets_bias_through(between: Node, node: Population) -> bool:
    same = len(between.shape) == len(node.shape) and between.channel_axis == node.channel_axis
    return same and (isinstance(between, MaxPool) or (isinstance(between, Synapse) and family_of(between).absorbed_as == "sum"))


def _dtype(graph: Graph, node: Population) -> str:
    return graph[node.inputs[0]].dtype if node.inputs[0] not in graph.spiking_ancestry() else "float32"
