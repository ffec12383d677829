"""The ANN beside a spiking network: its outputs, and its activations as the converted network has them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import inputs_of, relu, source_activation
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.network.source_function import SourceFunction

AnnOutputs = Callable[[Batch], list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Unit:
    """What a population's numbers are worth in the source's units.

    Attributes:
        output: One unit of the population's output: theta in the normalised form, 1 where spikes have height theta.
        spike: One spike per timestep: theta. Both broadcast against the population.
    """

    output: np.ndarray
    spike: np.ndarray


def units(model_snn: SpikingModel) -> dict[str, Unit]:
    """Returns the units of every population."""
    thresholds = model_snn.thresholds()
    found = {}
    for node in model_snn.network.graph.of_type(Population):
        theta = thresholds.get(node.name, node.threshold)
        found[node.name] = Unit(theta if node.spike_height == "unit" else np.ones(()), theta)
    return found


@dataclasses.dataclass(frozen=True)
class AnnRun:
    """What the converted network gives with a ReLU in place of each population.

    Attributes:
        activations: Activations per population, in the source's units, float64 `[samples, ...]`.
        outputs: The outputs, float32, in the source's structure.
    """

    activations: dict[str, np.ndarray]
    outputs: Any


def run_as_ann(model_snn: SpikingModel, batch: Batch, *, frames: bool = False, clip: bool = False) -> AnnRun:
    """Runs the converted network with a ReLU in place of each population, which conversion has compared with the source.

    Args:
        model_snn: The spiking network.
        batch: Samples per input name.
        frames: Whether samples are sequences of frames; each stands for its mean.
        clip: Whether each activation is clipped at its threshold, as spikes do, before the next layer reads it.
    """
    network = model_snn.network
    tensors = _inputs(model_snn, batch, frames=frames)

    def rectified(node: Population, current: tf.Tensor) -> tf.Tensor:
        activation = source_activation(node, current)
        return tf.minimum(activation, tf.constant(node.threshold, activation.dtype)) if clip else activation

    values = network.run(tensors, population=rectified)
    outputs = network.decode([values[readout.node] for readout in network.graph.readouts])
    return AnnRun(
        {name: values[name].numpy().astype(np.float64) * unit.output for name, unit in units(model_snn).items()},
        keras.tree.map_structure(np.asarray, outputs),
    )


def mean_inputs(
    model_snn: SpikingModel, batch: Batch, rates: Mapping[str, np.ndarray], *, frames: bool = False
) -> dict[str, np.ndarray]:
    """Returns what a ReLU would give for the mean current that has reached each population in a simulation.

    All between populations is affine, or pools accumulated currents: the mean current follows from the mean rates.

    Args:
        model_snn: The spiking network.
        batch: Samples per input name; of Poisson input, what it was drawn from.
        rates: Spikes per timestep of each population, `[samples, ...]`.
        frames: Whether samples are sequences of frames; each stands for its mean.

    Returns:
        Per population, in the source's units, float64 `[samples, ...]`.
    """
    worth, received = units(model_snn), {}

    def fired(node: Population, current: tf.Tensor) -> tf.Tensor:
        unit = worth[node.name]
        # What calibration has added for the sake of such neurons is no input.
        rectified = relu if node.neuron.integrates_perfectly else source_activation
        received[node.name] = rectified(node, current, shift=None).numpy().astype(np.float64) * unit.output
        return tf.constant(rates[node.name] * unit.spike / unit.output, current.dtype)

    model_snn.network.run(_inputs(model_snn, batch, frames=frames), population=fired)
    return received


def _inputs(model_snn: SpikingModel, batch: Batch, *, frames: bool) -> dict[str, tf.Tensor]:
    return {
        name: tf.cast(array.mean(axis=1) if frames else array, model_snn.network.input_dtype(name))
        for name, array in batch.items()
    }


def check_source_and_network(model: Any, model_snn: Any) -> None:
    """Raises a TypeError unless these are a source and a spiking network, in this order."""
    converted = (SpikingModel, LatencyModel)
    if not isinstance(model_snn, converted) or isinstance(model, converted) or not isinstance(model, keras.Model):
        raise TypeError(
            "Expected `model` to be the source and `model_snn` what `convert_keras` made of it. "
            f"Received: {type(model).__name__}, {type(model_snn).__name__}"
        )


def ann_outputs_of(model: keras.Model | None, model_snn: SpikingModel, *, frames: bool) -> AnnOutputs:
    """Returns what gives the ANN's outputs: those of the source, or of the converted network run as an ANN without it.

    Args:
        model: The source, or None.
        model_snn: The spiking network.
        frames: Whether samples are sequences of frames; each stands for its mean.
    """
    network = model_snn.network
    if model is not None:
        function: Any = SourceFunction(model, network.graph)
    else:
        signature = {node.name: tf.TensorSpec((None, *node.shape)) for node in inputs_of(network.graph)}
        function = tf.function(network.decoded_ann_outputs, input_signature=[signature], autograph=False)

    def run(batch: Batch) -> list[np.ndarray]:
        tensors = {name: tf.constant(a.mean(axis=1) if frames else a) for name, a in batch.items()}
        return [output.numpy() for output in keras.tree.flatten(function(tensors))]

    return run
