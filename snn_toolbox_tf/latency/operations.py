"""What a run in latency code costs: a spike times its fan-out, once; and multiply-accumulates where no spikes are read."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, InputNode, MaxPool, Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.operations import SynapseCost, synapse_costs
from snn_toolbox_tf.synapses import family_of


class LatencyOperations:
    """Counts the operations of a network's synapses.

    A synapse that reads spikes, perhaps through layers that only move them about or pass on the earliest one, adds a weight
    per spike and connection. One that reads an analog input, or what another synapse has made of spikes, multiplies and
    accumulates, once per sample.

    Args:
        network: The network.
        spiking: Names of the populations and inputs that spike.
    """

    def __init__(self, network: Network, spiking: list[str]) -> None:
        carriers = _carriers(network.graph, spiking)
        self.costs: list[SynapseCost] = [
            dataclasses.replace(cost, reads="spikes" if cost.source in carriers else "current")
            for cost in synapse_costs(network, "poisson")
        ]

    def count(self, values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the operations of each synapse that reads spikes, float64 `[batch]` by name.

        Args:
            values: What each node gave, `[batch, ...]`: 0 where no spike came.
        """
        counted = {}
        for cost in self.costs:
            if cost.reads == "spikes":
                spikes = tf.cast(tf.not_equal(values[cost.source], 0), tf.float64)
                flat = tf.reshape(spikes, [-1, cost.fan_out.size])
                counted[cost.name] = tf.linalg.matvec(flat, tf.constant(cost.fan_out.reshape(-1), tf.float64))
        return counted

    def multiplied(self) -> dict[str, float]:
        """Returns the multiply-accumulates of a sample by synapse, of those that read no spikes."""
        return {cost.name: float(cost.fan_out.sum()) for cost in self.costs if cost.reads != "spikes"}

    @property
    def ann_multiply_accumulates(self) -> float:
        """Multiply-accumulates of the same layers in the ANN, per sample."""
        return float(np.sum([cost.fan_out.sum() for cost in self.costs]))


def _carriers(graph: Graph, spiking: list[str]) -> set[str]:
    """Returns the names of nodes whose outputs are spikes: each 0 or what one spike has brought."""
    names: set[str] = set()
    for node in graph:
        if isinstance(node, (InputNode, Population)):
            carries = node.name in spiking
        else:
            moves = isinstance(node, MaxPool) or (isinstance(node, Synapse) and family_of(node).keeps_spikes(node))
            carries = moves and all(name in names for name in node.inputs)
        if carries:
            names.add(node.name)
    return names
