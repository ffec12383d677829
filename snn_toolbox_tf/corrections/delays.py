"""How late spikes are that have come through synaptic filters, and what follows for readouts and initial potentials.

A filter spreads each unit of charge over the timesteps that follow: with s = exp(-dt / tau_s), the share (1 - s) s^n of it
is late by n, on average by s / (1 - s), with variance s / (1 - s)^2 (a geometric distribution; twice as much of an alpha
function, which is two filters in a row). Behind several filters both add up. What comes within the first timesteps of a run
is too little, by the delay times the steady current.
"""

import math
from typing import NamedTuple

import numpy as np

from snn_toolbox_tf.corrections.steps import HIGHEST_POTENTIAL, LOWEST_POTENTIAL
from snn_toolbox_tf.graph import Graph, InputNode, Population
from snn_toolbox_tf.network import Network

#: Readouts begin this many standard deviations behind the mean delay, and leave out this share of T at most.
_DEVIATIONS, _LARGEST_SHARE = 2.0, 0.5


class Delay(NamedTuple):
    """By how many timesteps charge is late: mean and variance."""

    mean: float
    variance: float


def delays(graph: Graph) -> dict[str, Delay]:
    """Returns by how much the output of each node is late, on the path on which it is latest."""
    found: dict[str, Delay] = {}
    for node in graph:
        before = max((found[name] for name in node.inputs if name in found), default=Delay(0.0, 0.0))
        if isinstance(node, Population):
            own = node.neuron.synaptic_delay
            before = Delay(before.mean + own, before.variance + own / node.neuron.passed_share)
        found[node.name] = before
    return found


def settled_from(graph: Graph, timesteps: int) -> int:
    """Returns how many timesteps readouts leave out, by which most of what synaptic filters hold back has come: 0 without.

    Args:
        graph: The graph with its neurons.
        timesteps: T, of which at least half are left.
    """
    found = delays(graph)
    latest = max((found[readout.node] for readout in graph.readouts), default=Delay(0.0, 0.0))
    start = math.ceil(latest.mean + _DEVIATIONS * math.sqrt(latest.variance))
    return min(start, int(timesteps * _LARGEST_SHARE))


def wait_with_biases(network: Network) -> None:
    """Gives populations behind synaptic filters initial potentials that take back what biases do before spikes come.

    Biases are there from the first timestep on, and spikes are late by d timesteps: until then, the bias b alone has charged
    the membrane by d b more than it would have together with the spikes. The initial potential is lower by d b / theta.

    Args:
        network: The network with its source's weights, its thresholds and its neurons; the nodes of its graph are changed.
    """
    graph = network.graph
    found = delays(graph)
    late = [
        node
        for node in graph.of_type(Population)
        if found[node.inputs[0]].mean > 0 and node.trained_threshold is None and not node.tied
    ]
    if not late:
        return
    silence = {
        node.name: np.zeros((1, *node.shape), network.input_dtype(node.name)) for node in graph.of_type(InputNode)
    }
    currents = network.run(silence, population=lambda node, current: current * 0.0)
    for node in late:
        current = np.asarray(currents[node.inputs[0]], np.float64)[0]
        others = tuple(axis for axis in range(current.ndim) if axis != node.channel_axis)
        bias = node.channel_vector(current.mean(axis=others))
        charged = found[node.inputs[0]].mean * bias / node.threshold
        node.initial_potential = np.clip(node.neuron.v0 - charged, LOWEST_POTENTIAL, HIGHEST_POTENTIAL)
