"""From sums to what a report shows."""

from collections.abc import Mapping

import numpy as np

from snn_toolbox_tf.analysis.activations import units
from snn_toolbox_tf.config import Settings
from snn_toolbox_tf.costs import HARDWARE, Energy, energy_of
from snn_toolbox_tf.experiment.class_scores import class_scores, confusion_matrix
from snn_toolbox_tf.experiment.comparison import Comparison
from snn_toolbox_tf.experiment.evaluation import Evaluation, reported_timesteps
from snn_toolbox_tf.experiment.options import settings_of_conversion
from snn_toolbox_tf.experiment.sample_trace import sample_image
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.experiment.task_sums import (
    measures_by_unit,
    measures_of_ann,
    measures_over_time,
    pixel_agreement,
    shown_outputs,
)
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.report.neuron_record import neuron_records
from snn_toolbox_tf.report.record import OutputRecord, PopulationRecord, RunRecord, SynapseRecord, TraceRecord
from snn_toolbox_tf.simulation.early_exit import CONFIDENCES
from snn_toolbox_tf.simulation.workload import COUNTED

_LARGEST_CONFUSION = 100
#: So many samples are drawn as images.
_PICTURES = 6


def build_record(
    title: str,
    settings: Settings,
    model_snn: SpikingModel,
    evaluation: Evaluation,
    data: TestSamples,
    comparison: Comparison,
    *,
    trace: TraceRecord | None,
    seconds: Mapping[str, float],
    notes: list[str],
) -> RunRecord:
    """Returns what a report shows of a run.

    Args:
        title: Name of the source model.
        settings: The settings.
        model_snn: The spiking network.
        evaluation: Sums over all samples.
        data: The samples and labels.
        comparison: Activations against rates.
        trace: One sample, neuron by neuron.
        seconds: Seconds of the stages that `evaluation` does not know.
        notes: What the reader should know.
    """
    graph = model_snn.network.graph
    exceptions = model_snn.reproducibility_exceptions
    return RunRecord(
        title=title,
        samples=evaluation.done,
        timesteps=reported_timesteps(graph, model_snn.timesteps),
        outputs=[
            _output(r.name, graph.output_shape(r), evaluation, data, settings)
            if data.tasks[r.name].kind == "classes"
            else _output_of_no_classes(r.name, graph, evaluation, data, settings)
            for r in graph.readouts
        ],
        populations=_populations(model_snn, evaluation, comparison),
        synapses=_synapses(model_snn, settings.input_mode, evaluation),
        compared_samples=comparison.fidelity.samples,
        trace=trace,
        settings=settings_of_conversion(settings, model_snn).as_dict(),
        conversion=model_snn.conversion.summary,
        conversion_text=str(model_snn.conversion),
        neurons=neuron_records({node.name: node.neuron for node in graph.of_type(Population)}),
        versions=versions(),
        seconds={**seconds, **{name: float(value) for name, value in evaluation.group("seconds").items()}},
        energies=_energies(model_snn, settings, evaluation),
        notes=[*notes, *(f"Not promised to be bit-equal over batch sizes: {text}." for text in exceptions)],
    )


def _output(
    name: str, shape: tuple[int, ...], evaluation: Evaluation, data: TestSamples, settings: Settings
) -> OutputRecord:
    sums, samples = evaluation.sums, evaluation.done
    agreement = sums.get(f"agreement/{name}")
    labelled = name in data.labels
    classes = max(shape[-1], 2)
    confusion, scores = None, {}
    if labelled and classes <= _LARGEST_CONFUSION:
        labels, decided = data.labels[name], evaluation.decisions[name]
        confusion, scores = confusion_matrix(labels, decided, classes), class_scores(labels, decided, classes)
    evaluate_ann = settings.tools.evaluate_ann
    return OutputRecord(
        name=name,
        relative_error=_relative_error(name, evaluation),
        agreement=None if agreement is None else agreement / samples,
        accuracy=sums[f"correct/{name}"] / samples if labelled else None,
        ann_accuracy=float(sums[f"ann_correct/{name}"]) / samples if labelled and evaluate_ann else None,
        # One unit decides between two classes: its second guess is no guess.
        top_k=settings.simulation.top_k if shape[-1] > 1 else 1,
        confusion=confusion,
        class_scores=scores,
        early_exit=_early_exit(name, evaluation),
        task_reason=data.tasks[name].reason,
    )


def _output_of_no_classes(
    name: str, graph: Graph, evaluation: Evaluation, data: TestSamples, settings: Settings
) -> OutputRecord:
    kind, targets = data.tasks[name].kind, data.targets.get(name)
    measures_ann = measures_of_ann(name, kind, evaluation, targets) if settings.tools.evaluate_ann else {}
    units = measures_by_unit(name, kind, evaluation, targets)
    pictures = [sample_image(graph, data.part(place, place + 1)) for place in range(min(_PICTURES, evaluation.done))]
    images = [picture for picture in pictures if picture is not None]
    return OutputRecord(
        name=name,
        relative_error=_relative_error(name, evaluation),
        agreement=pixel_agreement(name, evaluation),
        task=kind,
        task_reason=data.tasks[name].reason,
        measures=measures_over_time(name, kind, evaluation, targets),
        ann_measures=measures_ann,
        by_unit={key: values for key, values in units.items() if measures_ann or not key.startswith("ann_")},
        shown=shown_outputs(name, kind, evaluation, targets, images),
    )


def _relative_error(name: str, evaluation: Evaluation) -> np.ndarray:
    norm = float(evaluation.sums[f"squared_output/{name}"])
    return np.sqrt(evaluation.sums[f"squared_error/{name}"] / (norm if norm > 0 else np.nan))


def _early_exit(name: str, evaluation: Evaluation) -> dict[str, np.ndarray]:
    timesteps, right = (evaluation.sums.get(f"{kind}/{name}") for kind in ("exit_timesteps", "exit_correct"))
    if timesteps is None or right is None:
        return {}
    samples = evaluation.done
    return {"confidence": CONFIDENCES, "mean_timesteps": timesteps / samples, "accuracy": right / samples}


def _populations(model_snn: SpikingModel, evaluation: Evaluation, comparison: Comparison) -> list[PopulationRecord]:
    records, worth = [], units(model_snn)
    for node, row in zip(model_snn.network.graph.of_type(Population), comparison.fidelity.populations, strict=True):
        rates = evaluation.sums[f"spike_counts/{node.name}"] / (evaluation.done * model_snn.timesteps)
        theta = worth[node.name].spike
        records.append(
            PopulationRecord(
                name=node.name,
                shape=node.shape,
                threshold=(float(theta.min()), float(np.median(theta)), float(theta.max())),
                firing_rate=float(rates.mean()),
                dead=float((rates == 0).mean()),
                saturated=float((rates == node.neuron.burst).mean()),
                rate_histogram=np.histogram(np.minimum(rates, 1.0), 50, (0.0, 1.0))[0],
                correlation=row.correlation,
                relative_error=row.relative_error,
                activation=comparison.pairs[node.name].activation,
                decoded=comparison.pairs[node.name].decoded,
                clipped=row.clipped,
                clipping=row.clipping,
                quantisation=row.quantisation,
                unevenness=row.unevenness,
                added=row.added,
                neuron=row.neuron,
                cause=row.cause,
            )
        )
    return records


def _energies(model_snn: SpikingModel, settings: Settings, evaluation: Evaluation) -> list[Energy]:
    """What a sample would spend on each hardware that is asked for."""
    done, consists_of = evaluation.done, model_snn.runner.workload(settings.input_mode)
    counts = {kind: {name: float(total) / done for name, total in evaluation.group(kind).items()} for kind in COUNTED}
    spikes = {name: float(total.sum()) / done for name, total in evaluation.group("spike_counts").items()}
    workload = consists_of.counted(float(model_snn.timesteps), counts, spikes)
    return [
        energy_of(workload, name, memory=settings.output.energy_memory and HARDWARE[name].memory_apart)
        for name in settings.output.energy
    ]


def _synapses(model_snn: SpikingModel, input_mode: str, evaluation: Evaluation) -> list[SynapseRecord]:
    def mean(kind: str, name: str) -> float:
        return float(evaluation.sums.get(f"{kind}/{name}", 0.0)) / evaluation.done

    places = model_snn.engine_report()
    return [
        SynapseRecord(
            name=cost.name,
            reads=cost.reads,
            connections=float(cost.fan_out.sum()),
            mean_fan_out=float(cost.fan_out.mean()),
            synaptic_operations=mean("synaptic_operations", cost.name),
            multiply_accumulates=mean("multiply_accumulates", cost.name),
            runs=places[cost.name].runs,
            why=places[cost.name].why,
        )
        for cost in model_snn.runner.operation_counter(input_mode).costs
    ]
