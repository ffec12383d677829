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
from snn_toolbox_tf.simulation.elements import network_elements
from snn_toolbox_tf.simulation.event_plan import NOTHING_PLANNED, EventPlan, runs_native
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.simulation.readout import readout_key, time_average, window_start
from snn_toolbox_tf.simulation.signal import Signal, absorbed_synapses, merged

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
        plan: What runs on spikes; nothing where elements are replaced.
    """

    def __init__(
        self,
        network: Network,
        input_options: InputOptions,
        replaced: Mapping[str, Element] | None = None,
        plan: EventPlan = NOTHING_PLANNED,
    ) -> None:
        self.network = network
        self._elements = network_elements(network, input_options) | dict(replaced or {})
        self._on_spikes = network_elements(network, input_options, plan) if plan.synapses else self._elements
        self._readouts = [readout_key(readout) for readout in network.graph.readouts]
        # With constant input, what no population stands in front of does not change.
        absorbed = absorbed_synapses(network.graph)
        changing = network.graph.spiking_ancestry() | set(self._readouts)
        constant = {name: element for name, element in self._elements.items() if name not in changing}
        self._constant = constant if input_options.mode == "analog" else {}
        layers = {name for name in self._constant if self._elements[name].inputs and name not in absorbed}
        read = {name for reader, element in self._elements.items() if reader not in layers for name in element.inputs}
        self._worth_keeping = [name for name in self._constant if name in layers & read]

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> State:
        """Returns the state before the first timestep."""
        states = {
            name: element.initial_state(batch_size, options)
            for name, element in self._elements.items()
            if name not in self._constant
        }
        return State(tf.zeros((), tf.int32), {name: state for name, state in states.items() if state})

    def constants(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns what does not change in time, by node: given to `advance` with the inputs, it is computed once a run."""
        known = self._known(inputs, Block(1, tf.constant(0), tf.constant(0), inputs, tf.constant([0]), BlockOptions()))
        return {name: known[name].value for name in self._worth_keeping}

    def _known(self, inputs: Mapping[str, tf.Tensor], block: Block) -> dict[str, Signal]:
        known: dict[str, Signal] = {}
        for name, element in self._constant.items():
            if name in inputs and name in self._worth_keeping:
                known[name] = Signal.of(inputs[name], constant=True)
            else:
                known[name] = element.run([known[source] for source in element.inputs], {}, block).signal
        return known

    def _elements_for(self, options: BlockOptions) -> Mapping[str, Element]:
        """Layers run where weights learn, and where currents of all timesteps are summed before a neuron fires."""
        return self._on_spikes if runs_native() and not options.one_block else self._elements

    def readout_sums(self, state: State) -> list[tf.Tensor]:
        """Returns what the readouts' currents have summed up to, float64 `[batch, ...]`, in the order of the readouts."""
        return [state.nodes[key]["sum"] for key in self._readouts]

    def decoded(self, sums: list[tf.Tensor], timesteps: Any, schedule: str = "step") -> Any:
        """Returns the decoded outputs of what the readouts have summed up.

        Args:
            sums: A tensor per readout, float64 `[batch, ...]`, or `[points, batch, ...]` for several numbers of timesteps.
            timesteps: The number of timesteps so far, a scalar integer, or one a point.
            schedule: As in `BlockOptions`.

        Returns:
            The outputs, float32, in the source's structure; with an axis of points where the sums have one.
        """
        pairs = zip(self.network.graph.readouts, sums, strict=True)
        means = [time_average(window_start(readout, schedule), total, timesteps) for readout, total in pairs]
        points = tf.shape(timesteps)
        if not points.shape[0]:
            return self.network.decode_summed(means)
        decoded = self.network.decode_summed([merged(mean) for mean in means])
        return tf.nest.map_structure(lambda output: tf.reshape(output, [points[0], -1, *output.shape[1:]]), decoded)

    def advance(
        self,
        inputs: Mapping[str, tf.Tensor],
        state: State,
        steps: Any,
        *,
        block_length: int,
        options: BlockOptions,
        sample_index: tf.Tensor | None = None,
        whole_blocks: bool = False,
        seed: tf.Tensor | None = None,
    ) -> Segment:
        """Runs the network for `steps` timesteps from `state`.

        Args:
            inputs: A tensor per input: `[batch, ...]`, or, in mode "frames", the frames of these timesteps,
                `[batch, steps, ...]`; and what `constants` gave for them, if it was asked.
            state: State before the first of these timesteps.
            steps: Number of timesteps, an integer or a scalar tensor.
            block_length: K; of a run that must be one block, the number of timesteps.
            options: What to count and record.
            sample_index: Global index of each sample, int64 `[batch]`; 0, 1, ... if None.
            whole_blocks: Whether `steps` is known to be a multiple of K, so that no loop over what is left is needed.
            seed: Of Poisson draws, see `encoding.seed_tensor`; None: the one of the input options.

        Returns:
            The segment.
        """
        if sample_index is None:
            sample_index = tf.range(tf.shape(next(iter(inputs.values())))[0], dtype=tf.int64)
        start = state.timestep

        def block(timestep: tf.Tensor, length: int) -> Block:
            return Block(length, timestep, timestep - start, inputs, sample_index, options, seed)

        known = self._known(inputs, block(start, 1))
        if options.one_block:
            state, recorded = run_block(self._elements_for(options), known, state, block(start, block_length))
            return self._segment(state, recorded, options)
        # Tracing a loop takes longer than most runs: one that would have nothing to do is left out.
        whole_blocks = whole_blocks or (isinstance(steps, int) and steps % block_length == 0)
        steps = tf.convert_to_tensor(steps, tf.int32)
        arrays = self._arrays(options, steps)
        for length in (block_length,) if whole_blocks else sorted({block_length, 1}, reverse=True):
            end = start + steps // length * length
            state, arrays = self._while(known, state, arrays, block, start, end, length)
        return self._segment(state, {key: array.stack() for key, array in arrays.items()}, options)

    def step(self, inputs: Mapping[str, tf.Tensor], state: State, sample_index: tf.Tensor) -> tuple[State, Any]:
        """Runs one timestep of streams, each of which may be at another one.

        Args:
            inputs: A tensor per input, `[batch, ...]`; in mode "frames" the frame of this timestep, `[batch, 1, ...]`.
            state: Their state, with `timestep` `[batch]`.
            sample_index: Global index of each, int64 `[batch]`.

        Returns:
            The state after it, and the decoded outputs so far, `[batch, ...]`, in the source's structure.
        """
        options = BlockOptions()
        block = Block(1, state.timestep, tf.constant(0), inputs, sample_index, options)
        state, _ = run_block(self._elements_for(options), self._known(inputs, block), state, block)
        sums = zip(self.network.graph.readouts, self.readout_sums(state), strict=True)
        means = [time_average(readout.start, total, state.timestep) for readout, total in sums]
        return state, self.network.decode_summed(means)

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
            here = block(state.timestep, length)
            after, recorded = run_block(self._elements_for(here.options), known, state, here)
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
            return Segment(state, self.decoded(self.readout_sums(state), state.timestep, options.schedule), kept)
        sums = [recorded["sum", key] for key in self._readouts]
        count = tf.shape(sums[0])[0]
        timesteps = state.timestep - count + 1 + tf.range(count)
        return Segment(state, self.decoded(sums, timesteps, options.schedule), kept)


def _written(array: tf.TensorArray, at: tf.Tensor, length: int, tensor: tf.Tensor) -> tf.TensorArray:
    for offset in range(length):
        array = array.write(at + offset, tensor[offset])
    return array
