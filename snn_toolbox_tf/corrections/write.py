"""Writes what corrections have found into the graph: thresholds, initial potentials, and biases of the layers in front."""

from collections.abc import Mapping
from typing import TypeGuard

import numpy as np

from snn_toolbox_tf.corrections.setting import Setting
from snn_toolbox_tf.graph import Graph, MaxPool, Node, Population, Synapse
from snn_toolbox_tf.synapses import family_of, is_weighted, scale_spec, weighted_family

#: Initial potentials are multiples of this part of the threshold.
POTENTIAL_STEP = 2.0**-8
#: Biases of single timesteps are multiples of this part of the threshold.
TIMED_STEP = 2.0**-12


def write_settings(graph: Graph, settings: Mapping[str, Setting]) -> None:
    """Gives populations their settings.

    Args:
        graph: The graph with its source's weights, changed in place.
        settings: By population.
    """
    for node in graph.of_type(Population):
        setting = settings[node.name]
        node.threshold = np.array(setting.threshold)
        potential = np.round(setting.initial_potential / POTENTIAL_STEP) * POTENTIAL_STEP
        differs = (potential != node.neuron.v0).any()
        node.initial_potential = potential if differs else None
        if setting.timed_bias is not None:
            node.timed_bias = _in_thresholds(node, setting.timed_bias)
        if setting.gain is not None and (setting.gain != 1.0).any():
            node.added_gain = setting.gain
            amplify(graph, node, setting.gain.reshape(-1))
        if setting.bias.any():
            node.added_bias = setting.bias
            add_bias(graph, node, setting.bias.reshape(-1))


def write_weights(graph: Graph, weights: Mapping[tuple[str, str], np.ndarray]) -> None:
    """Gives layers other weights.

    Args:
        graph: The graph, changed in place.
        weights: By node and name; of windows of the same synapses, the first one's.
    """
    of_windows = {graph[owner].shared_name: owner for owner, _ in weights}
    for node in graph.of_type(Synapse):
        given = of_windows.get(node.shared_name)
        names = [name for owner, name in weights if owner == given]
        # Arrays are replaced, never changed: copies of the graph share them.
        node.layer.weights |= {name: weights[given, name].astype(np.float64) for name in names if given is not None}


def _in_thresholds(node: Population, timed_bias: np.ndarray) -> np.ndarray:
    """Returns currents `[timesteps, ...]` in units of the threshold, `[timesteps, channels]`."""
    relative = np.round(timed_bias / node.threshold / TIMED_STEP) * TIMED_STEP
    per_channel = relative.reshape(len(relative), -1)
    return np.broadcast_to(per_channel, (len(relative), node.shape[node.channel_axis])).copy()


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
        weighted = [synapse for name in lone if _takes_bias(synapse := graph[name], node)]
        if weighted:
            synapse = weighted[0]
            channels = node.shape[node.channel_axis]
            weighted_family(synapse).add_bias(synapse.layer, np.broadcast_to(bias, (channels,)), channels)
            return
        if len(reader.inputs) > 1 or before.name not in lone or not _lets_bias_through(before, node):
            break
        reader = before
    _insert_scale(graph, node, "bias", np.ones(bias.size), bias)


def amplify(graph: Graph, node: Population, gain: np.ndarray) -> None:
    """Multiplies what a population receives by a gain, one for all neurons or one per channel.

    It goes into the weighted layer in front, where only this population reads it; otherwise a `Scale` comes between.
    """
    source = graph[node.inputs[0]]
    if graph.readers(source.name) == 1 and _takes_bias(source, node):
        weighted_family(source).scale_output(source.layer, np.broadcast_to(gain, (node.shape[node.channel_axis],)))
        return
    _insert_scale(graph, node, "gain", gain, None)


def _insert_scale(graph: Graph, node: Population, what: str, factor: np.ndarray, offset: np.ndarray | None) -> None:
    spec = scale_spec(factor, offset, axis=node.channel_axis + 1)
    name, axis = graph.unique_name(f"{node.name}_{what}"), node.channel_axis
    between = Synapse(name, [node.inputs[0]], node.shape, channel_axis=axis, layer=spec, dtype=_dtype(graph, node))
    graph.insert_on_edge(between, node)


def _takes_bias(synapse: Node, node: Population) -> TypeGuard[Synapse]:
    """Whether a layer's bias is a current per channel of the population, and a factor of its output one of that current."""
    return (
        is_weighted(synapse)
        and len(synapse.shape) == len(node.shape)
        and weighted_family(synapse).weight_axis(synapse) == node.channel_axis
        and synapse.shape[node.channel_axis] == node.shape[node.channel_axis]
    )


def _lets_bias_through(between: Node, node: Population) -> bool:
    same = len(between.shape) == len(node.shape) and between.channel_axis == node.channel_axis
    return same and (
        isinstance(between, MaxPool) or (isinstance(between, Synapse) and family_of(between).absorbed_as == "sum")
    )


def _dtype(graph: Graph, node: Population) -> str:
    return graph[node.inputs[0]].dtype if node.inputs[0] not in graph.spiking_ancestry() else "float32"
