"""Activations against firing rates, on some of a run's samples."""

from typing import Any, NamedTuple

import numpy as np

from snn_toolbox_tf.analysis.activations import AnnOutputs
from snn_toolbox_tf.analysis.fidelity import Fidelity
from snn_toolbox_tf.analysis.measurement import measure_fidelity
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.model import SpikingModel

_COMPARED_SAMPLES = 32
#: Bytes that a comparison may take at once.
_BUDGET = 2**30
_PAIRS = 2000


class Pairs(NamedTuple):
    """Some (sample, neuron) pairs of one population, float32: the ANN's activation, and theta * rate."""

    activation: np.ndarray
    decoded: np.ndarray


class Comparison(NamedTuple):
    """A spiking network against the ANN, and pairs to draw, by population."""

    fidelity: Fidelity
    pairs: dict[str, Pairs]


def compare_activity(
    model_snn: SpikingModel, ann_outputs: AnnOutputs, samples: TestSamples, simulation: dict[str, Any]
) -> Comparison:
    """Compares every population with the ANN, as `compare` does, on the first samples.

    Args:
        model_snn: The spiking network.
        ann_outputs: Gives the ANN's outputs.
        samples: The tested samples.
        simulation: Arguments of `SpikingModel.simulate`.
    """
    count = min(_fitting_samples(model_snn.network.graph), len(samples))
    generator = np.random.default_rng(0)
    pairs = {}

    def keep(name: str, activation: np.ndarray, decoded: np.ndarray) -> None:
        chosen = generator.choice(activation.size, min(_PAIRS, activation.size), replace=False)
        pairs[name] = Pairs(*(array.reshape(-1)[chosen].astype(np.float32) for array in (activation, decoded)))

    batches = [(samples.part(0, count), samples.indices[:count])]
    return Comparison(measure_fidelity(model_snn, ann_outputs, batches, simulation, keep), pairs)


def _fitting_samples(graph: Graph) -> int:
    """Returns on how many samples activations are compared: fewer for a very large network."""
    neurons = sum(int(np.prod(node.shape)) for node in graph.of_type(Population))
    # Spike counts of two runs and activations of three, in float64, and what the networks hold beside them.
    return max(1, min(_COMPARED_SAMPLES, _BUDGET // (96 * neurons)))
