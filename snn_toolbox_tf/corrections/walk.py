"""One walk through a spiking network, population by population, on samples that are kept at hand.

A population is fitted to what the populations in front of it, which are final by then, really give it. Spikes of all
timesteps are kept, one byte each, for as long as something still reads them.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.corrections.setting import Observation, Setting, fire, for_batch
from snn_toolbox_tf.graph import Graph, InputNode, Population
from snn_toolbox_tf.network import Network, relu
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.ops.reference import summed
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element
from snn_toolbox_tf.simulation.elements import network_elements, readout_key
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.simulation.signal import Signal

#: Bytes of the largest tensor of a chunk of samples, and of what is kept of all chunks.
CHUNK_MEMORY, KEPT_MEMORY = 2**25, 2**30
#: Bytes that a tensor of one sample may take.
LARGEST_TENSOR = 2**29
#: So many values per channel tell which setting is best; elements of a current that may be looked at.
ENOUGH_VALUES, LARGEST_OBSERVATION = 2**13, 2**24
#: However many positions a channel has: values of one sample are alike.
FEWEST_SAMPLES = 32

Fit = Callable[[Population, Observation], Setting]


@dataclasses.dataclass(frozen=True)
class Stage:
    """The way to one population or readout.

    Attributes:
        target: The population's name, or the readout's key.
        nodes: What has to be computed for it, in order.
        done_with: What nothing reads afterwards.
    """

    target: str
    nodes: list[str]
    done_with: list[str]


def stages(graph: Graph, elements: dict[str, Element]) -> list[Stage]:
    """Returns the way through a network, from population to population, then to the readouts."""
    order = list(elements)
    readers: dict[str, set[str]] = {name: set() for name in order}
    for name, element in elements.items():
        for source in element.inputs:
            readers[source].add(name)
    final = [readout_key(readout) for readout in graph.readouts]
    targets = [node.name for node in graph.of_type(Population)] + final
    kept, computed, result = set[str](), set[str](), []
    for target in targets:
        needed, pending = set[str](), list(elements[target].inputs)
        while pending:
            name = pending.pop()
            if name not in kept and name not in needed:
                needed.add(name)
                pending.extend(elements[name].inputs)
        computed |= needed | {target}
        kept |= needed | {target}
        done_with = [name for name in kept if readers[name] <= computed]
        kept -= set(done_with)
        result.append(Stage(target, [name for name in order if name in needed], done_with))
    return result


class Walk:
    """Samples on their way through a network.

    Args:
        network: The network with its source's weights, in units of the source.
        inputs: The samples, one array per input.
        timesteps: T.
        input_options: How input is encoded.
        fitted: So many samples, the first ones, are what populations are fitted to.
        schedule: In which order populations integrate and fire.
    """

    def __init__(
        self,
        network: Network,
        inputs: Batch,
        timesteps: int,
        input_options: InputOptions,
        fitted: int,
        schedule: str = "step",
    ) -> None:
        self._network, self._timesteps, self._fitted, self._schedule = network, timesteps, fitted, schedule
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
                for name in stage.done_with:
                    chunk.signals.pop(name, None)
                    chunk.activations.pop(name, None)
        expected = self._decoded([chunk.expected for chunk in self._chunks])
        return {
            start: self._decoded([chunk.outputs[start] for chunk in self._chunks]) for start in readout_starts
        }, expected

    def _observe(self, node: Population, stage: Stage) -> Observation:
        """Returns what a population receives for as many samples as its setting needs."""
        wanted = max(
            1, min(_wanted(node), self._fitted, LARGEST_OBSERVATION // (self._timesteps * int(np.prod(node.shape))))
        )
        currents, targets, found = [], [], 0
        for chunk in self._chunks:
            if found >= wanted:
                break
            self._compute(chunk, stage.nodes)
            rows = min(chunk.samples, wanted - found)
            current = self._current(chunk, node)
            currents.append(current[:rows] if self._is_constant(chunk, node) else current[:, :rows])
            targets.append(self._activation(chunk, node)[:rows])
            found += rows
        axis = 0 if self._is_constant(self._chunks[0], node) else 1
        return Observation(node, tf.concat(currents, axis), tf.concat(targets, 0), self._timesteps, self._schedule)

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
                chunk.activations[name] = tf.cast(chunk.block.inputs[name], self._network.input_dtype(name))
            else:
                chunk.activations[name] = self._network.apply(node, [chunk.activations[n] for n in node.inputs])

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

    def signal(self, name: str) -> Signal:
        signal = self.signals[name]
        return signal.signal() if isinstance(signal, _Spikes) else signal


def is_feasible(graph: Graph, timesteps: int) -> bool:
    """Whether the largest tensor of one sample in all timesteps is of a size that a search may ask for."""
    return 4 * timesteps * max(int(np.prod(node.shape)) for node in graph) <= LARGEST_TENSOR


def _wanted(node: Population) -> int:
    """Returns how many samples tell which setting of a population is best."""
    positions = int(np.prod(node.shape)) // node.shape[node.channel_axis]
    return max(FEWEST_SAMPLES, -(-ENOUGH_VALUES // positions))


def samples_to_fit(graph: Graph) -> int:
    """Returns how many samples a walk fits populations to, if there are enough."""
    return max(map(_wanted, graph.of_type(Population)), default=1)


def largest_number_of_samples(graph: Graph, timesteps: int) -> int:
    """Returns how many samples a walk can keep the spikes of, within its memory."""
    sizes = {node.name: int(np.prod(node.shape)) for node in graph}
    readers = {node.name: {reader.name for reader in graph.consumers(node.name)} for node in graph}
    computed, alive, most = set[str](), dict[str, int](), 1
    for node in graph:
        computed.add(node.name)
        # A byte for a spike; currents that several read are kept as floats.
        alive[node.name] = sizes[node.name] * (1 if isinstance(node, Population) else 4 * (len(readers[node.name]) > 1))
        most = max(most, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if not readers[name] <= computed}
    return max(1, KEPT_MEMORY // (most * timesteps))
