"""Neurons that fire above their threshold, as NIR has them, made of neurons that fire at it."""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import Graph, LayerNode, Population
from snn_toolbox_tf.synapses import family_of, is_rounding, is_weighted, sources_of, weighted_family

#: A float32 below 1 has no more fractional bits, however fine the grid of a small current is.
_MOST_BITS = 24


def fire_above_threshold(graph: Graph) -> None:
    """Has neurons with threshold 1 that integrate perfectly, and are reset by subtraction, fire above it.

    Their potentials are multiples of a unit u, so v > 1 is v - u >= 1: they start one unit lower, and what a spike subtracts
    stays 1. Potentials that leak have no unit: the threshold of such neurons is the smallest float32 above 1.

    Args:
        graph: The graph, on its grid; initial potentials are changed.
    """
    bits = _fractional_bits(graph)
    for node in graph.of_type(Population):
        if node.neuron.integrates_perfectly:
            unit = 2.0 ** -min(bits[node.inputs[0]], _MOST_BITS)
            if node.initial_potential is not None:
                node.initial_potential = node.initial_potential - unit
            node.neuron = dataclasses.replace(node.neuron, v0=node.neuron.v0 - unit)


def _fractional_bits(graph: Graph) -> dict[str, int]:
    """Returns the most fractional bits of each node that depends on spikes, or rounds."""
    spiking, bits = graph.spiking_ancestry(), {}
    for node in graph:
        if isinstance(node, Population):
            bits[node.name] = 0
        elif isinstance(node, LayerNode) and is_rounding(node):
            bits[node.name] = int(node.layer.config["bits"])
        elif isinstance(node, LayerNode) and node.name in spiking:
            bits[node.name] = _bits_of_output(graph, node, [bits[name] for name in node.inputs])
    return bits


def _bits_of_output(graph: Graph, node: LayerNode, inputs: list[int]) -> int:
    if is_weighted(node):
        return int(np.max(node.layer.fractional_bits[weighted_family(node).kernel])) + max(inputs)
    found = family_of(node).bits_of_output(node, sources_of(graph, node), [np.array([number]) for number in inputs])
    # What leaves the grid is rounded by the node that follows.
    return _MOST_BITS if found is None else int(found.max())
