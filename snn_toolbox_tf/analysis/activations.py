"""The ANN's activations, as the converted network has them, in the source's units."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import relu
from snn_toolbox_tf.network.input_data import Batch


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
    tensors = {
        name: tf.cast(array.mean(axis=1) if frames else array, network.input_dtype(name))
        for name, array in batch.items()
    }

    def rectified(node: Population, current: tf.Tensor) -> tf.Tensor:
        activation = relu(node, current)
        return tf.minimum(activation, tf.constant(node.threshold, activation.dtype)) if clip else activation

    values = network.run(tensors, population=rectified)
    outputs = network.decode([values[readout.node] for readout in network.graph.readouts])
    return AnnRun(
        {name: values[name].numpy().astype(np.float64) * unit.output for name, unit in units(model_snn).items()},
        keras.tree.map_structure(np.asarray, outputs),
    )
