"""The comparison behind `compare` and behind every report: one simulation against the ANN, batch by batch."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import Unit, mean_inputs, run_as_ann, units
from snn_toolbox_tf.analysis.closed_form import ClosedForm
from snn_toolbox_tf.analysis.diagnosis import diagnose
from snn_toolbox_tf.analysis.fidelity import Fidelity, PopulationFidelity
from snn_toolbox_tf.analysis.moments import Moments
from snn_toolbox_tf.analysis.output_agreement import output_agreements
from snn_toolbox_tf.analysis.plain_twins import PlainTwins, error_of
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import Batch

#: Is given, per batch and population, the ANN's activations and theta * rate, float64 `[samples, ...]`.
Observer = Callable[[str, np.ndarray, np.ndarray], None]


def measure_fidelity(
    model_snn: SpikingModel,
    ann_outputs: Callable[[Batch], list[np.ndarray]],
    batches: Iterable[tuple[Batch, np.ndarray]],
    simulation: Mapping[str, Any],
    observe: Observer | None = None,
) -> Fidelity:
    """Simulates samples and compares every population with the ANN.

    Args:
        model_snn: The spiking network.
        ann_outputs: Gives the ANN's outputs of a batch.
        batches: Samples per input name, and their indices.
        simulation: Arguments of `SpikingModel.simulate`: "timesteps", "input", "schedule" and whatever else.
        observe: Is given what is compared.
    """
    comparison = _Comparison(model_snn, ann_outputs, simulation)
    for batch, indices in batches:
        for name, activation, decoded in comparison.add(batch, indices):
            if observe:
                observe(name, activation, decoded)
    return diagnose(comparison.summary(), model_snn, simulation)


class _Parts(NamedTuple):
    """Activations of one batch and population in the source's units, float64 `[samples, ...]`."""

    activation: np.ndarray  # of the ANN
    clipped: np.ndarray  # of the ANN with all activations clipped
    even: np.ndarray  # of the closed form; NaN without one
    decoded: np.ndarray  # theta * rate
    received: np.ndarray  # relu of the mean current that has reached the population
    plain: np.ndarray  # theta * rate of plain integrate-and-fire neurons in its place


class _Comparison:
    """What is added up over batches."""

    def __init__(
        self,
        model_snn: SpikingModel,
        ann_outputs: Callable[[Batch], list[np.ndarray]],
        simulation: Mapping[str, Any],
    ) -> None:
        self._model_snn, self._ann_outputs, self._simulation = model_snn, ann_outputs, simulation
        graph = self._graph = model_snn.network.graph
        self._timesteps, self._frames = simulation["timesteps"], simulation["input"] == "frames"
        has_closed_form = simulation["input"] == "analog" and ClosedForm.holds_for(graph)
        self._closed_form = ClosedForm(model_snn) if has_closed_form else None
        self._units = units(model_snn)
        self._twins = PlainTwins(model_snn)
        self._sums = {
            node.name: _Sums(node, self._units[node.name], self._timesteps, _loss(graph, node, simulation["input"]))
            for node in graph.of_type(Population)
        }
        self._outputs = {readout.name: np.zeros(4) for readout in graph.readouts}
        self._agreements = output_agreements(graph)
        self._largest_inputs: dict[str, float] = {}
        self._samples = 0

    def add(self, batch: Batch, indices: np.ndarray) -> Iterable[tuple[str, np.ndarray, np.ndarray]]:
        """Adds a batch; yields names, activations and theta * rate of the populations."""
        model_snn, timesteps = self._model_snn, self._timesteps
        x = keras.tree.map_structure(lambda name: batch[name], self._graph.input_structure)
        options = {**self._simulation, "batch_size": len(indices), "sample_indices": indices}
        result = self._twins.model_snn.simulate(x, **{**options, "record": "spike_counts", "outputs": "last"})
        plain, clipped = (run_as_ann(model_snn, batch, frames=self._frames, clip=clip) for clip in (False, True))
        simulated = result.sample_spike_counts
        rates = {name: simulated[name] / timesteps for name in self._units}
        twins = self._twins.counts(simulated)
        received = mean_inputs(model_snn, batch, rates, frames=self._frames)
        counts, even_outputs = self._closed_form(x, timesteps) if self._closed_form else ({}, None)
        for name, unit in self._units.items():
            decoded = rates[name] * unit.spike
            even = counts[name] / timesteps * unit.spike if counts else np.full_like(decoded, np.nan)
            activation = plain.activations[name]
            twin = twins[name] / timesteps * unit.spike if name in twins else decoded
            self._sums[name].add(_Parts(activation, clipped.activations[name], even, decoded, received[name], twin))
            yield name, activation, decoded
        last = [output[-1] for output in keras.tree.flatten(result.outputs)]
        flat = [last, keras.tree.flatten(clipped.outputs)]
        flat.append(keras.tree.flatten(even_outputs) if self._closed_form else [np.nan] * len(last))
        sums = zip(self._outputs.values(), self._agreements.values(), strict=True)
        for (total, agreement), expected, *ours in zip(sums, self._ann_outputs(batch), *flat, strict=True):
            agreement.add(ours[0], np.asarray(expected))
            theirs = np.asarray(expected, np.float64)
            total += [*(float(np.square(part - theirs).sum()) for part in ours), float(np.square(theirs).sum())]
        for name, array in batch.items():
            self._largest_inputs[name] = max(self._largest_inputs.get(name, 0.0), float(np.abs(array).max()))
        self._samples += len(indices)

    def summary(self) -> Fidelity:
        """Returns what was found."""

        def relative(part: int) -> dict[str, float]:
            return {
                name: float(np.sqrt(squares[part] / squares[3])) if squares[3] > 0 else float("nan")
                for name, squares in self._outputs.items()
            }

        return Fidelity(
            timesteps=self._timesteps,
            samples=self._samples,
            populations=tuple(total.summary() for total in self._sums.values()),
            output_error=relative(0),
            output_clipping=relative(1),
            output_synchronous=relative(2),
            largest_inputs=self._largest_inputs,
            tasks={name: found.kind for name, found in self._agreements.items()},
            agreement={name: found.summary() for name, found in self._agreements.items()},
        )


class _Sums:
    """What has to be added up over batches for one population."""

    def __init__(self, node: Population, unit: Unit, timesteps: int, loss: str) -> None:
        self._node, self._theta, self._timesteps = node, unit.spike, timesteps
        self._causes = ("clipping", "quantisation", loss, error_of(node.neuron))
        self._moments = Moments()
        self._squares = np.zeros(5)
        self._own = np.zeros(6)
        self._clipped = 0
        self._largest = 0.0
        self._spikes: Any = 0.0

    def add(self, parts: _Parts) -> None:
        """Adds a batch."""
        activation, clipped, even, decoded, received, plain = parts
        theta, timesteps = self._theta, self._timesteps
        self._moments.add(activation, decoded)
        self._squares += _squares(
            decoded - activation, clipped - activation, even - clipped, decoded - even, activation
        )
        # What the population makes of its own input: clipped, then rounded to whole spikes, then what plain neurons give,
        # and what it really gave.
        bounded = np.minimum(received, theta)
        whole = np.floor(bounded * timesteps / theta + self._node.v0) * theta / timesteps
        whole = np.clip(whole, 0.0, theta)
        self._own += _squares(
            bounded - received, whole - bounded, plain - whole, decoded - plain, decoded - received, received
        )
        # Rounding on the grid may lift an activation that equals its threshold.
        self._clipped += int((activation > theta * (1 + 1e-6)).sum())
        self._largest = max(self._largest, float((activation / theta).max()))
        self._spikes = self._spikes + (decoded / theta).sum(axis=0)

    def summary(self) -> PopulationFidelity:
        """Returns the population's row."""
        n = self._moments.count
        norm = self._squares[4]
        relative = np.sqrt(self._squares[:4] / norm) if norm > 0 else np.full(4, np.nan)
        error, clipping, quantisation, unevenness = relative.tolist()
        own, largest_norm = self._own, max(self._own[5], norm)
        added, neuron = np.sqrt(own[[4, 3]] / largest_norm) if largest_norm > 0 else np.full(2, np.nan)
        return PopulationFidelity(
            name=self._node.name,
            firing_rate=float(self._spikes.mean() / (n / self._spikes.size)),
            dead=float((self._spikes == 0).mean()),
            clipped=self._clipped / n,
            largest=self._largest,
            correlation=self._moments.correlation,
            relative_error=error,
            clipping=clipping,
            quantisation=quantisation,
            unevenness=unevenness,
            added=float(added),
            cause=self._causes[int(np.argmax(own[:4]))] if own[4] > 0 else "",
            neuron=float(neuron),
        )


def _squares(*vectors: np.ndarray) -> list[float]:
    return [float(np.square(vector).sum()) for vector in vectors]


def _loss(graph: Graph, node: Population, input_mode: str) -> str:
    """Returns what makes plain neurons lose more than whole spikes do."""
    reads_input = not any(name in graph.spiking_ancestry() for name in node.inputs)
    return "noise" if reads_input and input_mode == "poisson" else "unevenness"
