"""A run inside one graph that also says what each sample cost: its spikes, its operations, its timesteps."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.simulation.block import BlockOptions, State
from snn_toolbox_tf.simulation.early_exit import EarlyExit, holds_logits
from snn_toolbox_tf.simulation.exit_loop import ExitLoop
from snn_toolbox_tf.simulation.parts import indices_of_part, run_in_parts
from snn_toolbox_tf.simulation.runner import Runner


class Measured(NamedTuple):
    """What a run gave.

    Attributes:
        outputs: Decoded outputs in the source's structure, float32 `[batch, ...]`.
        timesteps: Timesteps until the answer of each sample, int64 `[batch]`.
        spikes: Number of spikes of each sample by population (and Poisson input), all of its neurons together, float64
            `[batch]`.
        synaptic_operations: Of each sample, all synapses together, float64 `[batch]`.
        multiply_accumulates: Likewise, of synapses that read real values.
    """

    outputs: Any
    timesteps: tf.Tensor
    spikes: dict[str, tf.Tensor]
    synaptic_operations: tf.Tensor
    multiply_accumulates: tf.Tensor


class MeasuredRun:
    """A function of a network's inputs, to be traced.

    Args:
        runner: What runs the network.
        timesteps: T; with frames, there are as many as the data has.
        early_exit: When a sample has its answer before; None: never.

    Attributes:
        counted: Names of the populations (and of Poisson inputs) whose spikes are counted.
    """

    def __init__(self, runner: Runner, timesteps: int, early_exit: EarlyExit | None = None) -> None:
        self._runner, self._timesteps, self._early_exit = runner, timesteps, early_exit
        counted = runner.loop().initial_state(tf.constant(1), BlockOptions(count=True, schedule=runner.schedule))
        self.counted = [name for name, kept in counted.nodes.items() if "spike_count" in kept]
        counter = runner.operation_counter(runner.input_options.mode)
        self._fan_outs = counter.fan_out_totals()
        self._once, self._each_timestep = counter.multiplied()

    def __call__(self, inputs: dict[str, tf.Tensor], sample_index: tf.Tensor | None = None) -> Measured:
        """Runs a batch.

        Args:
            inputs: A tensor `[batch, ...]` per input (`[batch, timesteps, ...]` of frames).
            sample_index: Global index of each sample, int64 `[batch]`; its place in the batch if None.
        """
        runner, graph = self._runner, self._runner.network.graph
        first = next(iter(inputs.values()))
        one_block = self._timesteps if runner.schedule == "layer_synchronous" else None
        rule = self._early_exit
        if rule is not None:
            one_block = ExitLoop.stride(rule, self._timesteps)
        blocking = runner.blocking([self._timesteps], first.shape[0], one_block)
        results = [tf.TensorSpec([None, *graph.output_shape(readout)], tf.float32) for readout in graph.readouts]
        results += [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, self._measures], tf.float64)]
        run = self._run_part if rule is None else self._run_until_answered
        *outputs, timesteps, measured = run_in_parts(
            lambda part, start: run(
                part,
                indices_of_part(sample_index, start, tf.shape(next(iter(part.values())))[0]),
                blocking.block_length,
            ),
            inputs,
            blocking.micro_batch,
            results,
        )
        *spikes, operations = tf.unstack(measured, axis=1)
        return Measured(
            keras.tree.pack_sequence_as(graph.output_structure, outputs),
            timesteps,
            dict(zip(self.counted, spikes, strict=True)),
            operations,
            self._once + self._each_timestep * tf.cast(timesteps, tf.float64),
        )

    @property
    def _measures(self) -> int:
        return len(self.counted) + 1

    def _options(self) -> BlockOptions:
        return BlockOptions(count=True, schedule=self._runner.schedule)

    def _run_part(self, inputs: dict[str, tf.Tensor], sample_index: tf.Tensor, block_length: int) -> list[tf.Tensor]:
        """Runs samples to the end."""
        segment = self._runner.run_part(inputs, sample_index, self._timesteps, block_length, self._options())
        steps = self._runner.number_of_steps(inputs, self._timesteps)
        timesteps = tf.fill(tf.shape(sample_index), tf.cast(steps, tf.int64))
        return [*keras.tree.flatten(segment.outputs), timesteps, self._measured(segment.state)]

    def _run_until_answered(
        self, inputs: dict[str, tf.Tensor], sample_index: tf.Tensor, block_length: int
    ) -> list[tf.Tensor]:
        """Runs samples until they have their answer."""
        loop, graph, options = self._runner.loop(), self._runner.network.graph, self._options()

        def advance(
            inputs: dict[str, tf.Tensor], state: State, steps: tf.Tensor, sample_index: tf.Tensor
        ) -> tuple[State, tf.Tensor]:
            segment = loop.advance(
                inputs,
                state,
                steps,
                block_length=block_length,
                options=options,
                sample_index=sample_index,
                whole_blocks=True,
            )
            return segment.state, keras.tree.flatten(segment.outputs)[0]

        exits = ExitLoop(
            self._early_exit or EarlyExit(),
            self._timesteps,
            from_logits=bool(holds_logits(graph)),
            advance=advance,
            measure=self._measured,
        )
        (classes,) = graph.output_shape(graph.readouts[0])
        state = loop.initial_state(tf.shape(sample_index)[0], options)
        return list(exits.run(inputs, state, sample_index, classes, self._measures))

    def _measured(self, state: State) -> tf.Tensor:
        """Spikes by population, and synaptic operations, float64 `[batch, populations + 1]`."""
        columns, operations = [], []
        for name in self.counted:
            counts = tf.cast(state.nodes[name]["spike_count"], tf.float64)
            counts = tf.reshape(counts, [-1, int(np.prod(counts.shape[1:]))])
            columns.append(tf.reduce_sum(counts, axis=1))
            if name in self._fan_outs:
                operations.append(tf.linalg.matvec(counts, tf.constant(self._fan_outs[name])))
        samples = tf.shape(self._runner.loop().readout_sums(state)[0])[:1]
        total = tf.add_n(operations) if operations else tf.zeros(samples, tf.float64)
        return tf.stack([*columns, total], axis=1)
