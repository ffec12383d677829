"""`simulate`: batches through the time loop, and the bookkeeping around it."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf import data as data_module
from snn_toolbox_tf.checks import check_name, check_positive_integer, check_seed
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.simulation import block
from snn_toolbox_tf.simulation.block import BlockOptions
from snn_toolbox_tf.simulation.encoding import INPUT_MODES
from snn_toolbox_tf.simulation.loop import InputOptions
from snn_toolbox_tf.simulation.operations import OperationCounter
from snn_toolbox_tf.simulation.result import SimulationResult, concatenate
from snn_toolbox_tf.simulation.simulator import Simulator

RECORDABLE = ("spikes", "membrane_potential", "spike_counts")
SCHEDULES = ("step", "layer_synchronous")


@dataclasses.dataclass(frozen=True)
class _Plan:
    """A checked request."""

    duration: int
    reported: tuple[int, ...]
    every_step: bool
    block_length: int
    batch_size: int
    input_options: InputOptions
    options: BlockOptions
    spike_counts: tuple[str, ...]
    sample_indices: np.ndarray | None


def simulate(
    simulator: Simulator,
    x: Any,
    *,
    default_timesteps: int,
    timesteps: int | None,
    batch_size: int,
    record: Any,
    outputs: Any,
    input: str | None = None,
    seed: int | None = None,
    block_length: int | None = None,
    schedule: str = "step",
    sample_indices: Any = None,
    memory_limit: int = 2**31,
    verbose: int = 0,
) -> SimulationResult:
    """Runs a network and returns what happened; see `SpikingModel.simulate` for the arguments."""
    graph = simulator.network.graph
    mode = check_name(input if input is not None else simulator.input_options.mode, INPUT_MODES, "input")
    frames = mode == "frames"
    samples = data_module.Samples(x, graph, argument="x", frames=frames)
    duration, reported, every_step = _reported_timesteps(samples, default_timesteps, timesteps, outputs)
    if samples.frames is not None and samples.frames < duration:
        raise ValueError(f"`x` has {samples.frames} frames per sample, fewer than the {duration} timesteps asked for.")
    if block_length is not None:
        check_positive_integer(block_length, "block_length")
    check_name(schedule, SCHEDULES, "schedule")
    if schedule == "layer_synchronous":
        block_length, every_step = duration, every_step or reported != (duration,)
        _check_layer_synchronous(graph)
    recorded = _recorded(graph, record)
    options = BlockOptions(
        schedule=schedule,
        count=True,
        count_inputs=mode == "poisson",
        every_step=every_step,
        spikes=recorded["spikes"],
        membrane_potential=recorded["membrane_potential"],
    )
    if schedule == "layer_synchronous" and options.membrane_potential:
        raise ValueError("A layer-synchronous run has no membrane potential per timestep; record 'spikes' only.")
    batch_size = check_positive_integer(batch_size, "batch_size")
    ends = (0, *_ends(duration, reported, every_step))
    segments = [end - start for start, end in itertools.pairwise(ends)]
    blocking = simulator.blocking(segments, batch_size, block_length)
    plan = _Plan(
        duration,
        reported,
        every_step,
        blocking.block_length,
        min(batch_size, blocking.micro_batch),
        InputOptions(mode, simulator.input_options.seed if seed is None else check_seed(seed)),
        options,
        recorded["spike_counts"],
        _sample_indices(sample_indices, samples),
    )
    budget = _MemoryBudget(graph, plan, memory_limit)
    budget.check(samples.count or 0)
    return _run(simulator, samples, plan, budget, verbose)


def _sample_indices(value: Any, samples: data_module.Samples) -> np.ndarray | None:
    """Returns what Poisson input takes as the samples' global indices; None for their positions."""
    if value is None:
        return None
    indices = np.asarray(value)
    fits = indices.ndim == 1 and samples.count in (None, len(indices))
    if not fits or indices.dtype.kind not in "iu" or (len(indices) and indices.min() < 0):
        raise ValueError(
            f"Expected `sample_indices` to be one non-negative integer per sample, {samples.count} of them. "
            f"Received: dtype {indices.dtype}, shape {indices.shape}"
        )
    return indices


def _indices_of_batch(plan: _Plan, start: int, count: int) -> np.ndarray:
    if plan.sample_indices is None:
        return np.arange(start, start + count)
    if len(plan.sample_indices) < start + count:
        raise ValueError(f"`sample_indices` names {len(plan.sample_indices)} samples, but `x` has yielded more.")
    return plan.sample_indices[start : start + count]


def _reported_timesteps(
    samples: data_module.Samples, default_timesteps: int, timesteps: int | None, outputs: Any
) -> tuple[int, tuple[int, ...], bool]:
    """Returns T, the timesteps to report, and whether these are all of them."""
    listed = not isinstance(outputs, str)
    if not listed or not isinstance(outputs, Iterable):
        check_name(outputs, ("all", "last", "[t, ...]"), "outputs")
    wanted = list(outputs) if listed else []
    integers = all(isinstance(value, (int, np.integer)) and value > 0 for value in wanted)
    if listed and (not wanted or not integers or sorted(set(wanted)) != wanted):
        raise ValueError(
            f"Expected `outputs` to be 'all', 'last' or increasing positive numbers of timesteps. Received: {outputs!r}"
        )
    if timesteps is not None:
        duration = check_positive_integer(timesteps, "timesteps")
    elif listed:
        duration = wanted[-1]
    elif samples.frames is not None:
        duration = samples.frames
    else:
        duration = default_timesteps
    if listed and wanted[-1] > duration:
        raise ValueError(f"`outputs` asks for timestep {wanted[-1]}, but only {duration} are simulated.")
    if listed:
        return duration, tuple(wanted), False
    every = outputs == "all"
    return duration, tuple(range(1, duration + 1)) if every else (duration,), every


def _ends(duration: int, reported: tuple[int, ...], every_step: bool) -> list[int]:
    """Returns where the run pauses for outputs, its end included."""
    return [duration] if every_step else sorted({*reported, duration})


def _recorded(graph: Graph, record: Any) -> dict[str, tuple[str, ...]]:
    populations = tuple(node.name for node in graph.of_type(Population))
    if not isinstance(record, dict):
        record = dict.fromkeys([record] if isinstance(record, str) else record or (), populations)
    record = {kind: (names,) if isinstance(names, str) else tuple(names) for kind, names in record.items()}
    for kind, names in record.items():
        check_name(kind, RECORDABLE, "record")
        for name in names:
            check_name(name, populations, f"record['{kind}']")
    return {kind: record.get(kind, ()) for kind in RECORDABLE}


def _check_layer_synchronous(graph: Graph) -> None:
    hard = [node.name for node in graph.of_type(Population) if node.reset != "subtract"]
    if hard:
        raise ValueError(
            "The layer-synchronous schedule needs reset='subtract': with hard reset nothing is left to fire with. "
            f"Received reset='zero' in: {hard}"
        )


class _MemoryBudget:
    """Knows what the result's arrays will take, and refuses in time."""

    def __init__(self, graph: Graph, plan: _Plan, limit: int) -> None:
        outputs = sum(int(np.prod(graph.output_shape(readout))) for readout in graph.readouts)
        # A recorded batch exists twice for a moment, when the batches are joined.
        self._per_sample = {
            "outputs": 8 * len(plan.reported) * outputs,
            "spikes": 2 * plan.duration * sum(int(np.prod(graph[name].shape)) for name in plan.options.spikes),
            "membrane_potential": 8
            * plan.duration
            * sum(int(np.prod(graph[name].shape)) for name in plan.options.membrane_potential),
            "spike_counts": 16 * sum(int(np.prod(graph[name].shape)) for name in plan.spike_counts),
        }
        self._limit = limit

    def check(self, samples: int) -> None:
        need = samples * sum(self._per_sample.values())
        if need <= self._limit:
            return
        largest = max(self._per_sample, key=lambda key: self._per_sample[key])
        remedy = {
            "outputs": 'pass outputs="last" or a list of timesteps',
            "spikes": "record fewer populations, record={'spikes': ['name', ...]}, or simulate fewer samples",
            "membrane_potential": "record fewer populations, record={'membrane_potential': ['name']}, or fewer samples",
            "spike_counts": "record fewer populations, record={'spike_counts': ['name']}, or fewer samples",
        }[largest]
        raise MemoryError(
            f"The result of {samples} samples would take {need / 2**20:,.3g} MiB, most of it for '{largest}', above the "
            f"limit of {self._limit / 2**20:,.3g} MiB. To fit: {remedy}; or raise `memory_limit` (bytes)."
        )


def _run(
    simulator: Simulator, samples: data_module.Samples, plan: _Plan, budget: _MemoryBudget, verbose: int
) -> SimulationResult:
    counter = simulator.operation_counter(plan.input_options.mode)
    runner = _BatchRunner(simulator, plan)
    parts: list[SimulationResult] = []
    done = 0
    bar = keras.utils.Progbar(samples.count, unit_name="sample") if verbose else None
    for batch in samples.batches(plan.batch_size):
        count = len(next(iter(batch.values())))
        if samples.count is None:
            budget.check(done + count)
        parts.append(runner.run(batch, _indices_of_batch(plan, done, count), counter))
        done += count
        if bar is not None:
            bar.update(done)
    return SimulationResult.join(parts)


class _BatchRunner:
    """Runs batches through traced segments of the time loop."""

    def __init__(self, simulator: Simulator, plan: _Plan) -> None:
        self._network = simulator.network
        self._plan = plan
        self._advance = simulator.traced_advance(plan.block_length, plan.input_options, plan.options)

    def run(self, batch: data_module.Batch, indices: np.ndarray, counter: OperationCounter) -> SimulationResult:
        plan, count = self._plan, len(next(iter(batch.values())))
        index = tf.constant(indices, tf.int64)
        state = block.initial_state(self._network, tf.constant(count), plan.options)
        ends = _ends(plan.duration, plan.reported, plan.every_step)
        outputs, recorded, start = [], [], 0
        inputs = {name: tf.constant(array) for name, array in batch.items()}
        for end in ends:
            if plan.input_options.mode == "frames":
                inputs = _frames_between(batch, start, end)
            state, decoded, tensors = self._advance(inputs, state, tf.constant(end - start), index)
            if plan.every_step or end in plan.reported:
                first_axis = (slice(None),) if plan.every_step else (np.newaxis,)
                outputs.append(tf.nest.map_structure(lambda t, axis=first_axis: t.numpy()[axis], decoded))
            recorded.append(tf.nest.map_structure(lambda t: t.numpy(), tensors))
            start = end
        counts = {name: value.numpy() for name, value in state["counts"].items()}
        synaptic, multiply = counter.count(counts, count, plan.duration)
        return SimulationResult(
            _pick(concatenate(outputs, 0), plan),
            plan.reported,
            duration=plan.duration,
            samples=count,
            spikes=concatenate([item["spikes"] for item in recorded], 0),
            membrane_potential=concatenate([item["membrane_potential"] for item in recorded], 0),
            spike_counts={
                node.name: counts[node.name].sum(axis=0, dtype=np.float64)
                for node in self._network.graph.of_type(Population)
            },
            sample_spike_counts={name: counts[name].astype(np.float64) for name in plan.spike_counts},
            synaptic_operations=synaptic,
            multiply_accumulates=multiply,
        )


def _frames_between(batch: data_module.Batch, start: int, end: int) -> dict[str, tf.Tensor]:
    for name, array in batch.items():
        if array.shape[1] < end:
            raise ValueError(
                f"Input '{name}' has {array.shape[1]} frames per sample, fewer than the {end} timesteps asked for."
            )
    return {name: tf.constant(array[:, start:end]) for name, array in batch.items()}


def _pick(outputs: Any, plan: _Plan) -> Any:
    """Of all timesteps, those that were asked for (a layer-synchronous run always computes all)."""
    if not plan.every_step or len(plan.reported) == plan.duration:
        return outputs
    rows = np.asarray(plan.reported) - 1
    return keras.tree.map_structure(lambda array: array[rows], outputs)
