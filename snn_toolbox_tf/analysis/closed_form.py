"""The quantised closed form of a spiking network: an independent oracle.

If every population first integrates all T timesteps of its input and then fires (the layer-synchronous schedule), with soft
reset and v0 added once, the network equals one forward pass in spike counts:

    n_out = clip(floor(W n_in + T b + v0), 0, T)

on the normalised graph, in float64 (cf. Deng & Gu 2021, equation 9). It shares no code with the time loop.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, MaxPool, Population, Synapse
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import as_arrays
from snn_toolbox_tf.synapses import is_rounding


def closed_form(model_snn: SpikingModel, x: Any, timesteps: int) -> tuple[dict[str, np.ndarray], Any]:
    """Evaluates the closed form for constant (analog) input.

    Args:
        model_snn: A network in the normalised form with soft reset.
        x: Arrays in the structure of the source's inputs, `[samples, ...]`.
        timesteps: T.

    Returns:
        Spike counts per population, float64 `[samples, ...]`, and the decoded outputs, float32, in the source's structure.

    Raises:
        ValueError: If the network is not normalised, has hard reset, or max pooling by winners.
    """
    return ClosedForm(model_snn)(x, timesteps)


class ClosedForm:
    """The closed form of a network, to be evaluated for several batches; see `closed_form`."""

    def __init__(self, model_snn: SpikingModel) -> None:
        graph = model_snn.network.graph
        for node in graph.of_type(Population):
            if not _is_normalised(node):
                raise ValueError(
                    f"The closed form holds for the normalised form with reset='subtract'. Population '{node.name}' has "
                    f"spike_height={node.spike_height!r}, neuron={node.neuron}."
                )
        if _gates(graph):
            raise ValueError(
                f"There is no closed form of max pooling by winners ({', '.join(_gates(graph))}). Convert with "
                "max_pooling='accumulated'."
            )
        self._exact = Network(model_snn.network.graph_with_weights(), dtype="float64")

    @staticmethod
    def holds_for(graph: Graph) -> bool:
        """Whether a network has a closed form."""
        return not _gates(graph) and all(_is_normalised(node) for node in graph.of_type(Population))

    def __call__(self, x: Any, timesteps: int) -> tuple[dict[str, np.ndarray], Any]:
        """Evaluates it."""
        inputs = as_arrays(x, self._exact.graph, argument="x")
        counts, outputs = self.of_tensors(
            {name: tf.constant(array, tf.float32) for name, array in inputs.items()}, timesteps
        )
        return {name: count.numpy() for name, count in counts.items()}, keras.tree.map_structure(np.asarray, outputs)

    def of_tensors(self, inputs: Mapping[str, tf.Tensor], timesteps: int) -> tuple[dict[str, tf.Tensor], Any]:
        """Evaluates it for tensors, also while a function is traced.

        Args:
            inputs: A tensor per input, float32 `[batch, ...]`.
            timesteps: T.

        Returns:
            Spike counts per population, float64 `[batch, ...]`, and the decoded outputs, float32, in the source's structure.
        """
        exact, graph = self._exact, self._exact.graph
        known = {name: tf.cast(tensor, tf.float64) for name, tensor in inputs.items()}
        totals = exact.run(
            _analog_totals(exact, known, timesteps),
            population=lambda node, total: _count(node, total, timesteps),
            synapse=lambda node, totals: _total(exact, node, totals, timesteps),
        )
        counts = {node.name: totals[node.name] for node in graph.of_type(Population)}
        return counts, exact.decode([totals[readout.node] / timesteps for readout in graph.readouts])

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """What holds its weights, in float64."""
        return self._exact.all_layers


def _is_normalised(node: Population) -> bool:
    return node.spike_height == "unit" and node.neuron.integrates_perfectly


def _gates(graph: Graph) -> list[str]:
    """Names of the poolings whose output depends on when spikes come."""
    return [node.name for node in graph.of_type(MaxPool) if node.rule != "accumulated"]


def _analog_totals(network: Network, inputs: dict[str, tf.Tensor], timesteps: int) -> dict[str, tf.Tensor]:
    """T times everything that depends on the constant input alone."""
    spiking = network.graph.spiking_ancestry()
    values = dict(inputs)
    for node in network.graph:
        if node.name in values or node.name in spiking:
            continue
        values[node.name] = network.apply(node, [values[name] for name in node.inputs])
        if is_rounding(node):
            # The simulation casts to float32 here; so must the oracle.
            values[node.name] = tf.cast(tf.cast(values[node.name], tf.float32), tf.float64)
    return {name: value * timesteps for name, value in values.items()}


def _count(node: Population, total: tf.Tensor, timesteps: int) -> tf.Tensor:
    """Spikes of a population that has taken up a total current."""
    own = node.timed_current()[:timesteps].sum(axis=0)
    return node.neuron.counts(total + own + node.v0, max(timesteps - node.start, 0))


def _total(network: Network, node: Synapse, totals: list[tf.Tensor], timesteps: int) -> tf.Tensor:
    """An affine map f, summed over T inputs: f(sum of inputs) + (T - 1) f(0)."""
    return network.apply(node, totals) + (timesteps - 1) * network.apply(node, [tf.zeros_like(t[:1]) for t in totals])


def inexact_nodes(model_snn: SpikingModel) -> list[str]:
    """Returns the nodes behind which the closed form is only close: values are rounded at every timestep there."""
    graph = model_snn.network.graph
    spiking = graph.spiking_ancestry()
    return [node.name for node in graph.of_type(Synapse) if is_rounding(node) and node.inputs[0] in spiking]
