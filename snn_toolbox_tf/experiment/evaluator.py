"""`Evaluator`: all samples of a run through source and spiking network, batch by batch, by this process or by others."""

import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import AnnOutputs, ann_outputs_of
from snn_toolbox_tf.distributed import Arrays, Executor, SentModel
from snn_toolbox_tf.experiment.evaluation import Evaluation, fitting_batch_size, names_of, reported_timesteps
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.experiment.task_sums import add_task_sums
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.tasks.classes import correct, decisions

#: A checkpoint costs a small file; more often than this is not worth it.
_SECONDS_BETWEEN_CHECKPOINTS = 5.0

#: What is not sent as it is.
_MADE_OF_MODELS = ("_model_snn", "_source", "ann_outputs")

#: Is called with the position of a batch's first sample, its result and its inputs.
Keep = Callable[[int, SimulationResult, Batch], None]


class Evaluator:
    """Evaluates batches, and has all of them evaluated.

    It is a function from batch to batch, and can be sent to other processes: its models are read there once, its samples are
    shared by the workers of a machine.

    Args:
        model_snn: The spiking network.
        source: The source model, for the ANN's outputs; without it, they are those of the converted network run as an ANN.
        data: Samples and labels.
        simulation: Arguments of `SpikingModel.simulate`.
        batch_size: Samples at once.
        top_k: See `SimulationResult.accuracy`.

    Attributes:
        ann_outputs: Gives the ANN's outputs for a batch.
    """

    def __init__(
        self,
        model_snn: SpikingModel,
        source: keras.Model | None,
        data: TestSamples,
        simulation: dict[str, Any],
        *,
        batch_size: int,
        top_k: int,
    ) -> None:
        self._model_snn, self._source, self._data = model_snn, source, data
        self._simulation, self._top_k = simulation, top_k
        graph = model_snn.network.graph
        self._readouts = {readout.name: graph.output_shape(readout) for readout in graph.readouts}
        self._structure = graph.input_structure
        reported = reported_timesteps(graph, simulation["timesteps"])
        self._outputs: Any = "all" if len(reported) == simulation["timesteps"] else reported.tolist()
        self._batch_size = fitting_batch_size(graph, simulation["timesteps"], batch_size)
        self.ann_outputs = self._make_ann_outputs()

    def __getstate__(self) -> dict[str, Any]:
        """Returns what another process needs to evaluate batches."""
        sent = {
            "model_snn": SentModel(self._model_snn),
            "source": None if self._source is None else SentModel(self._source),
        }
        return {**sent, "rest": {key: value for key, value in vars(self).items() if key not in _MADE_OF_MODELS}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over what was sent."""
        vars(self).update(state["rest"])
        self._model_snn, self._source = state["model_snn"].model, state["source"] and state["source"].model
        self.ann_outputs = self._make_ann_outputs()

    def _make_ann_outputs(self) -> AnnOutputs:
        return ann_outputs_of(self._source, self._model_snn, frames=self._simulation["input"] == "frames")

    def run(
        self,
        evaluation: Evaluation,
        executor: Executor,
        checkpoint: pathlib.Path | None,
        progress: Progress,
        keep: Keep | None = None,
    ) -> Evaluation:
        """Goes on with an evaluation to its end; an interruption leaves a checkpoint of all whole batches.

        Sums are added up in the order of the samples, whoever computed them: they are the same to the last bit.

        Args:
            evaluation: What was done before.
            executor: Who evaluates the batches.
            checkpoint: The file of checkpoints, if they are wanted.
            progress: Is told how it proceeds.
            keep: Is given what is simulated, if that is in this process.
        """
        names, saved = names_of(self._model_snn.network.graph), time.monotonic()
        try:
            for batch in self._batches(evaluation.done, executor, keep):
                # One assignment, so that Ctrl-C finds either all of a batch in it, or nothing.
                evaluation = evaluation.plus(batch)
                progress.advance(batch.done)
                if checkpoint and time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                    evaluation.save(checkpoint, names)
                    saved = time.monotonic()
        finally:
            if checkpoint and evaluation.done:
                evaluation.save(checkpoint, names)
        return evaluation

    def _batches(self, done: int, executor: Executor, keep: Keep | None) -> Iterator[Evaluation]:
        """Yields the evaluations of all batches behind the samples that are done, in order."""
        starts = range(done, len(self._data), self._batch_size)
        if executor.is_local:
            yield from (self._evaluated(start, keep) for start in starts)
            return
        # Those that came before their turn.
        early: dict[int, Evaluation] = {}
        following = iter(starts)
        expected = next(following, None)
        for arrays in executor.map(self, [{"start": np.asarray(start)} for start in starts]):
            early[int(arrays["start"])] = Evaluation.from_arrays(arrays)
            while expected in early:
                yield early.pop(expected)
                expected = next(following, None)

    def __call__(self, batch: Mapping[str, Any]) -> Arrays:
        """Returns the evaluation of the batch that starts at sample `batch["start"]`, as arrays."""
        return {"start": batch["start"], **self._evaluated(int(batch["start"])).as_arrays()}

    def _evaluated(self, start: int, keep: Keep | None = None) -> Evaluation:
        """Returns the evaluation of one batch."""
        stop = min(start + self._batch_size, len(self._data))
        inputs = self._data.part(start, stop)
        batch = Evaluation()
        began = time.perf_counter()
        ann = dict(zip(self._readouts, self.ann_outputs(self._data.source_part(start, stop)), strict=True))
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
        if keep:
            keep(start, result, inputs)
        batch.done = stop - start
        snn = dict(zip(self._readouts, keras.tree.flatten(result.outputs), strict=True))
        for name in self._readouts:
            kind = self._data.tasks[name].kind
            self._compare(batch, name, snn[name], ann[name], classes=kind == "classes")
            if kind != "classes":
                targets = self._data.targets.get(name)
                part = None if targets is None else targets[start:stop]
                add_task_sums(batch, name, kind, snn[name], ann[name], part, start=start)
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
        for synapse in result.workload.synapses if result.workload else ():
            batch.add(f"arriving_spikes/{synapse.name}", synapse.arriving_spikes * batch.done)
            batch.add(f"active_connections/{synapse.name}", synapse.active_connections * batch.done)
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
