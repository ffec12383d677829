"""What a simulation costs: synaptic operations (a spike times its fan-out) and multiply-accumulates.

A synapse that reads spikes adds a weight per spike and outgoing connection. A synapse that reads real values (the analog
input, or a current, as a pointwise after a depthwise convolution does) multiplies and accumulates, all of it at every
timestep; for a constant input, once per sample.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

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


class Counted(NamedTuple):
    """The operations of a batch.

    Attributes:
        synaptic_operations: Of each sample, float64 `[samples]` per synapse that reads spikes.
        multiply_accumulates: Of each sample, float64 `[samples]` per synapse that reads real values.
        arriving_spikes: Spikes that arrive at each synapse, the mean over the samples.
        active_connections: Connections that leave inputs with at least one spike, the mean over the samples.
    """

    synaptic_operations: dict[str, np.ndarray]
    multiply_accumulates: dict[str, np.ndarray]
    arriving_spikes: dict[str, float]
    active_connections: dict[str, float]


class Outgoing(NamedTuple):
    """Where the spikes of a population (or input) go.

    Attributes:
        names: The synapses that read them.
        fan_outs: Connections of each neuron to each synapse, float64 `[neurons, synapses]`.
        arrivals: At how many places of each synapse's input a spike arrives, float64 `[neurons, synapses]`.
    """

    names: list[str]
    fan_outs: tf.Tensor
    arrivals: tf.Tensor


class OperationCounter:
    """Turns spike counts into operations per sample.

    Args:
        network: The spiking network.
        input_mode: "analog", "poisson" or "frames".
    """

    def __init__(self, network: Network, input_mode: str) -> None:
        self._network = network
        self._costs = synapse_costs(network, input_mode)
        self._found: dict[str, Outgoing] | None = None

    def count(self, spike_counts: Mapping[str, tf.Tensor], samples: int, timesteps: int | np.ndarray) -> Counted:
        """Returns the operations of a batch.

        Args:
            spike_counts: Spikes per neuron over all timesteps, `[samples, ...]` per population (and input).
            samples: Number of samples.
            timesteps: Number of timesteps, of all samples or one of each, `[samples]`.
        """
        synaptic = {cost.name: np.zeros(samples) for cost in self._costs if cost.reads == "spikes"}
        arriving, active = dict.fromkeys(synaptic, 0.0), dict.fromkeys(synaptic, 0.0)
        outgoing = self._outgoing()
        found = _products(
            {source: (spike_counts[source], one.fan_outs, one.arrivals) for source, one in outgoing.items()}
        )
        for source, one in outgoing.items():
            operations, arrivals, connected = (tensor.numpy() for tensor in found[source])
            for place, name in enumerate(one.names):
                synaptic[name] += operations[:, place]
                arriving[name] += float(arrivals[place]) / samples
                active[name] += float(connected[place]) / samples
        multiply = {
            cost.name: np.full(samples, cost.fan_out.sum()) * (1 if cost.reads == "constant" else timesteps)
            for cost in self._costs
            if cost.reads != "spikes"
        }
        return Counted(synaptic, multiply, arriving, active)

    @property
    def costs(self) -> list[SynapseCost]:
        """How each synapse is counted."""
        return self._costs

    def fan_out_totals(self) -> dict[str, np.ndarray]:
        """Returns what a spike of each neuron costs, all synapses together: float64 `[neurons]` by its population."""
        return {source: outgoing.fan_outs.numpy().sum(axis=1) for source, outgoing in self._outgoing().items()}

    def multiplied(self) -> tuple[float, float]:
        """Returns the multiply-accumulates of a sample, all synapses together: made once, and per timestep."""
        once = sum(cost.fan_out.sum() for cost in self._costs if cost.reads == "constant")
        return float(once), float(sum(cost.fan_out.sum() for cost in self._costs if cost.reads == "current"))

    def _outgoing(self) -> dict[str, Outgoing]:
        """Where the spikes of each population (or input) go.

        Layers that only move spikes are linear: what a spike costs behind them is a gradient, found once.
        """
        if self._found is None:
            columns: dict[str, dict[str, tuple[tf.Tensor, tf.Tensor]]] = {}
            for cost in self._costs:
                if cost.reads == "spikes":
                    for source, found in self._at_sources(cost).items():
                        columns.setdefault(source, {})[cost.name] = found
            self._found = {
                source: Outgoing(list(found), *(tf.stack(parts, axis=1) for parts in zip(*found.values(), strict=True)))
                for source, found in columns.items()
            }
        return self._found

    def _at_sources(self, cost: SynapseCost) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """A synapse's fan-outs and arrivals, brought back to the populations (and inputs) whose spikes it reads."""
        spikes: dict[str, tf.Tensor] = {}
        with tf.GradientTape(persistent=True) as tape:
            carried = tf.cast(self._carried(cost.source, spikes, tape), tf.float64)
            operations, arrivals = tf.reduce_sum(carried * cost.fan_out), tf.reduce_sum(carried)

        def by_source(total: tf.Tensor) -> dict[str, tf.Tensor]:
            gradients = tape.gradient(total, spikes)
            return {name: tf.cast(tf.reshape(gradient, [-1]), tf.float64) for name, gradient in gradients.items()}

        fan_outs, places = by_source(operations), by_source(arrivals)
        return {name: (fan_outs[name], places[name]) for name in spikes}

    def _carried(self, name: str, spikes: dict[str, tf.Tensor], tape: tf.GradientTape) -> tf.Tensor:
        """The spikes as they arrive at a node, through layers that only move them."""
        node = self._network.graph[name]
        if isinstance(node, Synapse):
            return self._network.apply(node, [self._carried(source, spikes, tape) for source in node.inputs])
        if name not in spikes:
            spikes[name] = tf.ones([1, *node.shape])
            tape.watch(spikes[name])
        return spikes[name]


@tf.function(autograph=False, reduce_retracing=True)
def _products(
    sources: dict[str, tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
) -> dict[str, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Operations of each sample, arrivals and active connections of all of them, by synapse; sources run side by side."""
    found = {}
    for name, (spike_counts, fan_outs, places) in sources.items():
        counts = tf.reshape(tf.cast(spike_counts, tf.float32), [tf.shape(spike_counts)[0], -1])
        exact = tf.cast(counts, tf.float64)
        fired = tf.cast(tf.reduce_sum(tf.cast(counts > 0, tf.float32), axis=0), tf.float64)
        # One product for what there is of each sample, and one for what there is of all together.
        together = tf.stack([tf.reduce_sum(exact, axis=0), fired])
        found[name] = (
            tf.linalg.matmul(exact, fan_outs),
            tf.linalg.matvec(places, together[0], transpose_a=True),
            tf.linalg.matvec(fan_outs, together[1], transpose_a=True),
        )
    return found
