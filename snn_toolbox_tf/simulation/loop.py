"""The time loop: blocks of K timesteps, then single ones for what is left, in one `tf.while_loop` each.

It is a pure function of input and state, works for any number of timesteps without being traced again, and holds
`[timesteps, ...]` tensors only for what is asked for.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, State, run_block
from snn_toolbox_tf.simulation.elements import network_elements, readout_key
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.simulation.signal import Signal

Recorded = dict[tuple[str, str], tf.Tensor]


@dataclasses.dataclass
class Segment:
    """What a run of consecutive timesteps gave.

    Attributes:
        state: The state after it.
        outputs: Decoded outputs in the source's structure: after each timestep, `[timesteps, batch, ...]`, or after the
            last, `[batch, ...]`.
        recorded: Recorded tensors `[timesteps, batch, ...]` by kind and population.
    """

    state: State
    outputs: Any
    recorded: Recorded


class TimeLoop:
    """A network in time, for one way of encoding input.

    Args:
        network: The spiking network.
        input_options: How input is encoded.
        replaced: Elements that take the place of the network's own, by name.
    """

    def __init__(
        self, network: Network, input_options: InputOptions, replaced: Mapping[str, Element] | None = None
    ) -> None:
        self.network = network
        self._elements = network_elements(network, input_options) | dict(replaced or {})
        self._readouts = [readout_key(readout) for readout in network.graph.readouts]
        # With constant input, what no population stands in front of does not change.
        changing = network.graph.spiking_ancestry() | set(self._readouts)
        constant = {name: element for name, element in self._elements.items() if name not in changing}
        self._constant = constant if input_options.mode == "analog" else {}

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> State:
        """Returns the state before the first timestep."""
        states = {
            name: element.initial_state(batch_size, options)
            for name, element in self._elements.items()
            if name not in self._constant
        }
        return State(tf.zeros((), tf.int32), {name: state for name, state in states.items() if state})

    def readout_sums(self, state: State) -> list[tf.Tensor]:
        """Returns what the readouts' currents have summed up to, float64 `[batch, ...]`, in the order of the readouts."""
        return [state.nodes[key]["sum"] for key in self._readouts]

    def advance(
        self,
        inputs: Mapping[str, tf.Tensor],
        state: State,
        steps: Any,
        *,
        block_length: int,
        options: BlockOptions,
        sample_index: tf.Tensor | None = None,
    ) -> Segment:
        """Runs the network for `steps` timesteps from `state`.

        Args:
            inputs: A tensor per input: `[batch, ...]`, or, in mode "frames", the frames of these timesteps,
                `[batch, steps, ...]`.
            state: State before the first of these timesteps.
            steps: Number of timesteps, an integer or a scalar tensor.
            block_length: K; of a run that must be one block, the number of timesteps.
            options: What to count and record.
            sample_index: Global index of each sample, int64 `[batch]`; 0, 1, ... if None.

        Returns:
            The segment.
        """
        if sample_index is None:
            sample_index = tf.range(tf.shape(next(iter(inputs.values())))[0], dtype=tf.int64)
        start = state.timestep

        def block(timestep: tf.Tensor, length: int) -> Block:
            return Block(length, timestep, timestep - start, inputs, sample_index, options)

        known: dict[str, Signal] = {}
        for name, element in self._constant.items():
            known[name] = element.run([known[source] for source in element.inputs], {}, block(start, 1)).signal
        if options.one_block:
            state, recorded = run_block(self._elements, known, state, block(start, block_length))
            return self._segment(state, recorded, options)
        steps = tf.convert_to_tensor(steps, tf.int32)
        arrays = self._arrays(options, steps)
        for length in sorted({block_length, 1}, reverse=True):
            end = start + steps // length * length
            state, arrays = self._while(known, state, arrays, block, start, end, length)
        return self._segment(state, {key: array.stack() for key, array in arrays.items()}, options)

    def _while(
        self,
        known: dict[str, Signal],
        state: State,
        arrays: Any,
        block: Any,
        start: tf.Tensor,
        end: tf.Tensor,
        length: int,
    ) -> tuple[State, Any]:
        """Runs blocks of one length until timestep `end`."""

        def body(state: State, arrays: Any) -> tuple[State, Any]:
            after, recorded = run_block(self._elements, known, state, block(state.timestep, length))
            return after, {
                key: _written(array, state.timestep - start, length, recorded[key]) for key, array in arrays.items()
            }

        return tf.while_loop(lambda state, _: state.timestep < end, body, (state, arrays), parallel_iterations=1)

    def _arrays(self, options: BlockOptions, steps: tf.Tensor) -> dict[tuple[str, str], tf.TensorArray]:
        """Returns an array of all timesteps for all that is recorded."""
        wanted = [*options.record, *(("sum", key) for key in self._readouts if options.every_step)]
        arrays = {}
        for kind, name in wanted:
            dtype, shape = self._elements[name].recordable[kind]
            arrays[kind, name] = tf.TensorArray(dtype, size=steps, element_shape=[None, *shape])
        return arrays

    def _segment(self, state: State, recorded: Recorded, options: BlockOptions) -> Segment:
        kept = {key: recorded[key] for key in options.record}
        if not options.every_step:
            elapsed = tf.cast(state.timestep, tf.float64)
            return Segment(state, self.network.decode([total / elapsed for total in self.readout_sums(state)]), kept)
        sums = [recorded["sum", key] for key in self._readouts]
        means, count = [], tf.shape(sums[0])[0]
        elapsed = tf.cast(state.timestep - count + 1 + tf.range(count), tf.float64)
        for total in sums:
            mean = total / tf.reshape(elapsed, [-1] + [1] * (total.shape.rank - 1))
            means.append(tf.reshape(mean, [-1, *total.shape[2:]]))

        def unmerge(output: tf.Tensor) -> tf.Tensor:
            return tf.reshape(output, [count, -1, *output.shape[1:]])

        return Segment(state, tf.nest.map_structure(unmerge, self.network.decode(means)), kept)


def _written(array: tf.TensorArray, at: tf.Tensor, length: int, tensor: tf.Tensor) -> tf.TensorArray:
    for offset in range(length):
        array = array.write(at + offset, tensor[offset])
    return array
