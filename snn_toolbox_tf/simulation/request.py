"""What a user asks of a simulation, checked before it begins."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import (
    check_one_of,
    check_positive_integer,
    check_seed,
    check_timesteps,
)
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.network.input_data import InputData
from snn_toolbox_tf.simulation.block import BlockOptions
from snn_toolbox_tf.simulation.early_exit import EarlyExit, check_early_exit
from snn_toolbox_tf.simulation.inputs import INPUT_MODES, InputOptions
from snn_toolbox_tf.simulation.runner import Runner
from snn_toolbox_tf.simulation.schedules import check_schedule, neurons_of

RECORDABLE = ("spikes", "membrane_potential", "spike_counts")


@dataclasses.dataclass(frozen=True)
class Request:
    """A checked request.

    Attributes:
        duration: T.
        reported: The numbers of timesteps after which outputs are kept.
        every_step: Whether these are all of them, computed side by side.
        block_length: K.
        batch_size: Samples that run at once.
        input_options: How input is encoded.
        options: What to count and record.
        spike_counts: Populations whose spikes are kept per sample.
        sample_indices: Global indices of the samples; None for their positions.
        early_exit: When a sample has its answer; None: never before the end.
    """

    duration: int
    reported: Sequence[int]
    every_step: bool
    block_length: int
    batch_size: int
    input_options: InputOptions
    options: BlockOptions
    spike_counts: tuple[str, ...]
    sample_indices: np.ndarray | None
    early_exit: EarlyExit | None

    @property
    def ends(self) -> Sequence[int]:
        """Where the run pauses for outputs, its end included."""
        if self.every_step:
            return [self.duration]
        looks = set(filter(self.early_exit.looks_at, range(1, self.duration + 1))) if self.early_exit else set()
        return sorted({*self.reported, self.duration, *looks})

    @property
    def segments(self) -> list[int]:
        """How many timesteps run without a pause, one number after the other."""
        return [end - start for start, end in itertools.pairwise((0, *self.ends))]

    @functools.cached_property
    def whole_blocks(self) -> bool:
        """Whether no segment leaves timesteps over that fill no block."""
        return all(steps % self.block_length == 0 for steps in self.segments)

    def indices_of_batch(self, start: int, count: int) -> np.ndarray:
        """Returns what Poisson input takes as the global indices of the samples from position `start` on."""
        if self.sample_indices is None:
            return np.arange(start, start + count)
        if len(self.sample_indices) < start + count:
            raise ValueError(f"`sample_indices` names {len(self.sample_indices)} samples, but `x` has yielded more.")
        return self.sample_indices[start : start + count]


def checked_request(
    runner: Runner,
    data: InputData,
    *,
    default_timesteps: int,
    timesteps: Any,
    batch_size: Any,
    record: Any,
    outputs: Any,
    input_options: InputOptions,
    block_length: Any,
    schedule: str | None,
    sample_indices: Any,
    early_exit: Any,
    memory_limit: Any,
) -> Request:
    """Returns a checked request; see `SpikingModel.simulate` for the arguments and the errors."""
    graph = runner.network.graph
    duration, reported, every_step = _reported_timesteps(data, default_timesteps, timesteps, outputs)
    if data.frames is not None and data.frames < duration:
        raise ValueError(f"`x` has {data.frames} frames per sample, fewer than the {duration} timesteps asked for.")
    if block_length is not None:
        check_positive_integer(block_length, "block_length")
    schedule = check_schedule(runner.schedule if schedule is None else schedule, neurons_of(graph))
    if schedule == "layer_synchronous":
        block_length, every_step = duration, every_step or list(reported) != [duration]
    recorded = _recorded(graph, record)
    by_timestep = tuple((kind, name) for kind in ("spikes", "membrane_potential") for name in recorded[kind])
    early_exit = check_early_exit(early_exit, graph, schedule=schedule, recorded=by_timestep)
    every_step = every_step and not early_exit
    options = BlockOptions(
        schedule=schedule,
        count=True,
        every_step=every_step,
        record=by_timestep,
    )
    if schedule == "layer_synchronous" and recorded["membrane_potential"]:
        raise ValueError("A layer-synchronous run has no membrane potential per timestep; record 'spikes' only.")
    request = Request(
        duration,
        reported,
        every_step,
        1,
        check_positive_integer(batch_size, "batch_size"),
        input_options,
        options,
        recorded["spike_counts"],
        _sample_indices(sample_indices, data),
        early_exit,
    )
    # Before anything is as long as the run.
    MemoryBudget(graph, request, memory_limit).check(data.count or 1)
    blocking = runner.blocking(request.segments, request.batch_size, block_length, request.options.schedule)
    return dataclasses.replace(
        request,
        block_length=blocking.block_length,
        batch_size=min(request.batch_size, blocking.micro_batch),
    )


def checked_input_options(runner: Runner, mode: Any, seed: Any) -> InputOptions:
    """Returns how input is encoded: as asked for, or as the network's own."""
    mode = runner.input_options.mode if mode is None else check_one_of(mode, INPUT_MODES, "input")
    return InputOptions(mode, runner.input_options.seed if seed is None else check_seed(seed))


def _sample_indices(value: Any, data: InputData) -> np.ndarray | None:
    if value is None:
        return None
    indices = np.asarray(value)
    fits = indices.ndim == 1 and data.count in (None, len(indices))
    if not fits or indices.dtype.kind not in "iu" or (len(indices) and indices.min() < 0):
        raise ValueError(
            f"Expected `sample_indices` to be one non-negative integer per sample, {data.count} of them. "
            f"Received: dtype {indices.dtype}, shape {indices.shape}"
        )
    return indices


def _reported_timesteps(
    data: InputData, default_timesteps: int, timesteps: Any, outputs: Any
) -> tuple[int, Sequence[int], bool]:
    """Returns T, the timesteps to report, and whether these are all of them."""
    listed = not isinstance(outputs, str)
    if not listed:
        check_one_of(outputs, ("all", "last"), "outputs")
    wanted = _listed_timesteps(outputs) if listed else []
    if timesteps is not None:
        duration = check_timesteps(timesteps)
    elif listed:
        duration = wanted[-1]
    elif data.frames is not None:
        duration = data.frames
    else:
        duration = default_timesteps
    if listed and wanted[-1] > duration:
        raise ValueError(f"`outputs` asks for timestep {wanted[-1]}, but only {duration} are simulated.")
    if listed:
        return duration, wanted, False
    every = outputs == "all"
    return duration, range(1, duration + 1) if every else [duration], every


def _listed_timesteps(outputs: Any) -> list[int]:
    is_list = isinstance(outputs, Iterable) and not isinstance(outputs, bytes) and getattr(outputs, "ndim", 1) == 1
    values = list(outputs) if is_list else []
    integers = all(
        isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > 0 for value in values
    )
    if not values or not integers or sorted(set(values)) != values:
        raise ValueError(
            f"Expected `outputs` to be 'all', 'last' or increasing positive numbers of timesteps. Received: {outputs!r}"
        )
    return [check_timesteps(int(value), "outputs") for value in values]


def _recorded(graph: Graph, record: Any) -> dict[str, tuple[str, ...]]:
    populations = tuple(node.name for node in graph.of_type(Population))
    if isinstance(record, str):
        record = [record]
    if record is None or (isinstance(record, Iterable) and not isinstance(record, (dict, np.ndarray, bytes))):
        record = {check_one_of(kind, RECORDABLE, "record"): populations for kind in record or ()}
    if not isinstance(record, dict):
        raise ValueError(
            f"Expected `record` to hold any of {RECORDABLE}, or to be a dict of lists of populations. "
            f"Received: record={record!r}"
        )
    for kind, names in record.items():
        if not isinstance(names, (str, list, tuple, set)):
            raise ValueError(f"Expected record[{kind!r}] to be a list of names of populations. Received: {names!r}")
    record = {kind: (names,) if isinstance(names, str) else tuple(names) for kind, names in record.items()}
    for kind, names in record.items():
        check_one_of(kind, RECORDABLE, "record")
        for name in names:
            check_one_of(name, populations, f"record['{kind}']")
    return {kind: record.get(kind, ()) for kind in RECORDABLE}


class MemoryBudget:
    """Knows what the result's arrays will take, and refuses in time.

    Args:
        graph: The network's graph.
        request: The request.
        limit: Bytes that they may take; None for no limit.

    Raises:
        ValueError: If the limit is no positive integer.
    """

    def __init__(self, graph: Graph, request: Request, limit: Any) -> None:
        self._limit = math.inf if limit is None else check_positive_integer(limit, "memory_limit")

        def neurons(names: Iterable[str]) -> int:
            return sum(int(np.prod(graph[name].shape)) for name in names)

        outputs = sum(int(np.prod(graph.output_shape(readout))) for readout in graph.readouts)
        of_kind = {kind: [name for found, name in request.options.record if found == kind] for kind in RECORDABLE}
        # A recorded batch exists twice for a moment, when the batches are joined.
        self._per_sample = {
            "outputs": 8 * len(request.reported) * outputs,
            "spikes": 2 * request.duration * neurons(of_kind["spikes"]),
            "membrane_potential": 8 * request.duration * neurons(of_kind["membrane_potential"]),
            "spike_counts": 16 * neurons(request.spike_counts),
        }

    def check(self, samples: int) -> None:
        """Raises a MemoryError if the result of so many samples is too large."""
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
