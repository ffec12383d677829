"""The simulation of a run: all samples for the report, and some of them in detail."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator

from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.distributed import Executor
from snn_toolbox_tf.experiment.build_record import build_record
from snn_toolbox_tf.experiment.comparison import compare_activity
from snn_toolbox_tf.experiment.conversion_stage import Converted
from snn_toolbox_tf.experiment.evaluation import Evaluation, names_of
from snn_toolbox_tf.experiment.evaluator import Evaluator
from snn_toolbox_tf.experiment.latency import evaluate_latency
from snn_toolbox_tf.experiment.options import simulation_arguments, with_timesteps_of
from snn_toolbox_tf.experiment.preparation import Prepared
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.recorder import Recorder
from snn_toolbox_tf.experiment.sample_trace import trace_sample
from snn_toolbox_tf.experiment.suspicions import suspicions
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.report.latency_record import LatencyRunRecord
from snn_toolbox_tf.report.record import RunRecord

#: The file, in the folder of a run, with what has been simulated of an unfinished one.
CHECKPOINT = "evaluation.npz"


def simulate_prepared(
    prepared: Prepared,
    converted: Converted,
    progress: Progress,
    executor: Executor,
    folder: pathlib.Path | None = None,
    seconds: dict[str, float] | None = None,
) -> RunRecord | LatencyRunRecord:
    """Simulates all samples, and some of them in detail.

    Args:
        prepared: The parts of the run.
        converted: The spiking network.
        progress: Is told how the run proceeds.
        executor: Who simulates the samples.
        folder: Where recordings and a checkpoint go, if anywhere; what its checkpoint has is gone on with.
        seconds: Seconds of earlier stages.

    Raises:
        ConfigurationError: If there are no samples.
    """
    samples, model_snn = prepared.samples, converted.model_snn
    if samples is None:
        raise ConfigurationError("[tools] simulate = False: there is nothing to simulate.")
    if isinstance(model_snn, LatencyModel):
        source = prepared.source if prepared.settings.tools.evaluate_ann else None
        notes = [*prepared.settings.notes, *converted.notes, *samples.notes]
        return evaluate_latency(
            prepared.name,
            prepared.settings,
            model_snn,
            source,
            samples,
            progress,
            seconds=dict(seconds or {}),
            notes=notes,
        )
    settings = with_timesteps_of(prepared.settings, model_snn)
    for name, task in samples.tasks.items():
        if task.kind != "classes":
            progress.tell(f"output '{name}': {task}")
    arguments = simulation_arguments(settings)
    recorder = Recorder(settings, model_snn, folder / "recordings") if folder and settings.output.log_vars else None
    evaluator = Evaluator(
        model_snn,
        prepared.source if settings.tools.evaluate_ann else None,
        samples,
        {**arguments, "record": recorder.kinds if recorder else ()},
        batch_size=settings.simulation.batch_size,
        top_k=settings.simulation.top_k,
    )
    seconds = dict(seconds or {})
    # These first: they take little time, and what cannot work shall not come after hours.
    with timed(seconds, "compare"):
        progress.stage("comparing activations with firing rates")
        comparison = compare_activity(model_snn, evaluator.ann_outputs, samples, arguments)
        trace = trace_sample(model_snn, samples, settings.output.sample_to_plot, arguments, prepared.neurons)
    checkpoint = folder / CHECKPOINT if folder else None
    evaluation = Evaluation.load(checkpoint, names_of(model_snn.network.graph)) if checkpoint else Evaluation()
    progress.stage("simulating", len(samples), evaluation.done)
    if recorder:
        recorder.forget_from(evaluation.done)
    evaluation = evaluator.run(evaluation, executor, checkpoint, progress, recorder.keep if recorder else None)
    record = build_record(
        prepared.name,
        settings,
        model_snn,
        evaluation,
        samples,
        comparison,
        trace=trace,
        seconds=seconds,
        notes=[*settings.notes, *converted.notes, *samples.notes],
    )
    suspected = suspicions(record, comparison.fidelity, model_snn, samples)
    return dataclasses.replace(record, notes=[*record.notes, *suspected])


@contextlib.contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Notes how many seconds something takes."""
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
