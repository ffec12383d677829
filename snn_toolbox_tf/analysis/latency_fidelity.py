"""`compare` for latency code: decoded spike times against the source's activations."""

import dataclasses
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.moments import Moments
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.network.input_data import as_arrays, in_batches
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.report.text import aligned, fixed, number, percent, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class LatencyPopulationFidelity:
    """How well a population's spike times stand for the source's activations.

    Attributes:
        name: The population.
        relative_error: Root mean square of the error of decoded values, over that of the activations.
        correlation: Pearson's correlation of both.
        clipped: Share of values that were larger than the window is long.
        spikes_per_neuron: Mean number of spikes of a neuron for a sample, at most 1.
    """

    name: str
    relative_error: float
    correlation: float
    clipped: float
    spikes_per_neuron: float


@dataclasses.dataclass(frozen=True)
class LatencyFidelity:
    """What `compare` gives for a network in latency code.

    Attributes:
        populations: One entry a population, in the network's order.
        output_error: Root mean square of the error of the outputs over that of the source's, by output.
        samples: Number of samples.
        timesteps_per_window: S, or None in continuous time.
    """

    populations: tuple[LatencyPopulationFidelity, ...]
    output_error: dict[str, float]
    samples: int
    timesteps_per_window: int | None

    @property
    def worst(self) -> tuple[str, ...]:
        """Names of populations, largest error first."""
        return tuple(row.name for row in sorted(self.populations, key=lambda row: -row.relative_error))

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Returns a table with a row per population."""
        rows = [
            [
                shorten(row.name, 40),
                number(row.relative_error, 3),
                fixed(row.correlation, 4),
                percent(row.clipped, 2),
                fixed(row.spikes_per_neuron, 3),
            ]
            for row in self.populations
        ]
        table = aligned(("population", "error", "correlation", "clipped", "spikes/neuron"), rows, texts=1)
        time = (
            "continuous time"
            if self.timesteps_per_window is None
            else f"{self.timesteps_per_window} timesteps a window"
        )
        outputs = ", ".join(f"{name}: {number(error, 3)}" for name, error in self.output_error.items())
        return f"{table}\n\n{self.samples} samples, {time}; error of outputs: {outputs}"

    def plot(self) -> "Figure":
        """Draws errors of populations as bars."""
        # Only drawing imports matplotlib.
        from matplotlib.figure import Figure

        from snn_toolbox_tf.report import style

        with style.styled():
            rows = self.populations[::-1]
            figure = Figure(figsize=(style.WIDTH / 2, 1.0 + 0.35 * len(rows)), layout="constrained")
            axes = figure.subplots()
            axes.barh([style.label(row.name) for row in rows], [row.relative_error for row in rows], color=style.SNN)
            axes.set(xlabel="relative error of decoded values")
            axes.grid(axis="y", visible=False)
        return figure


class _Sums:
    """What has to be added up over batches for one population or output."""

    def __init__(self) -> None:
        self._moments, self._squares = Moments(), np.zeros(2)

    def add(self, found: np.ndarray, expected: np.ndarray) -> None:
        found, expected = found.astype(np.float64), expected.astype(np.float64)
        self._moments.add(found, expected)
        self._squares += np.square(found - expected).sum(), np.square(expected).sum()

    @property
    def relative_error(self) -> float:
        error, power = self._squares
        return float(np.sqrt(error / power)) if power else float("nan")

    @property
    def correlation(self) -> float:
        return self._moments.correlation


def compare_latency(model: keras.Model, model_snn: LatencyModel, x: Any, batch_size: int) -> LatencyFidelity:
    """Compares decoded values, see `compare`."""
    graph = model_snn.network.graph
    names = [node.name for node in graph.of_type(Population)]
    sums = {name: _Sums() for name in names}
    outputs = {readout.name: _Sums() for readout in graph.readouts}
    source, parts = SourceFunction(model, graph), []
    for batch in in_batches(as_arrays(x, graph, argument="x"), batch_size):
        packed = keras.tree.map_structure(lambda name, batch=batch: batch[name], graph.input_structure)
        result = model_snn.simulate(packed, batch_size=batch_size, record=names)
        activations = model_snn.network.run_as_ann(batch, shift=None)
        for name in names:
            sums[name].add(_decoded(model_snn, name, result.spike_times[name]), np.asarray(activations[name]))
        flat = keras.tree.flatten(result.outputs), keras.tree.flatten(source(batch))
        for readout, ours, theirs in zip(graph.readouts, *flat, strict=True):
            outputs[readout.name].add(np.asarray(ours), np.asarray(theirs))
        parts.append(result)
    samples = sum(part.samples for part in parts)
    rows = tuple(
        LatencyPopulationFidelity(
            name,
            sums[name].relative_error,
            sums[name].correlation,
            sum(part.clipped[name] * part.samples for part in parts) / samples,
            sum(float(part.spike_counts[name].mean()) for part in parts) / samples,
        )
        for name in names
    )
    errors = {name: found.relative_error for name, found in outputs.items()}
    return LatencyFidelity(rows, errors, samples, model_snn.timesteps_per_window)


def _decoded(model_snn: LatencyModel, name: str, times: np.ndarray) -> np.ndarray:
    """Values in the source's units: by how much a neuron has spiked before the end of its window."""
    window = model_snn.windows[name]
    unit = model_snn.conversion.ranges[name] / window.length
    return np.where(np.isfinite(times), unit * (window.end - times), 0.0)
