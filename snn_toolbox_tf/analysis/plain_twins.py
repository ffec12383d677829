"""What a neuron model costs: plain integrate-and-fire neurons beside the real ones, which receive the same currents."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from snn_toolbox_tf.graph import Graph, Population, Synapse
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.neurons import IntegrateAndFire, Neuron
from snn_toolbox_tf.synapses import scale_spec

#: What of a neuron model plain neurons have not, and how the error is called that it makes.
_REASONS = {
    "reset": lambda neuron: neuron.reset == "zero",
    "leak": lambda neuron: neuron.retention != 1.0,
    "refractory period": lambda neuron: neuron.refractory_timesteps > 0,
    "synaptic filter": lambda neuron: neuron.tau_s > 0,
    "adaptation": lambda neuron: neuron.adaptation > 0,
}


def error_of(neuron: Neuron) -> str:
    """Returns how the error is called that neurons make beyond plain ones: by the one reason for it, or "neuron"."""
    reasons = [name for name, holds in _REASONS.items() if holds(neuron)]
    return reasons[0] if len(reasons) == 1 else "neuron"


class PlainTwins:
    """A spiking network in which each population of other neurons has a twin of plain ones beside it.

    A twin has the same threshold and initial potential, and receives what the layers in front really send at each timestep,
    without the gain and bias that calibration has given it for the sake of these neurons. Nothing reads its spikes. What
    both differ in is the neuron's own, and what calibration could not make up for.

    Args:
        model_snn: The network; it is not changed.

    Attributes:
        model_snn: The network with the twins; the one that was given, if all neurons are plain.
        names: Name of the twin by name of the population.
    """

    def __init__(self, model_snn: SpikingModel) -> None:
        self.model_snn, self.names = model_snn, dict[str, str]()
        layers = model_snn.network.layers
        populations = model_snn.network.graph.of_type(Population)
        other = {node.name for node in populations if not layers[node.name].neuron.integrates_perfectly}
        if not other:
            return
        graph = model_snn.network.graph_with_weights()
        for node in graph.of_type(Population):
            # Somebody may have given a layer other neurons since.
            node.neuron = layers[node.name].neuron
        self.names = {node.name: _add_twin(graph, node) for node in graph.of_type(Population) if node.name in other}
        self.model_snn = SpikingModel(
            graph,
            timesteps=model_snn.timesteps,
            input=model_snn.input_options.mode,
            seed=model_snn.input_options.seed,
        )

    def counts(self, simulated: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the twins' spike counts by name of the population, from those of all populations."""
        return {name: simulated[twin] for name, twin in self.names.items()}


def _add_twin(graph: Graph, node: Population) -> str:
    """Adds a twin of a population; returns its name."""
    calibrated = node.added_bias is not None or node.added_gain is not None
    source = _taken_back(graph, node) if calibrated else node.inputs[0]
    neuron = IntegrateAndFire(v0=node.neuron.v0, signed_spikes=node.neuron.signed_spikes)
    name = graph.unique_name(f"{node.name}_plain")
    twin = dataclasses.replace(
        node, name=name, inputs=[source], tied="", neuron=neuron, added_bias=None, added_gain=None
    )
    graph.insert(twin, after=source if calibrated else node.name)
    return twin.name


def _taken_back(graph: Graph, node: Population) -> str:
    """Adds a layer that gives the current as it was before calibration changed it; returns its name."""
    bias = np.zeros(1) if node.added_bias is None else node.added_bias.reshape(-1)
    factor = np.ones(1) if node.added_gain is None else 1.0 / node.added_gain.reshape(-1)
    factor, offset = np.broadcast_arrays(factor, -bias * factor)
    layer = scale_spec(factor, offset, axis=node.channel_axis + 1)
    between = Synapse(
        graph.unique_name(f"{node.name}_without_bias"),
        [node.inputs[0]],
        node.shape,
        channel_axis=node.channel_axis,
        layer=layer,
        dtype="float32",
    )
    graph.insert(between, after=node.name)
    return between.name
