"""Runs in latency code: their settings, and all samples through source and network."""

import math
import time
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.conversion.latency import MAX_POOLING, check_no_rate_options
from snn_toolbox_tf.experiment.options import conversion_options
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.latency import LatencyCode, LatencyModel, LatencyResult
from snn_toolbox_tf.network.input_data import in_structure
from snn_toolbox_tf.network.network import inputs_of
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.report.latency_record import LatencyOutputRecord, LatencyPopulationRecord, LatencyRunRecord
from snn_toolbox_tf.tasks.classes import correct, decisions


def latency_code_of(settings: Settings) -> LatencyCode | None:
    """Returns the latency code that settings name, or None for a rate code.

    Raises:
        ConfigurationError: If they do not go together.
    """
    conversion = settings.conversion
    if conversion.spike_code != "latency":
        for key in ("window_timesteps", "window_headroom"):
            if getattr(conversion, key) is not None:
                raise ConfigurationError(
                    f"[conversion] {key} = {getattr(conversion, key)} is for spike_code = latency. "
                    f"Received: spike_code = {conversion.spike_code}"
                )
        return None
    try:
        check_no_rate_options(conversion_options(settings))
        if not settings.tools.normalize:
            raise ConfigurationError(
                "[tools] normalize = False leaves [conversion] spike_code = latency without the largest activations, which "
                "its windows have to be longer than. Expected normalize = True"
            )
        check_stages(settings)
        return LatencyCode(timesteps_per_window=conversion.window_timesteps, headroom=conversion.window_headroom)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def max_pooling_of(settings: Settings) -> str:
    """Returns what max pooling passes on, which decides where populations stand."""
    return MAX_POOLING if settings.conversion.spike_code == "latency" else settings.conversion.maxpool_type


def check_stages(settings: Settings) -> None:
    """Raises if a run of a network in latency code is to do what is there for rate code only.

    Raises:
        ConfigurationError: If so.
    """
    refused = {
        "[tools] executor = ray": settings.tools.executor == "ray",
        "[output] log_vars": bool(settings.output.log_vars),
        "[export] export_format": settings.export.export_format is not None,
    }
    found = ", ".join(key for key, is_set in refused.items() if is_set)
    if found:
        raise ConfigurationError(
            f"Runs in latency code do not support {found}. Expected one process, no recordings and no export: "
            "leave these settings out, or use spike_code = rate"
        )


def evaluate_latency(
    title: str,
    settings: Settings,
    model_snn: LatencyModel,
    source: keras.Model | None,
    samples: TestSamples,
    progress: Progress,
    *,
    seconds: dict[str, float],
    notes: list[str],
) -> LatencyRunRecord:
    """Runs all samples through the network and its source.

    Args:
        title: Name of the source.
        settings: The settings.
        model_snn: The network.
        source: The source; without it, the network run as an ANN stands in.
        samples: Samples and labels.
        progress: Is told how it proceeds.
        seconds: Seconds of earlier stages.
        notes: What the reader should know.
    """
    progress.stage("simulating", len(samples))
    size, parts, expected = settings.simulation.batch_size, [], []
    seconds = {**seconds, "ann": 0.0, "simulate": 0.0}
    function = None if source is None else SourceFunction(source, model_snn.network.graph)
    for start in range(0, len(samples), size):
        batch = samples.part(start, min(start + size, len(samples)))
        began = time.perf_counter()
        ann = model_snn.network.decoded_ann_outputs(batch) if function is None else function(batch)
        expected.append([np.asarray(output) for output in keras.tree.flatten(ann)])
        middle = time.perf_counter()
        x = in_structure(batch, model_snn.network.graph)
        parts.append(model_snn.simulate(x, batch_size=size))
        seconds["ann"] += middle - began
        seconds["simulate"] += time.perf_counter() - middle
        progress.advance(len(next(iter(batch.values()))))
    result = LatencyResult.join(parts)
    ours = keras.tree.flatten(result.outputs)
    theirs = [np.concatenate(outputs) for outputs in zip(*expected, strict=True)]
    names = [readout.name for readout in model_snn.network.graph.readouts]
    top_k = settings.simulation.top_k
    return LatencyRunRecord(
        title=title,
        samples=len(samples),
        timesteps_per_window=result.timesteps_per_window,
        windows=result.windows,
        latency=result.latency,
        outputs=[
            _output(name, snn, ann, samples, top_k if snn.shape[-1] > 1 else 1)
            for name, snn, ann in zip(names, ours, theirs, strict=True)
        ],
        populations=_populations(model_snn, result),
        spikes_per_neuron=result.spikes_per_neuron,
        synaptic_operations=float(sum(part.mean() for part in result.synaptic_operations.values())),
        multiply_accumulates=float(sum(part.mean() for part in result.multiply_accumulates.values())),
        ann_multiply_accumulates=model_snn.ann_multiply_accumulates,
        settings=settings.as_dict(),
        conversion=model_snn.conversion.summary,
        conversion_text=str(model_snn.conversion),
        versions=versions(),
        seconds=seconds,
        notes=[*notes, *_notes(model_snn, result)],
    )


def _output(name: str, snn: np.ndarray, ann: np.ndarray, samples: TestSamples, top_k: int) -> LatencyOutputRecord:
    difference = snn.astype(np.float64) - ann
    norm, largest = float(np.sqrt(np.square(ann.astype(np.float64)).sum())), float(np.abs(ann).max())
    accuracies: dict[str, Any] = {}
    labels, of_classes = samples.labels.get(name), samples.tasks[name].kind == "classes"
    if labels is not None:
        accuracies = {
            "accuracy": float(correct(snn, labels, top_k).mean()),
            "ann_accuracy": float(correct(ann, labels, top_k).mean()),
        }
    return LatencyOutputRecord(
        name,
        relative_error=float(np.sqrt(np.square(difference).sum())) / (norm or math.nan),
        largest_error=float(np.abs(difference).max()) / (largest or math.nan),
        agreement=float((decisions(snn) == decisions(ann)).mean()) if of_classes else None,
        **accuracies,
    )


def _populations(model_snn: LatencyModel, result: LatencyResult) -> list[LatencyPopulationRecord]:
    return [
        LatencyPopulationRecord(
            name=name,
            window=model_snn.conversion.ranges[name],
            start=model_snn.windows[name].start,
            spikes_per_neuron=float(counts.mean()) / result.samples,
            silent=float((counts == 0).mean()),
            clipped=result.clipped[name],
        )
        for name, counts in result.spike_counts.items()
    ]


def _notes(model_snn: LatencyModel, result: LatencyResult) -> list[str]:
    notes = []
    graph, clipped = model_snn.network.graph, [name for name, share in result.clipped.items() if share > 0]
    if clipped:
        notes.append(
            f"Values were larger than the windows of {', '.join(clipped)}, and clipped. More calibration data, or a larger "
            "[conversion] window_headroom, helps."
        )
    if silent := model_snn.conversion.silent_populations:
        notes.append(f"No calibration sample drives {', '.join(silent)}: the lengths of their windows are guesses.")
    if model_snn.conversion.code.input == "latency":
        signed = [node.name for node in inputs_of(graph) if node.name in model_snn.conversion.signed_inputs]
        if signed:
            notes.append(f"There are negative values of {', '.join(signed)}: two neurons for each, one per sign.")
    return notes
