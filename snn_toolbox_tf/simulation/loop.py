"""The time loop: blocks of K timesteps, then single ones for what is left, in one `tf.while_loop` each.

It is a pure function of input and state, works for any number of timesteps without being traced again, and holds
`[timesteps, ...]` tensors only for what is asked for.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.graph import Input
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.simulation import block
from snn_toolbox_tf.simulation.block import BlockOptions, State
from snn_toolbox_tf.simulation.encoding import poisson_spikes
from snn_toolbox_tf.simulation.signal import Signal, merged


@dataclasses.dataclass(frozen=True)
class InputOptions:
    """How input is encoded.

    Attributes:
        mode: "analog", "poisson" or "frames".
        seed: Seed of the Poisson draws.
    """

    mode: str = "analog"
    seed: int = 0


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
    recorded: dict[str, dict[str, tf.Tensor]]


def advance(
    network: Network,
    inputs: Mapping[str, tf.Tensor],
    state: State,
    steps: Any,
    *,
    block_length: int,
    input_options: InputOptions,
    options: BlockOptions,
    sample_index: tf.Tensor | None = None,
) -> Segment:
    """Runs the network for `steps` timesteps from `state`.

    Args:
        network: The spiking network.
        inputs: A tensor per input: `[batch, ...]`, or, in mode "frames", the frames of these timesteps,
            `[batch, steps, ...]`.
        state: State before the first of these timesteps.
        steps: Number of timesteps, an integer or a scalar tensor.
        block_length: K; of a layer-synchronous or differentiable run, the number of timesteps.
        input_options: How input is encoded.
        options: What to count and record.
        sample_index: Global index of each sample, int64 `[batch]`; 0, 1, ... if None.

    Returns:
        The segment.
    """
    feed = _feed(network, inputs, input_options, sample_index, state["step"])
    steps = tf.convert_to_tensor(steps, tf.int32)
    if options.schedule == "layer_synchronous" or options.differentiable:
        # One block is the whole run.
        state, sums, recorded = block.run_block(
            network, feed(state["step"], block_length), state, block_length, options
        )
        return _segment(network, state, sums, recorded, options)
    arrays = _Arrays(network, options, steps)
    start = state["step"]
    for length in sorted({block_length, 1}, reverse=True):
        end = start + steps // length * length
        state = _loop(network, feed, state, start, end, length, options, arrays)
    sums, recorded = arrays.stacked(state)
    return _segment(network, state, sums, recorded, options)


def _feed(
    network: Network, inputs: Mapping[str, tf.Tensor], options: InputOptions, sample_index: Any, start: tf.Tensor
) -> Any:
    """Returns a function (first timestep, block length) -> the signals that enter that block."""
    if options.mode == "analog":
        constants = block.run_constant(network, inputs)
        return lambda step, timesteps: constants
    if options.mode == "frames":
        return lambda step, timesteps: {
            name: Signal.of(_frames(network, name, value, step - start, timesteps), constant=False)
            for name, value in inputs.items()
        }
    first = next(iter(inputs.values()))
    index = tf.range(tf.shape(first)[0], dtype=tf.int64) if sample_index is None else sample_index

    def draw(step: tf.Tensor, timesteps: int) -> dict[str, Signal]:
        signals = {}
        for salt, node in enumerate(inputs_of(network.graph)):
            spikes = poisson_spikes(
                inputs[node.name],
                node.magnitude,
                seed=options.seed,
                salt=salt,
                sample_index=index,
                step=step,
                timesteps=timesteps,
            )
            signals[node.name] = Signal.of(merged(_as_current(network, node, spikes)), constant=False)
        return signals

    return draw


def _as_current(network: Network, node: Input, spikes: tf.Tensor) -> tf.Tensor:
    """An input spike is worth the input's magnitude."""
    dtype = network.input_dtype(node.name)
    return tf.cast(spikes, dtype) * tf.constant(node.magnitude, dtype)


def _frames(network: Network, name: str, value: tf.Tensor, first: tf.Tensor, timesteps: int) -> tf.Tensor:
    frames = tf.gather(value, tf.range(first, first + timesteps), axis=1)
    order = [1, 0, *range(2, frames.shape.rank)]
    return merged(tf.cast(tf.transpose(frames, order), network.input_dtype(name)))


class _Arrays:
    """The TensorArrays of what is recorded, one element a timestep."""

    def __init__(self, network: Network, options: BlockOptions, steps: tf.Tensor) -> None:
        graph = network.graph
        self.kinds: list[tuple[str, str]] = [("spikes", name) for name in options.spikes]
        self.kinds += [("membrane_potential", name) for name in options.membrane_potential]
        self.readouts = len(graph.readouts) if options.every_step else 0
        shapes = [graph[name].shape for _, name in self.kinds]
        dtypes = [tf.uint8 if kind == "spikes" else tf.float32 for kind, _ in self.kinds]
        shapes += [graph[readout.node].shape for readout in graph.readouts][: self.readouts]
        dtypes += [tf.float64] * self.readouts
        self.values = tuple(
            tf.TensorArray(dtype, size=steps, element_shape=[None, *shape])
            for dtype, shape in zip(dtypes, shapes, strict=True)
        )

    def written(
        self, values: tuple[Any, ...], at: tf.Tensor, length: int, sums: list[Any], recorded: Any
    ) -> tuple[Any, ...]:
        sources = [recorded[kind][name] for kind, name in self.kinds] + sums[: self.readouts]
        result = []
        for array, source in zip(values, sources, strict=True):
            for offset in range(length):
                array = array.write(at + offset, source[offset])
            result.append(array)
        return tuple(result)

    def stacked(self, state: State) -> tuple[list[tf.Tensor], dict[str, dict[str, tf.Tensor]]]:
        tensors = [array.stack() for array in self.values]
        recorded: dict[str, dict[str, tf.Tensor]] = {"spikes": {}, "membrane_potential": {}}
        for (kind, name), tensor in zip(self.kinds, tensors, strict=False):
            recorded[kind][name] = tensor
        return tensors[len(self.kinds) :] if self.readouts else state["readout"], recorded


def _loop(
    network: Network,
    feed: Any,
    state: State,
    start: tf.Tensor,
    end: tf.Tensor,
    length: int,
    options: BlockOptions,
    arrays: _Arrays,
) -> State:
    def body(state: State, values: tuple[Any, ...]) -> tuple[State, tuple[Any, ...]]:
        step = state["step"]
        state, sums, recorded = block.run_block(network, feed(step, length), state, length, options)
        return state, arrays.written(values, step - start, length, sums, recorded)

    state, arrays.values = tf.while_loop(
        lambda state, _: state["step"] < end, body, (state, arrays.values), parallel_iterations=1
    )
    return state


def _segment(network: Network, state: State, sums: list[Any], recorded: Any, options: BlockOptions) -> Segment:
    if not options.every_step:
        return Segment(state, network.decode([total / tf.cast(state["step"], tf.float64) for total in sums]), recorded)
    means, count = [], tf.shape(sums[0])[0]
    elapsed = tf.cast(state["step"] - count + 1 + tf.range(count), tf.float64)
    for total in sums:
        mean = total / tf.reshape(elapsed, [-1] + [1] * (total.shape.rank - 1))
        means.append(tf.reshape(mean, [-1, *total.shape[2:]]))

    def unmerge(output: tf.Tensor) -> tf.Tensor:
        return tf.reshape(output, [count, -1, *output.shape[1:]])

    return Segment(state, tf.nest.map_structure(unmerge, network.decode(means)), recorded)
