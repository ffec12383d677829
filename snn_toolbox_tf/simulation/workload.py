"""`Workload`: what a network and a simulation of it do, counted, as models of energy need it."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import LayerNode, Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.operations import SynapseCost
from snn_toolbox_tf.synapses import (
    ConvolutionFamily,
    DepthwiseConvolutionFamily,
    SynapseFamily,
    TransposedConvolutionFamily,
    WeightedFamily,
    family_of,
)

#: What a simulation counts of a synapse, by attribute of `SynapseWork`.
COUNTED = ("arriving_spikes", "synaptic_operations", "multiply_accumulates", "active_connections")
#: Layers whose window moves along axes.
_WITH_WINDOWS = (ConvolutionFamily, DepthwiseConvolutionFamily, TransposedConvolutionFamily)


@dataclasses.dataclass(frozen=True)
class SynapseWork:
    """One synapse: what it consists of, and what it did for a sample, the mean over all samples.

    Attributes:
        name: The synapse.
        reads: "spikes", "constant" (the analog input, multiplied once per sample) or "current" (at every timestep).
        inputs: Elements of its input.
        outputs: Elements of its output.
        connections: Connections, exact at borders: multiply-accumulates (MACs) of the same layer in the ANN.
        weights: Weights that are stored; a convolution shares them, pooling has none, windows of a recurrent layer have the
            same.
        stored_biases: Biases that are stored.
        biased_outputs: Elements of its output that have a bias other than 0.
        dimensions: Axes along which a window moves; 0 for dense layers.
        arriving_spikes: Spikes that arrive at its input.
        synaptic_operations: Spikes times fan-out: additions.
        multiply_accumulates: MACs in the spiking network, of a synapse that reads real values.
        active_connections: Connections that leave inputs with at least one spike: what an ANN multiplies that skips zeros.
    """

    name: str
    reads: str
    inputs: int
    outputs: int
    connections: float
    weights: int
    stored_biases: int
    biased_outputs: int
    dimensions: int
    arriving_spikes: float = 0.0
    synaptic_operations: float = 0.0
    multiply_accumulates: float = 0.0
    active_connections: float = 0.0


@dataclasses.dataclass(frozen=True)
class PopulationWork:
    """Neurons of one population, or accumulators of one output.

    Attributes:
        name: The population or output.
        neurons: Their number.
        leaky: Whether their membrane potential is multiplied at every timestep.
        spiking: Whether they fire; outputs only add up what they receive.
        spikes: Their spikes, all together, for a sample: the mean over all samples.
    """

    name: str
    neurons: int
    leaky: bool
    spiking: bool
    spikes: float = 0.0


@dataclasses.dataclass(frozen=True)
class Workload:
    """What a network did for a sample, the mean over all samples.

    Attributes:
        synapses: Its synapses that cost anything, in the graph's order.
        populations: Its populations and outputs.
        timesteps: Timesteps until the answer, the mean over all samples.
    """

    synapses: tuple[SynapseWork, ...]
    populations: tuple[PopulationWork, ...]
    timesteps: float

    @property
    def connections(self) -> float:
        """Connections of all synapses: MACs of the ANN."""
        return sum(synapse.connections for synapse in self.synapses)

    @property
    def synaptic_operations(self) -> float:
        """Spikes times fan-out of all synapses."""
        return sum(synapse.synaptic_operations for synapse in self.synapses)

    @property
    def spikes_per_synapse(self) -> float:
        """Spikes that a connection which reads spikes carries for a sample, the mean over all of them; NaN without any."""
        reading = sum(synapse.connections for synapse in self.synapses if synapse.reads == "spikes")
        return self.synaptic_operations / reading if reading else float("nan")

    def counted(
        self, timesteps: float, counts: Mapping[str, Mapping[str, float]], spikes: Mapping[str, float]
    ) -> "Workload":
        """Returns the workload with what was counted.

        Args:
            timesteps: Timesteps until the answer.
            counts: By attribute of `SynapseWork`, and by synapse.
            spikes: Spikes by population.
        """

        def of(name: str) -> dict[str, Any]:
            return {attribute: by_name[name] for attribute, by_name in counts.items() if name in by_name}

        return Workload(
            tuple(dataclasses.replace(synapse, **of(synapse.name)) for synapse in self.synapses),
            tuple(dataclasses.replace(one, spikes=spikes.get(one.name, 0.0)) for one in self.populations),
            timesteps,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Workload":
        """Returns the workload that `as_dict` wrote."""
        return cls(
            tuple(SynapseWork(**entries) for entries in data["synapses"]),
            tuple(PopulationWork(**entries) for entries in data["populations"]),
            data["timesteps"],
        )

    @classmethod
    def joined(cls, parts: Iterable[tuple["Workload", int]]) -> "Workload":
        """Returns the workload of all samples from those of some samples each, with their numbers."""
        workloads, samples = zip(*parts, strict=True)
        weights = np.asarray(samples, np.float64)

        # Sums before the division: the mean of equal numbers of timesteps is that number.
        def mean(values: Iterable[float]) -> float:
            return float(weights @ np.asarray(list(values), np.float64) / weights.sum())

        def mean_of(entries: Iterable[Any], names: tuple[str, ...]) -> Any:
            entries = list(entries)
            means = {name: mean(getattr(entry, name) for entry in entries) for name in names}
            return dataclasses.replace(entries[0], **means)

        return cls(
            tuple(mean_of(same, COUNTED) for same in zip(*(part.synapses for part in workloads), strict=True)),
            tuple(mean_of(same, ("spikes",)) for same in zip(*(part.populations for part in workloads), strict=True)),
            mean(part.timesteps for part in workloads),
        )


def workload_of(network: Network, costs: Iterable[SynapseCost]) -> Workload:
    """Returns what a network consists of, without any counts.

    Args:
        network: The spiking network.
        costs: Its synapses that cost anything, see `operations.synapse_costs`.
    """
    graph = network.graph
    nodes = {node.name: node for node in graph.of_type(Synapse)}
    synapses = []
    for cost in costs:
        node = network.with_weights(nodes[cost.name])
        family = family_of(node)
        kernel, bias = _weights(node, family)
        size = math.prod(node.shape)
        synapses.append(
            SynapseWork(
                cost.name,
                cost.reads,
                inputs=int(cost.fan_out.size),
                outputs=size,
                connections=float(cost.fan_out.sum()),
                weights=kernel.size,
                stored_biases=bias.size,
                biased_outputs=round(size * float(np.mean(bias != 0))) if bias.size else 0,
                dimensions=kernel.ndim - 2 if isinstance(family, _WITH_WINDOWS) else 0,
            )
        )
    populations = [
        PopulationWork(node.name, math.prod(node.shape), leaky=node.neuron.retention != 1, spiking=True)
        for node in graph.of_type(Population)
    ]
    outputs = [
        PopulationWork(readout.name, math.prod(graph.output_shape(readout)), leaky=False, spiking=False)
        for readout in graph.readouts
    ]
    return Workload(tuple(synapses), tuple(populations + outputs), 0.0)


def _weights(node: LayerNode, family: SynapseFamily) -> tuple[np.ndarray, np.ndarray]:
    """A layer's kernel and biases; empty where it has none."""
    if not isinstance(family, WeightedFamily):
        return np.zeros(0), np.zeros(0)
    weights = node.layer.weights
    return weights[family.kernel], weights.get(family.bias, np.zeros(0))
