"""What a simulation costs: synaptic operations (a spike times its fan-out) and multiply-accumulates.

A synapse that reads spikes adds a weight per spike and outgoing connection. A synapse that reads real values (the analog
input, or a current, as a pointwise after a depthwise convolution does) multiplies and accumulates, all of it at every
timestep; for a constant input, once per sample.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, InputNode, Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.synapses import family_of


@dataclasses.dataclass(frozen=True)
class SynapseCost:
    """How to count one synapse's operations.

    Attributes:
        name: The synapse.
        source: The node that it reads.
        reads: "spikes", "constant" (once per sample) or "current" (once per timestep).
        fan_out: Outgoing connections of each element of the source: float64, the source's shape.
    """

    name: str
    source: str
    reads: str
    fan_out: np.ndarray


def synapse_costs(network: Network, input_mode: str) -> list[SynapseCost]:
    """Returns one entry per synapse that costs anything.

    Args:
        network: The network.
        input_mode: "analog", "poisson" or "frames".

    Returns:
        Costs in the graph's order. Layers that only move values, sums and biases cost nothing here.
    """
    graph = network.graph
    carries = _carriers(graph, input_mode)
    costs = []
    for node in graph.of_type(Synapse):
        family = family_of(node)
        if family.weighted or (family.sums and not family.keeps_spikes(node)):
            source = node.inputs[0]
            fan_out = np.asarray(family.fan_out(network.with_weights(node), graph[source].shape))
            costs.append(SynapseCost(node.name, source, carries[source], fan_out))
    return costs


def _carriers(graph: Graph, input_mode: str) -> dict[str, str]:
    """What each node's output is: "spikes", a "constant" or a "current"."""
    inputs = {"analog": "constant", "poisson": "spikes", "frames": "current"}[input_mode]
    carries: dict[str, str] = {}
    for node in graph:
        kinds = {carries[name] for name in node.inputs}
        moves = isinstance(node, Synapse) and family_of(node).keeps_spikes(node)
        if isinstance(node, InputNode):
            carries[node.name] = inputs
        elif isinstance(node, Population):
            carries[node.name] = "spikes"
        elif kinds == {"constant"}:
            carries[node.name] = "constant"
        else:
            carries[node.name] = "spikes" if moves and kinds == {"spikes"} else "current"
    return carries


class OperationCounter:
    """Turns spike counts into operations per sample.

    Args:
        network: The spiking network.
        input_mode: "analog", "poisson" or "frames".
    """

    def __init__(self, network: Network, input_mode: str) -> None:
        self._network = network
        self._costs = synapse_costs(network, input_mode)
        self._found: dict[str, tuple[list[str], tf.Tensor]] | None = None

    def count(
        self, spike_counts: Mapping[str, tf.Tensor], samples: int, timesteps: int | np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns the operations of a batch.

        Args:
            spike_counts: Spikes per neuron over all timesteps, `[samples, ...]` per population (and input).
            samples: Number of samples.
            timesteps: Number of timesteps, of all samples or one of each, `[samples]`.

        Returns:
            Synaptic operations and multiply-accumulates, float64 `[samples]` per synapse.
        """
        synaptic = {cost.name: np.zeros(samples) for cost in self._costs if cost.reads == "spikes"}
        for source, (names, fan_outs) in self._fan_outs().items():
            counts = tf.reshape(tf.cast(spike_counts[source], tf.float64), [samples, -1])
            for name, operations in zip(names, tf.linalg.matmul(counts, fan_outs).numpy().T, strict=True):
                synaptic[name] += operations
        multiply = {
            cost.name: np.full(samples, cost.fan_out.sum()) * (1 if cost.reads == "constant" else timesteps)
            for cost in self._costs
            if cost.reads != "spikes"
        }
        return synaptic, multiply

    def fan_out_totals(self) -> dict[str, np.ndarray]:
        """Returns what a spike of each neuron costs, all synapses together: float64 `[neurons]` by its population."""
        return {source: fan_outs.numpy().sum(axis=1) for source, (_, fan_outs) in self._fan_outs().items()}

    def multiplied(self) -> tuple[float, float]:
        """Returns the multiply-accumulates of a sample, all synapses together: made once, and per timestep."""
        once = sum(cost.fan_out.sum() for cost in self._costs if cost.reads == "constant")
        return float(once), float(sum(cost.fan_out.sum() for cost in self._costs if cost.reads == "current"))

    def _fan_outs(self) -> dict[str, tuple[list[str], tf.Tensor]]:
        """Where each spike of a population (or input) goes: names of synapses, and fan-outs, float64 `[neurons, synapses]`.

        Layers that only move spikes are linear: what a spike costs behind them is a gradient, found once.
        """
        if self._found is None:
            columns: dict[str, dict[str, tf.Tensor]] = {}
            for cost in self._costs:
                if cost.reads == "spikes":
                    for source, fan_out in self._at_sources(cost).items():
                        columns.setdefault(source, {})[cost.name] = fan_out
            self._found = {
                source: (list(fan_outs), tf.stack(list(fan_outs.values()), axis=1))
                for source, fan_outs in columns.items()
            }
        return self._found

    def _at_sources(self, cost: SynapseCost) -> dict[str, tf.Tensor]:
        """A synapse's fan-outs, brought back to the populations (and inputs) whose spikes it reads."""
        spikes: dict[str, tf.Tensor] = {}
        with tf.GradientTape() as tape:
            carried = self._carried(cost.source, spikes, tape)
            total = tf.reduce_sum(tf.cast(carried, tf.float64) * cost.fan_out)
        return {
            name: tf.cast(tf.reshape(fan_out, [-1]), tf.float64)
            for name, fan_out in tape.gradient(total, spikes).items()
        }

    def _carried(self, name: str, spikes: dict[str, tf.Tensor], tape: tf.GradientTape) -> tf.Tensor:
        """The spikes as they arrive at a node, through layers that only move them."""
        node = self._network.graph[name]
        if isinstance(node, Synapse):
            return self._network.apply(node, [self._carried(source, spikes, tape) for source in node.inputs])
        if name not in spikes:
            spikes[name] = tf.ones([1, *node.shape])
            tape.watch(spikes[name])
        return spikes[name]
