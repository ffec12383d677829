"""An evaluation over many samples, batch by batch: its sums can be saved, and gone on with."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import AnnOutputs
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.foundation import atomic_files, npz_files
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.simulation.classes import correct, decisions
from snn_toolbox_tf.simulation.result import SimulationResult

#: A checkpoint costs a small file; more often than this is not worth it.
_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_LARGEST_BATCH_OUTPUT = 2**28


class Evaluation:
    """Sums over the samples seen so far.

    Attributes:
        done: Number of samples.
        sums: Sums over samples by name: "correct/<output>" `[timesteps]`, "ann_correct/<output>", "agreement/<output>",
            "exit_timesteps/<output>" and "exit_correct/<output>" `[confidences]`, "squared_error/<output>",
            "squared_output/<output>", "spike_counts/<population>" (per neuron), "synaptic_operations/<synapse>",
            "multiply_accumulates/<synapse>", "seconds/<stage>".
        decisions: The SNN's last decision per sample, by output.
    """

    def __init__(self) -> None:
        self.done = 0
        self.sums: dict[str, np.ndarray] = {}
        self.decisions: dict[str, np.ndarray] = {}

    def add(self, name: str, value: Any) -> None:
        """Adds to a sum."""
        self.sums[name] = self.sums.get(name, 0.0) + np.asarray(value, np.float64)

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """Returns the sums of one kind, by what comes behind "<prefix>/"."""
        return {key.partition("/")[2]: value for key, value in self.sums.items() if key.partition("/")[0] == prefix}

    def plus(self, batch: "Evaluation") -> "Evaluation":
        """Returns the evaluation of these samples and those of a batch behind them; this one stays as it is."""
        both = Evaluation()
        both.done = self.done + batch.done
        both.sums = {name: self.sums.get(name, 0.0) + value for name, value in batch.sums.items()}
        both.decisions = {
            name: np.concatenate([self.decisions.get(name, values[:0]), values])
            for name, values in batch.decisions.items()
        }
        return both

    def save(self, path: pathlib.Path, names: list[str]) -> None:
        """Writes everything, in one go.

        Args:
            path: The file.
            names: All names of the network's parts, in order, by which `load` recognises them.
        """
        arrays: dict[str, Any] = {f"sums/{name}": value for name, value in self.sums.items()}
        arrays |= {f"decisions/{name}": value for name, value in self.decisions.items()}
        with atomic_files.replacing(path) as file:
            np.savez(file, done=self.done, names=names, **arrays)

    @classmethod
    def load(cls, path: pathlib.Path, names: list[str]) -> "Evaluation":
        """Reads what `save` wrote; an unreadable file is an evaluation of nothing yet.

        Args:
            path: The file.
            names: All names of the network's parts now: Keras numbers the layers of a network that is built again.
        """
        evaluation = cls()
        try:
            arrays = npz_files.read_arrays(path)
            done, now = int(arrays.pop("done")), dict(zip(arrays.pop("names").tolist(), names, strict=True))
        except (ValueError, KeyError):
            return evaluation
        evaluation.done = done
        for key, value in arrays.items():
            kind, _, name = key.partition("/")
            if kind == "sums":
                quantity, _, part = name.partition("/")
                evaluation.sums[f"{quantity}/{now.get(part, part)}"] = value
            else:
                evaluation.decisions[now[name]] = value
        return evaluation


class Evaluator:
    """Runs an evaluation.

    Args:
        model_snn: The spiking network.
        ann_outputs: Gives the ANN's outputs for a batch.
        data: Samples and labels.
        simulation: Arguments of `SpikingModel.simulate`.
        batch_size: Samples at once.
        top_k: See `SimulationResult.accuracy`.
        keep: Is called with the position of each batch's first sample, its result and its inputs.
    """

    def __init__(
        self,
        model_snn: SpikingModel,
        ann_outputs: AnnOutputs,
        data: TestSamples,
        simulation: dict[str, Any],
        *,
        batch_size: int,
        top_k: int,
        keep: Callable[[int, SimulationResult, Batch], None] | None = None,
    ) -> None:
        self._model_snn, self._ann_outputs, self._data = model_snn, ann_outputs, data
        self._simulation, self._top_k, self._keep = simulation, top_k, keep
        graph = model_snn.network.graph
        self._readouts = {readout.name: graph.output_shape(readout) for readout in graph.readouts}
        self._names = names_of(graph)
        self._structure = graph.input_structure
        units = sum(int(np.prod(shape)) for shape in self._readouts.values())
        reported = reported_timesteps(graph, simulation["timesteps"])
        self._outputs: Any = "all" if len(reported) == simulation["timesteps"] else reported.tolist()
        self._batch_size = max(1, min(batch_size, _LARGEST_BATCH_OUTPUT // (8 * units * len(reported))))

    def run(self, evaluation: Evaluation, checkpoint: pathlib.Path | None, progress: Progress) -> Evaluation:
        """Goes on with an evaluation to its end; an interruption leaves a checkpoint of all whole batches."""
        saved = time.monotonic()
        try:
            for start in range(evaluation.done, len(self._data), self._batch_size):
                stop = min(start + self._batch_size, len(self._data))
                # One assignment, so that Ctrl-C finds either all of a batch in it, or nothing.
                evaluation = evaluation.plus(self._batch(start, stop))
                progress.advance(stop - start)
                if checkpoint and time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                    evaluation.save(checkpoint, self._names)
                    saved = time.monotonic()
        finally:
            if checkpoint and evaluation.done:
                evaluation.save(checkpoint, self._names)
        return evaluation

    def _batch(self, start: int, stop: int) -> Evaluation:
        """Returns the evaluation of one batch."""
        inputs = self._data.part(start, stop)
        batch = Evaluation()
        began = time.perf_counter()
        ann = dict(zip(self._readouts, self._ann_outputs(inputs), strict=True))
        middle = time.perf_counter()
        x = keras.tree.map_structure(lambda name: inputs[name], self._structure)
        result = self._model_snn.simulate(
            x,
            outputs=self._outputs,
            batch_size=self._batch_size,
            sample_indices=self._data.indices[start:stop],
            **self._simulation,
        )
        batch.add("seconds/simulate", time.perf_counter() - middle)
        batch.add("seconds/ann", middle - began)
        if self._keep:
            self._keep(start, result, inputs)
        batch.done = stop - start
        snn = dict(zip(self._readouts, keras.tree.flatten(result.outputs), strict=True))
        for name, shape in self._readouts.items():
            self._compare(batch, name, snn[name], ann[name], classes=len(shape) == 1)
            if name in self._data.labels:
                labels = self._data.labels[name][start:stop]
                batch.add(f"correct/{name}", correct(snn[name], labels, self._top_k).sum(axis=-1))
                batch.add(f"ann_correct/{name}", correct(ann[name], labels, self._top_k).sum())
                if self._has_early_exit(result):
                    curve = result.accuracy_latency_curve(labels, top_k=self._top_k)
                    # Whole numbers, so that a sum does not depend on how samples are divided into batches.
                    batch.add(f"exit_timesteps/{name}", np.rint(curve.mean_timesteps * batch.done))
                    batch.add(f"exit_correct/{name}", np.rint(curve.accuracy * batch.done))
        for field in ("synaptic_operations", "multiply_accumulates"):
            for name, values in getattr(result, field).items():
                batch.add(f"{field}/{name}", values.sum())
        for name, counts in result.spike_counts.items():
            batch.add(f"spike_counts/{name}", counts)
        return batch

    def _has_early_exit(self, result: SimulationResult) -> bool:
        """Whether each sample's answer could have been taken after every timestep."""
        is_classes = result.from_logits is not None and isinstance(result.outputs, np.ndarray)
        everywhere = self._outputs == "all" and self._simulation["timesteps"] > 1
        return is_classes and everywhere and self._simulation["schedule"] == "step"

    def _compare(self, batch: Evaluation, name: str, snn: np.ndarray, ann: np.ndarray, *, classes: bool) -> None:
        others = tuple(range(1, snn.ndim))
        batch.add(f"squared_error/{name}", np.square(snn.astype(np.float64) - ann).sum(axis=others))
        batch.add(f"squared_output/{name}", np.square(ann.astype(np.float64)).sum())
        if classes:
            batch.add(f"agreement/{name}", (decisions(snn) == decisions(ann)).sum(axis=-1))
            batch.decisions[name] = decisions(snn[-1])


def names_of(graph: Graph) -> list[str]:
    """Returns the names of all nodes and outputs, in order."""
    return [*(node.name for node in graph), *(readout.name for readout in graph.readouts)]


def reported_timesteps(graph: Graph, timesteps: int) -> np.ndarray:
    """Returns the timesteps at which outputs are evaluated: all, or fewer, evenly chosen, where outputs are large."""
    units = sum(int(np.prod(graph.output_shape(readout))) for readout in graph.readouts)
    fitting = max(1, _LARGEST_BATCH_OUTPUT // (8 * units))
    if timesteps <= fitting:
        return np.arange(1, timesteps + 1)
    return np.unique(np.linspace(0, timesteps, fitting + 1)[1:].round().astype(np.int64))
