"""`simulate`: batches through the time loop, and the bookkeeping around it."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network.input_data import Batch, InputData
from snn_toolbox_tf.simulation.answered_batch import AnsweredBatch
from snn_toolbox_tf.simulation.arrays import concatenate
from snn_toolbox_tf.simulation.block import State
from snn_toolbox_tf.simulation.early_exit import holds_logits
from snn_toolbox_tf.simulation.loop import Segment
from snn_toolbox_tf.simulation.operations import Counted, OperationCounter
from snn_toolbox_tf.simulation.request import MemoryBudget, Request, checked_input_options, checked_request
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.simulation.runner import Runner
from snn_toolbox_tf.simulation.workload import Workload


def simulate(
    runner: Runner,
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
    schedule: str | None = None,
    sample_indices: Any = None,
    early_exit: Any = None,
    memory_limit: int | None = 2**31,
    verbose: int = 0,
) -> SimulationResult:
    """Runs a network and returns what happened; see `SpikingModel.simulate` for the arguments."""
    graph = runner.network.graph
    input_options = checked_input_options(runner, input, seed)
    data = InputData(x, graph, argument="x", frames=input_options.mode == "frames")
    request = checked_request(
        runner,
        data,
        default_timesteps=default_timesteps,
        timesteps=timesteps,
        batch_size=batch_size,
        record=record,
        outputs=outputs,
        input_options=input_options,
        block_length=block_length,
        schedule=schedule,
        sample_indices=sample_indices,
        early_exit=early_exit,
        memory_limit=memory_limit,
    )
    budget = MemoryBudget(graph, request, memory_limit)
    counter = runner.operation_counter(input_options.mode)
    run_batch = _run_until_answered if request.early_exit else _run_batch
    parts: list[SimulationResult] = []
    done = 0
    bar = keras.utils.Progbar(data.count, unit_name="sample") if verbose else None
    for batch in data.batches(request.batch_size):
        count = len(next(iter(batch.values())))
        if data.count is None:
            budget.check(done + count)
        parts.append(run_batch(runner, request, batch, request.indices_of_batch(done, count), counter))
        done += count
        if bar is not None:
            bar.update(done)
    return SimulationResult.join(parts)


def _run_batch(
    runner: Runner, request: Request, batch: Batch, indices: np.ndarray, counter: OperationCounter
) -> SimulationResult:
    """Runs all samples of a batch to the end."""
    state = runner.initial_state(len(indices), request.input_options, request.options)
    outputs, recorded, start = [], [], 0
    inputs = _inputs(runner, request, batch)
    for end in request.ends:
        if request.input_options.mode == "frames":
            _check_frames(batch, end)
            inputs = {name: tf.constant(array[:, start:end]) for name, array in batch.items()}
        segment = _advance(runner, request, inputs, state, end - start, tf.constant(indices, tf.int64))
        state = segment.state
        if request.every_step or end in request.reported:
            first_axis = (slice(None),) if request.every_step else (np.newaxis,)
            outputs.append(tf.nest.map_structure(lambda t, axis=first_axis: t.numpy()[axis], segment.outputs))
        recorded.append({key: tensor.numpy() for key, tensor in segment.recorded.items()})
        start = end
    counts = {name: kept["spike_count"] for name, kept in state.nodes.items() if "spike_count" in kept}

    def joined(kind: str) -> dict[str, np.ndarray]:
        parts = [{name: array for (found, name), array in item.items() if found == kind} for item in recorded]
        return concatenate(parts, 0)

    return _result(
        runner,
        request,
        _pick(concatenate(outputs, 0), request),
        counts,
        counter,
        np.full(len(indices), request.duration),
        spikes=joined("spikes"),
        membrane_potential=joined("membrane_potential"),
    )


def _run_until_answered(
    runner: Runner, request: Request, batch: Batch, indices: np.ndarray, counter: OperationCounter
) -> SimulationResult:
    """Runs the samples of a batch until they have their answer, or to the end."""
    state = runner.initial_state(len(indices), request.input_options, request.options)
    inputs = _inputs(runner, request, batch)
    answered = AnsweredBatch(runner.network.graph, request, inputs, indices, state)
    outputs, start = [], 0
    for end in request.ends:
        if len(answered.running):
            inputs = answered.inputs
            if request.input_options.mode == "frames":
                _check_frames(batch, end)
                inputs = {name: tensor[:, start:end] for name, tensor in inputs.items()}
            segment = _advance(runner, request, inputs, answered.state, end - start, answered.sample_index)
            answered.state = segment.state
            (output,) = keras.tree.flatten(segment.outputs)
            answered.look(end, output.numpy())
        if end in request.reported:
            outputs.append(answered.outputs())
        start = end
    counts = {name: tf.constant(array) for name, array in answered.counts.items()}
    return _result(runner, request, concatenate(outputs, 0), counts, counter, answered.exit_timesteps)


def _inputs(runner: Runner, request: Request, batch: Batch) -> dict[str, tf.Tensor]:
    """Returns a batch as tensors, with what does not change in time if more than one segment of the run needs it."""
    inputs = {name: tf.constant(array) for name, array in batch.items()}
    if request.input_options.mode == "analog" and len(request.ends) > 1:
        inputs |= runner.constants(inputs, request.input_options)
    return inputs


def _advance(
    runner: Runner, request: Request, inputs: dict[str, tf.Tensor], state: State, steps: int, index: tf.Tensor
) -> Segment:
    return runner.advance(
        inputs,
        state,
        steps,
        block_length=request.block_length,
        input_options=request.input_options,
        options=request.options,
        sample_index=index,
        whole_blocks=request.whole_blocks,
    )


def _result(
    runner: Runner,
    request: Request,
    outputs: Any,
    counts: dict[str, tf.Tensor],
    counter: OperationCounter,
    exit_timesteps: np.ndarray,
    **recorded: dict[str, np.ndarray],
) -> SimulationResult:
    graph, samples = runner.network.graph, len(exit_timesteps)
    counted = counter.count(counts, samples, exit_timesteps)
    spike_counts = {node.name: _summed(counts[node.name], request.duration) for node in graph.of_type(Population)}
    return SimulationResult(
        outputs,
        request.reported,
        duration=request.duration,
        samples=samples,
        spike_counts=spike_counts,
        sample_spike_counts={name: np.asarray(counts[name], np.float64) for name in request.spike_counts},
        synaptic_operations=counted.synaptic_operations,
        multiply_accumulates=counted.multiply_accumulates,
        workload=_workload(runner, request, counted, spike_counts, exit_timesteps),
        exit_timesteps=exit_timesteps,
        from_logits=holds_logits(graph),
        windows=runner.windows(request.options.schedule),
        **recorded,
    )


def _workload(
    runner: Runner, request: Request, counted: Counted, spike_counts: dict[str, np.ndarray], exit_timesteps: np.ndarray
) -> Workload:
    """The means of what was counted, and what the network consists of."""
    means = {
        "synaptic_operations": {name: float(each.mean()) for name, each in counted.synaptic_operations.items()},
        "multiply_accumulates": {name: float(each.mean()) for name, each in counted.multiply_accumulates.items()},
        "arriving_spikes": counted.arriving_spikes,
        "active_connections": counted.active_connections,
    }
    spikes = {name: float(total.sum()) / len(exit_timesteps) for name, total in spike_counts.items()}
    return runner.workload(request.input_options.mode).counted(float(exit_timesteps.mean()), means, spikes)


def _summed(counts: tf.Tensor, duration: int) -> np.ndarray:
    """The counts of all samples together; float32 holds integers up to 2^24."""
    exact = counts.shape[0] * duration < 2**24
    return tf.reduce_sum(counts if exact else tf.cast(counts, tf.float64), axis=0).numpy().astype(np.float64)


def _check_frames(batch: Batch, end: int) -> None:
    for name, array in batch.items():
        if array.shape[1] < end:
            raise ValueError(
                f"Input '{name}' has {array.shape[1]} frames per sample, fewer than the {end} timesteps asked for."
            )


def _pick(outputs: Any, request: Request) -> Any:
    """Of all timesteps, those that were asked for (a layer-synchronous run always computes all)."""
    if not request.every_step or len(request.reported) == request.duration:
        return outputs
    rows = np.asarray(request.reported) - 1
    return keras.tree.map_structure(lambda array: array[rows], outputs)
