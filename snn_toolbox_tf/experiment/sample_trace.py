"""A closer look at one sample, neuron by neuron."""

from typing import Any

import numpy as np

from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.network.input_data import Batch, in_structure
from snn_toolbox_tf.report.record import TraceRecord

#: Bytes that a traced sample may take at once.
_BUDGET = 2**30
_RASTER_NEURONS = 40
_MEMBRANE_POPULATIONS = 6


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
        x = in_structure(batch, graph)
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
    return TraceRecord(int(index[0]), rasters, membranes, sample_image(graph, batch))


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


def sample_image(graph: Graph, batch: Batch) -> np.ndarray | None:
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
