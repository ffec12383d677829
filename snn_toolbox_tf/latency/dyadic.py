"""Weights on a dyadic grid, on which sums of a clocked network are exact in float64, in any order.

A spike at one of S timesteps brings a whole number of timesteps, whose length has 8 significant bits. Times a weight of 20
bits, summed over a fan-in of 2^12 with S = 2^10, this stays below the 53 bits of float64. That the same spikes come whatever
the batch size and the machine depends on it: a potential on the edge of a timestep falls to one side.
"""

import math

import numpy as np

from snn_toolbox_tf.graph import Graph, InputNode, LayerNode, MaxPool, Population, Synapse
from snn_toolbox_tf.synapses import family_of, is_weighted, sources_of, weighted_family

#: Bits of a weight, below the largest one of its layer: its rounding error is less than what float32 networks differ by.
WEIGHT_BITS = 20
_FLOAT64_BITS = 53


def round_weights(graph: Graph, timestep: dict[str, float], largest: dict[str, float]) -> list[str]:
    """Rounds the weights of a clocked network, in place.

    Args:
        graph: The network, with its weights.
        timestep: Length of a timestep of each population, and of each input that spikes.
        largest: How large the values of these become.

    Returns:
        Names of the populations whose sums are not exact: behind an analog input, means over windows whose size is no power
        of two, or several layers with weights in a row.
    """
    bits: dict[str, float] = {}
    bounds: dict[str, float] = {}
    inexact = []
    for node in graph:
        if isinstance(node, Population) and bits[node.inputs[0]] + _exponent(bounds[node.inputs[0]]) > _FLOAT64_BITS:
            inexact.append(node.name)
        if node.name in timestep:
            bits[node.name], bounds[node.name] = _fractional_bits(timestep[node.name]), largest[node.name]
        elif isinstance(node, InputNode):
            bits[node.name], bounds[node.name] = math.inf, 1.0
        elif is_weighted(node):
            bits[node.name] = _rounded(node, bits[node.inputs[0]])
            bounds[node.name] = _bound(graph, node, bounds)
        elif isinstance(node, (Synapse, MaxPool)):
            bits[node.name] = max(_behind(graph, node, bits))
            bounds[node.name] = _bound(graph, node, bounds)
    return inexact


def _rounded(node: Synapse, before: float) -> float:
    """Rounds a layer's weights; returns the fractional bits of its output."""
    family, weights = weighted_family(node), node.layer.weights
    kernel = np.asarray(weights[family.kernel], np.float64)
    bits = WEIGHT_BITS - _exponent(float(np.abs(kernel).max()))
    weights[family.kernel] = np.round(np.ldexp(kernel, bits)) * 2.0**-bits
    if family.bias in weights and math.isfinite(before + bits):
        unit = 2.0 ** -(before + bits)
        weights[family.bias] = np.round(np.asarray(weights[family.bias], np.float64) / unit) * unit
    return before + bits


def _behind(graph: Graph, node: LayerNode, bits: dict[str, float]) -> list[float]:
    family = family_of(node)
    added = [family.added_bits(node, source) for source in sources_of(graph, node)]
    if isinstance(node, MaxPool) or len(added) > 1:
        # Sums and maxima of several inputs divide nothing.
        added = [0] * len(added)
    return [math.inf if more is None else bits[name] + more for name, more in zip(node.inputs, added, strict=True)]


def _bound(graph: Graph, node: LayerNode, bounds: dict[str, float]) -> float:
    """How large a sum, and every part of it, can become."""
    inputs = [np.full(graph[name].shape, bounds[name]) for name in node.inputs]
    return float(family_of(node).largest_magnitude(node, inputs).max())


def _exponent(value: float) -> int:
    """Returns the smallest e with |value| <= 2^e; that of 0 is 0."""
    return math.ceil(math.log2(value)) if value > 0 else 0


def _fractional_bits(value: float) -> int:
    """Returns how many bits a number has behind the binary point; negative if it ends in front of it."""
    mantissa, exponent = math.frexp(value)
    whole = int(math.ldexp(mantissa, _FLOAT64_BITS))
    return _FLOAT64_BITS - exponent - ((whole & -whole).bit_length() - 1)
