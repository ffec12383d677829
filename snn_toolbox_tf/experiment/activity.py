"""A closer look at a few samples: activations against firing rates, and one sample neuron by neuron."""

import dataclasses
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import run_as_ann, units
from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.report.record import TraceRecord

_COMPARED_SAMPLES = 32
#: Bytes that a comparison, or a traced sample, may take at once.
_BUDGET = 2**30
_PAIRS = 2000
_RASTER_NEURONS = 40
_MEMBRANE_POPULATIONS = 6


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Activations of one population against theta * rate, on some samples.

    Attributes:
        correlation: Pearson correlation; NaN if one of them is constant.
        relative_error: ||theta * rate - activation|| / ||activation||; NaN if there is no activation.
        activation: Some of the activations, float32.
        decoded: theta * rate of the same neurons and samples, float32.
        clipped: Fraction of all (sample, neuron) pairs whose activation is above the threshold.
    """

    correlation: float
    relative_error: float
    activation: np.ndarray
    decoded: np.ndarray
    clipped: float


def compared_samples(graph: Graph) -> int:
    """Returns on how many samples activations are compared: fewer for a very large network."""
    neurons = sum(int(np.prod(node.shape)) for node in graph.of_type(Population))
    # Spike counts twice and activations, in float64, and what the ANN holds beside them.
    return max(1, min(_COMPARED_SAMPLES, _BUDGET // (48 * neurons)))


def compare_activity(
    model_snn: SpikingModel, samples: TestSamples, count: int, simulation: dict[str, Any], *, frames: bool
) -> dict[str, Comparison]:
    """Simulates the first samples and compares every population's theta * rate with the ANN's activation.

    Args:
        model_snn: The spiking network.
        samples: The tested samples.
        count: How many of them.
        simulation: Arguments of `SpikingModel.simulate`.
        frames: Whether samples are sequences of frames.
    """
    batch = samples.part(0, count)
    x = keras.tree.map_structure(lambda name: batch[name], model_snn.network.graph.input_structure)
    options = {**simulation, "record": "spike_counts", "outputs": "last", "sample_indices": samples.indices[:count]}
    result = model_snn.simulate(x, batch_size=count, **options)
    activations = run_as_ann(model_snn, batch, frames=frames).activations
    worth = units(model_snn)
    generator = np.random.default_rng(0)
    comparisons = {}
    for name, activation in activations.items():
        decoded = result.sample_spike_counts[name] / result.duration * worth[name].spike
        pairs = generator.choice(activation.size, min(_PAIRS, activation.size), replace=False)
        norm = np.linalg.norm(activation)
        comparisons[name] = Comparison(
            _pearson(activation.reshape(-1), decoded.reshape(-1)),
            float(np.linalg.norm(decoded - activation) / norm) if norm > 0 else float("nan"),
            activation.reshape(-1)[pairs].astype(np.float32),
            decoded.reshape(-1)[pairs].astype(np.float32),
            float((activation > worth[name].spike).mean()),
        )
    return comparisons


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / scale) if scale > 0 else float("nan")


def chosen_neurons(graph: Graph, names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Returns population and flat index of neurons that are named "population/index".

    Raises:
        ConfigurationError: If there is no such population, or no such neuron in it.
    """
    sizes = {node.name: int(np.prod(node.shape)) for node in graph.of_type(Population)}
    chosen = []
    for name in names:
        population, _, index = name.rpartition("/")
        if population not in sizes or not index.isdecimal() or int(index) >= sizes[population]:
            known = ", ".join(f"{known}/0 to {known}/{size - 1}" for known, size in sizes.items())
            raise ConfigurationError(
                f"[output] neurons_to_plot: there is no neuron '{name}'. Expected some of {known}."
            )
        chosen.append((population, int(index)))
    return chosen


def trace_sample(
    model_snn: SpikingModel,
    samples: TestSamples,
    position: int,
    simulation: dict[str, Any],
    neurons: list[tuple[str, int]],
) -> TraceRecord:
    """Simulates one sample and keeps spikes and membrane potentials of some neurons.

    Args:
        model_snn: The spiking network.
        samples: The tested samples.
        position: Which of them.
        simulation: Arguments of `SpikingModel.simulate`.
        neurons: Population and flat index of the neurons whose membrane potential is kept; chosen if empty.
    """
    graph = model_snn.network.graph
    batch = samples.part(position, position + 1)
    index = samples.indices[position : position + 1]
    options = {**simulation, "outputs": "last", "batch_size": 1, "sample_indices": index}

    def record(kind: str, names: list[str]) -> dict[str, np.ndarray]:
        """Simulates the sample once for as many populations as fit into memory at once."""
        x = keras.tree.map_structure(lambda name: batch[name], graph.input_structure)
        found: dict[str, np.ndarray] = {}
        for part in _fitting(graph, names, simulation["timesteps"]):
            result = model_snn.simulate(x, record={kind: part}, **options)
            arrays = getattr(result, kind)
            found |= {name: arrays[name][:, 0].reshape(result.duration, -1) for name in part}
        return found

    spikes = record("spikes", [node.name for node in graph.of_type(Population)])
    rasters = {}
    for name, array in spikes.items():
        shown = np.unique(np.linspace(0, array.shape[1] - 1, _RASTER_NEURONS).round().astype(np.int64))
        rasters[name] = (shown, array[:, shown])
    membranes = []
    if simulation["schedule"] == "step":
        chosen = [neuron for neuron in neurons or _typical_neurons(spikes) if neuron[0] in spikes]
        potentials = record("membrane_potential", list(dict.fromkeys(name for name, _ in chosen)))
        membranes = [_membrane(graph, neuron, potentials, spikes) for neuron in chosen if neuron[0] in potentials]
    return TraceRecord(int(index[0]), rasters, membranes, _image(graph, batch))


def _fitting(graph: Graph, names: list[str], timesteps: int) -> list[list[str]]:
    """Divides populations into groups whose recordings fit into memory; one that does not, alone, is left out."""
    groups: list[list[str]] = [[]]
    free = _BUDGET
    for name in names:
        # A recorded value takes 4 bytes at most, and for a moment twice.
        need = 8 * timesteps * int(np.prod(graph[name].shape))
        if need > _BUDGET:
            continue
        if need > free:
            groups.append([])
            free = _BUDGET
        groups[-1].append(name)
        free -= need
    return [group for group in groups if group]


def _membrane(
    graph: Graph, neuron: tuple[str, int], potentials: dict[str, np.ndarray], spikes: dict[str, np.ndarray]
) -> tuple[str, str, np.ndarray, np.ndarray]:
    """Returns one neuron's entry of `TraceRecord.membranes`."""
    name, index = neuron
    (node,) = [node for node in graph.of_type(Population) if node.name == name]
    place = ", ".join(map(str, np.unravel_index(index, node.shape)))
    theta = np.broadcast_to(node.threshold, node.shape).reshape(-1)[index]
    return name, place, (potentials[name][:, index] / theta).astype(np.float32), spikes[name][:, index]


def _typical_neurons(spikes: dict[str, np.ndarray]) -> list[tuple[str, int]]:
    """Returns one neuron for some populations, evenly chosen: the median of those that spiked."""
    names = list(spikes)
    if not names:
        return []
    positions = np.unique(np.linspace(0, len(names) - 1, _MEMBRANE_POPULATIONS).round().astype(int))
    chosen = []
    for name in (names[position] for position in positions):
        counts = spikes[name].sum(axis=0, dtype=np.int64)
        order = np.argsort(counts, kind="stable")
        active = order[counts[order] > 0]
        chosen.append((name, int(active[len(active) // 2] if len(active) else order[-1])))
    return chosen


def _image(graph: Graph, batch: Batch) -> np.ndarray | None:
    """Returns the sample as an image in [0, 1], if it looks like one."""
    nodes = inputs_of(graph)
    array = batch[nodes[0].name][0]
    if len(nodes) > 1 or array.ndim != len(nodes[0].shape):
        return None
    if array.ndim == 3 and array.shape[-1] not in (1, 3) and array.shape[0] in (1, 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)) or min(array.shape[:2]) < 4:
        return None
    low, high = float(array.min()), float(array.max())
    return ((array - low) / (high - low if high > low else 1.0)).astype(np.float32)
