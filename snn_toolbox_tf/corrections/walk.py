"""One walk through a spiking network, population by population, on samples that are kept at hand.

A population is fitted to what the populations in front of it, which are final by then, really give it. Spikes of all
timesteps are kept, one byte each, for as long as something still reads them.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.corrections.front import Front, affine_nodes
from snn_toolbox_tf.corrections.setting import Observation, Setting, decoded, fire, for_batch
from snn_toolbox_tf.corrections.stages import Stage, enough_samples, stages
from snn_toolbox_tf.graph import InputNode, Population
from snn_toolbox_tf.network import Network, relu
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.ops.reference import summed
from snn_toolbox_tf.simulation.block import Block, BlockOptions
from snn_toolbox_tf.simulation.elements import network_elements
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.simulation.signal import Signal

#: Bytes of the largest tensor of a chunk of samples.
CHUNK_MEMORY = 2**25
#: Elements of a current that may be looked at; bytes of averages over time that weights are fitted to.
LARGEST_OBSERVATION, AVERAGES_MEMORY = 2**24, 2**28

Fit = Callable[[Population, Observation], Setting]


class Walk:
    """Samples on their way through a network.

    Args:
        network: The network with its source's weights, in units of the source.
        inputs: The samples, one array per input.
        timesteps: T.
        input_options: How input is encoded.
        fitted: So many samples, the first ones, are what populations are fitted to.
        schedule: In which order populations integrate and fire.
        source: What gives activations, if the weights of `network` may change: the network as it was.
    """

    def __init__(
        self,
        network: Network,
        inputs: Batch,
        timesteps: int,
        input_options: InputOptions,
        fitted: int,
        schedule: str = "step",
        source: Network | None = None,
    ) -> None:
        self._network, self._timesteps, self._fitted, self._schedule = network, timesteps, fitted, schedule
        self._source = network if source is None else source
        self._elements = network_elements(network, input_options)
        samples = len(next(iter(inputs.values())))
        largest = max(int(np.prod(node.shape)) for node in network.graph)
        size = max(1, min(samples, CHUNK_MEMORY // (4 * largest * timesteps)))
        self._chunks = []
        for start in range(0, samples, size):
            rows = slice(start, min(start + size, samples))
            self._chunks.append(self._chunk({name: array[rows] for name, array in inputs.items()}, rows))

    def _chunk(self, inputs: Batch, rows: slice) -> "_Chunk":
        tensors = {name: tf.constant(array, tf.float32) for name, array in inputs.items()}
        index = tf.range(rows.start, rows.stop, dtype=tf.int64)
        zero = tf.zeros((), tf.int32)
        block = Block(self._timesteps, zero, zero, tensors, index, BlockOptions(every_step=True))
        return _Chunk(rows.stop - rows.start, block)

    def go(self, fit: Fit, readout_starts: Sequence[int]) -> tuple[dict[int, Any], Any]:
        """Goes through the network.

        Args:
            fit: Returns a population's setting for what it receives.
            readout_starts: Numbers of timesteps that the readout may leave out.

        Returns:
            Decoded outputs of the spiking network after T timesteps for each start of the readout, and those of the source,
            in the source's structure.
        """
        graph = self._network.graph
        populations: dict[str, Population] = {node.name: node for node in graph.of_type(Population)}
        for stage in stages(graph, self._elements):
            if stage.target in populations:
                node = populations[stage.target]
                setting = fit(node, self._observe(node, stage))
                finish = functools.partial(self._fire, node=node, setting=setting)
            else:
                finish = functools.partial(self._read_out, key=stage.target, starts=readout_starts)
            for chunk in self._chunks:
                self._compute(chunk, stage.nodes)
                finish(chunk)
                chunk.forget(stage.done_with)
        expected = self._decoded([chunk.expected for chunk in self._chunks])
        return {
            start: self._decoded([chunk.outputs[start] for chunk in self._chunks]) for start in readout_starts
        }, expected

    def _observe(self, node: Population, stage: Stage) -> Observation:
        """Returns what a population receives for as many samples as its setting needs."""
        largest = LARGEST_OBSERVATION // (self._timesteps * int(np.prod(node.shape)))
        wanted = max(1, min(enough_samples(node), self._fitted, largest))
        currents, targets = self._received(node, stage, wanted)
        front = None if self._source is self._network else self._front(node, stage, wanted)
        return Observation(node, currents, targets, self._timesteps, self._schedule, front)

    def _received(self, node: Population, stage: Stage, wanted: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what a population receives, and the source's activation, for the first samples."""
        currents, targets = [], []
        for chunk, rows in self._first(wanted):
            self._compute(chunk, stage.nodes)
            current = self._current(chunk, node)
            currents.append(current[:rows] if self._is_constant(chunk, node) else current[:, :rows])
            targets.append(self._activation(chunk, node)[:rows])
        axis = 0 if self._is_constant(self._chunks[0], node) else 1
        return tf.concat(currents, axis), tf.concat(targets, 0)

    def _first(self, samples: int) -> Iterator[tuple["_Chunk", int]]:
        """Yields the chunks of the first samples, and how many each has of them."""
        for chunk in self._chunks:
            if samples <= 0:
                return
            yield chunk, min(chunk.samples, samples)
            samples -= chunk.samples

    def _front(self, node: Population, stage: Stage, observed: int) -> Front | None:
        """Returns the affine layers in front of a population, with averages of what they read."""
        nodes = affine_nodes(self._network.graph, stage.nodes, node.inputs[0])
        if not nodes:
            return None
        names = [one.name for one in nodes]
        read = sorted({name for one in nodes for name in one.inputs} - set(names))
        graph = self._network.graph
        size = sum(int(np.prod(graph[name].shape)) for name in [*read, node.name, node.name])
        samples = max(1, min(self._fitted, AVERAGES_MEMORY // (4 * size)))
        inputs: dict[str, list[tf.Tensor]] = {name: [] for name in read}
        targets = []
        for chunk, rows in self._computed_anew(stage, samples):
            for name in read:
                inputs[name].append(self._average(chunk.signal(name))[:rows])
            targets.append(self._activation(chunk, node)[:rows])

        def fired(setting: Setting) -> tf.Tensor:
            chunks = self._computed_anew(stage, samples)
            return tf.concat([self._rates(chunk, node, setting)[:rows] for chunk, rows in chunks], 0)

        def received() -> tf.Tensor:
            # What was computed before weights changed.
            for chunk in self._chunks:
                chunk.forget(stage.nodes)
            return self._received(node, stage, observed)[0]

        averages = {name: tf.concat(parts, 0) for name, parts in inputs.items()}
        return Front(self._network, nodes, averages, tf.concat(targets, 0), fired, received, self._timesteps)

    def _computed_anew(self, stage: Stage, samples: int) -> Iterator[tuple["_Chunk", int]]:
        """Yields the chunks of the first samples with what a stage computes, which they hold one at a time."""
        for chunk, rows in self._first(samples):
            chunk.forget(stage.nodes)
            self._compute(chunk, stage.nodes)
            yield chunk, rows
            chunk.forget(stage.nodes)

    def _average(self, signal: Signal) -> tf.Tensor:
        total = summed(signal.currents(self._timesteps))
        return total if signal.constant else tf.reduce_mean(total, axis=0)

    def _rates(self, chunk: "_Chunk", node: Population, setting: Setting) -> tf.Tensor:
        """Returns theta * rate of a population."""
        currents = chunk.signal(node.inputs[0]).currents(self._timesteps)
        shape = tf.TensorShape([chunk.samples, *node.shape])
        return decoded(node, currents, setting, self._timesteps, shape, self._schedule)

    def _compute(self, chunk: "_Chunk", names: list[str]) -> None:
        graph = self._network.graph
        for name in names:
            if name in chunk.signals:
                continue
            element, node = self._elements[name], graph[name]
            initial = element.initial_state(tf.constant(chunk.samples), chunk.block.options)
            chunk.signals[name] = element.run(
                [chunk.signal(source) for source in element.inputs], initial, chunk.block
            ).signal
            if isinstance(node, InputNode):
                chunk.activations[name] = tf.cast(chunk.block.inputs[name], self._source.input_dtype(name))
            else:
                chunk.activations[name] = self._source.apply(node, [chunk.activations[n] for n in node.inputs])

    def _is_constant(self, chunk: "_Chunk", node: Population) -> bool:
        return chunk.signal(node.inputs[0]).constant

    def _current(self, chunk: "_Chunk", node: Population) -> tf.Tensor:
        return summed(chunk.signal(node.inputs[0]).currents(self._timesteps))

    def _activation(self, chunk: "_Chunk", node: Population) -> tf.Tensor:
        return tf.cast(relu(node, chunk.activations[node.inputs[0]]), tf.float32)

    def _fire(self, chunk: "_Chunk", node: Population, setting: Setting) -> None:
        currents = chunk.signal(node.inputs[0]).currents(self._timesteps)
        shape = tf.TensorShape([chunk.samples, *node.shape])
        spikes = fire(node, currents, setting, self._timesteps, shape, self._schedule)
        merged = tf.reshape(spikes, [-1, *node.shape])
        height = for_batch(setting.threshold)
        chunk.signals[node.name] = _Spikes(tf.cast(merged, tf.int8), height)
        chunk.activations[node.name] = self._activation(chunk, node)

    def _read_out(self, chunk: "_Chunk", key: str, starts: Sequence[int]) -> None:
        element = self._elements[key]
        initial = element.initial_state(tf.constant(chunk.samples), chunk.block.options)
        sums = element.run([chunk.signal(element.inputs[0])], initial, chunk.block).recorded["sum"]
        for start in starts:
            total = sums[-1] - sums[start - 1] if start else sums[-1]
            chunk.outputs.setdefault(start, []).append(total / (self._timesteps - start))
        chunk.expected.append(chunk.activations[element.inputs[0]])

    def _decoded(self, per_chunk: list[list[tf.Tensor]]) -> Any:
        outputs = [tf.concat(parts, 0) for parts in zip(*per_chunk, strict=True)]
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), self._network.decode(outputs))


@dataclasses.dataclass(frozen=True)
class _Spikes:
    """Spikes as bytes, `[timesteps * batch, ...]`, and their height."""

    spikes: tf.Tensor
    height: tf.Tensor

    def signal(self) -> Signal:
        return Signal.of(tf.cast(self.spikes, tf.float32) * self.height, constant=False)


@dataclasses.dataclass
class _Chunk:
    """Some of the samples: what has been computed for them and is still needed."""

    samples: int
    block: Block
    signals: dict[str, Signal | _Spikes] = dataclasses.field(default_factory=dict)
    activations: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    outputs: dict[int, list[tf.Tensor]] = dataclasses.field(default_factory=dict)
    expected: list[tf.Tensor] = dataclasses.field(default_factory=list)

    def forget(self, names: list[str]) -> None:
        """Frees what is needed no more, or not now."""
        for name in names:
            self.signals.pop(name, None)
            self.activations.pop(name, None)

    def signal(self, name: str) -> Signal:
        """Returns what a node gives, in floats."""
        signal = self.signals[name]
        return signal.signal() if isinstance(signal, _Spikes) else signal
