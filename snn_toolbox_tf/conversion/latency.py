"""Conversion to latency code, as a table of contents."""

import dataclasses
from typing import Any

import keras

from snn_toolbox_tf import calibration
from snn_toolbox_tf.conversion import verification
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.latency import LatencyCode, LatencyModel, LatencyRecord
from snn_toolbox_tf.latency.dyadic import round_weights
from snn_toolbox_tf.latency.ranges import ObservedRanges, observe_ranges
from snn_toolbox_tf.latency.windows import spiking_nodes
from snn_toolbox_tf.model import take_over_compilation
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import InputData
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.tasks import state_tasks

CODES = ("rate", "latency")
#: Arguments of `convert_keras` that have a meaning for latency code as well.
_COMMON = ("seed", "task")
#: So that populations stand in front of poolings: the earliest spike is that of the largest value.
MAX_POOLING = "winner_take_all"


def latency_code(code: Any, timesteps_per_window: int | None) -> LatencyCode | None:
    """Returns the latency code that arguments of `convert_keras` name, or None for a rate code.

    Raises:
        TypeError, ValueError: If there is no such code, or the arguments do not go together.
    """
    if isinstance(code, LatencyCode):
        if timesteps_per_window is not None:
            raise ValueError(
                "A `LatencyCode` has its own `timesteps_per_window`. Expected one of both. "
                f"Received: code={code!r}, timesteps_per_window={timesteps_per_window!r}"
            )
        return code
    if not isinstance(code, str) or code not in CODES:
        raise ValueError(f"Expected `code` to be one of {list(CODES)}, or a `LatencyCode`. Received: code={code!r}")
    if code == "latency":
        return LatencyCode(timesteps_per_window=timesteps_per_window)
    if timesteps_per_window is not None:
        raise ValueError(
            "`timesteps_per_window` is for code='latency', in which each population has a window of its own; a rate code "
            f"has `timesteps`. Received: code='rate', timesteps_per_window={timesteps_per_window!r}"
        )
    return None


def check_no_rate_options(options: ConversionOptions) -> None:
    """Raises if options were given that mean nothing in latency code.

    Raises:
        ValueError: If there are any; it names all of them.
    """
    given = [
        f"{field.name}={value!r}"
        for field in dataclasses.fields(options)
        if field.name not in _COMMON and (value := getattr(options, field.name)) != field.default
    ]
    if given:
        raise ValueError(
            "In latency code a neuron spikes at most once, and its weights and thresholds follow from the source alone: "
            "options of rate code mean nothing there. Expected code='latency' with `timesteps_per_window` alone, or a "
            f"`LatencyCode`. Received: {', '.join(given)}"
        )


def convert_to_latency(
    model: keras.Model,
    calibration_data: Any,
    code: LatencyCode,
    *,
    seed: int = 0,
    task: Any = "auto",
    name: str | None = None,
) -> LatencyModel:
    """Converts a model, see `convert_keras`."""
    graph = to_spiking(parse(model).graph, MAX_POOLING)
    state_tasks(graph, task, model)
    return convert_graph_to_latency(model, graph, calibration_data, code, seed=seed, name=name)


def convert_graph_to_latency(
    model: keras.Model,
    graph: Graph,
    calibration_data: Any,
    code: LatencyCode,
    *,
    seed: int = 0,
    name: str | None = None,
) -> LatencyModel:
    """Does what `convert_to_latency` does for a model whose graph has been parsed and put through the passes already.

    Args:
        model: The source.
        graph: Its graph, with populations in front of poolings; it is changed.
        calibration_data: As for `convert_keras`.
        code: The code.
        seed: Seed of the random input that verifies the passes.
        name: Name of the spiking model.
    """
    if calibration_data is None:
        raise ValueError(
            "Latency code needs `calibration_data`: a population's window is as long as its largest activation. Pass a few "
            "hundred typical samples, without labels. Received: calibration_data=None"
        )
    network = Network(graph, dtype="float32")
    seen = observe_ranges(network, InputData(calibration_data, graph, argument="calibration_data"))
    source = SourceFunction(model, graph)
    random_input = calibration.random_input(network, seed)
    pass_error = max(
        verification.check_same_function(source, network, inputs) for inputs in (seen.first_batch, random_input)
    )
    ranges = _ranges(graph, seen, code)
    inexact = []
    if code.steps is not None:
        inexact = round_weights(graph, {name: length / code.steps for name, length in ranges.items()}, ranges)
    record = LatencyRecord(
        code=code,
        ranges=ranges,
        signed_inputs=tuple(sorted(seen.signed & set(ranges))),
        calibration_samples=seen.samples,
        silent_populations=tuple(seen.silent),
        pass_error=pass_error,
        inexact_populations=tuple(inexact),
    )
    model_snn = LatencyModel(graph, conversion=record, name=name or f"{model.name}_snn")
    outputs = model_snn.decode(model_snn.events.run(seen.first_batch).values)
    error = verification.relative_error(outputs, source(seen.first_batch))
    model_snn.conversion = dataclasses.replace(record, code_error=error)
    take_over_compilation(model, model_snn)
    return model_snn


def _ranges(graph: Graph, seen: ObservedRanges, code: LatencyCode) -> dict[str, float]:
    """Returns the length of the window of each population, and of each input that spikes."""
    ranges = {}
    for node in spiking_nodes(graph, inputs=code.input == "latency"):
        largest = seen.to_cover(node) * code.used_headroom
        if isinstance(node, Population) and node.max_value is not None:
            # A bounded ReLU gives no more than its bound.
            largest = min(largest, float(node.max_value.max()))
        ranges[node.name] = code.range_for(largest)
    return ranges
