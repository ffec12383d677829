"""Streams: many inputs that go on, each at its own place in time. The state of each is one row of numbers."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.simulation.block import BlockOptions, State
from snn_toolbox_tf.simulation.loop import TimeLoop

#: It holds float32 potentials, float64 sums and counts of timesteps alike.
PACKED_DTYPE = tf.float64
#: In front of what nodes keep: the number of timesteps so far, and the global index of the sample.
_LEADING = 2


@dataclasses.dataclass(frozen=True)
class _Part:
    """Where one tensor of the state is: the node and its name for it, dtype and shape without the batch."""

    node: str
    key: str
    dtype: tf.DType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Streams:
    """A network in which streams go on by one timestep at a time, with their whole state given and returned.

    It keeps nothing itself: whoever runs it may keep the rows of any number of streams, and bring together in a batch those
    that have a frame now.

    Args:
        loop: The network in time.
        takes_frames: Whether its input is frames; otherwise spikes are drawn from it.

    Attributes:
        size: Numbers in the state of one stream.
    """

    def __init__(self, loop: TimeLoop, *, takes_frames: bool) -> None:
        self._loop, self._takes_frames = loop, takes_frames
        nodes = loop.initial_state(tf.constant(1), BlockOptions()).nodes
        self._parts = [
            _Part(node, key, tensor.dtype, tuple(tensor.shape[1:]))
            for node, kept in nodes.items()
            for key, tensor in kept.items()
        ]
        self.size = _LEADING + sum(part.size for part in self._parts)

    def initial_state(self, sample_index: tf.Tensor) -> tf.Tensor:
        """Returns the state of streams before their first timestep.

        Args:
            sample_index: A number for each stream, int64 `[batch]`; Poisson draws depend on it.

        Returns:
            Their state, float64 `[batch, size]`.
        """
        count = tf.shape(sample_index)[0]
        nodes = self._loop.initial_state(count, BlockOptions()).nodes
        return self._packed(State(tf.zeros([count], tf.int32), nodes), sample_index)

    def step(self, inputs: Mapping[str, tf.Tensor], packed: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Runs one timestep.

        Args:
            inputs: The frame of each stream, `[batch, ...]` by input name; of Poisson input, what spikes are drawn from.
            packed: The state of each, as `initial_state` or the last timestep left it.

        Returns:
            The decoded outputs so far, float32 `[batch, ...]`, in the source's structure, and the state after it.
        """
        state, sample_index = self._unpacked(packed)
        if self._takes_frames:
            inputs = {name: frame[:, tf.newaxis] for name, frame in inputs.items()}
        state, outputs = self._loop.step(inputs, state, sample_index)
        return outputs, self._packed(state, sample_index)

    def _packed(self, state: State, sample_index: tf.Tensor) -> tf.Tensor:
        rows = [state.timestep[:, tf.newaxis], sample_index[:, tf.newaxis]]
        rows += [tf.reshape(state.nodes[part.node][part.key], [-1, part.size]) for part in self._parts]
        return tf.ensure_shape(tf.concat([tf.cast(row, PACKED_DTYPE) for row in rows], axis=1), [None, self.size])

    def _unpacked(self, packed: tf.Tensor) -> tuple[State, tf.Tensor]:
        sizes = [1] * _LEADING + [part.size for part in self._parts]
        timestep, sample_index, *rows = tf.split(packed, sizes, axis=1)
        nodes: dict[str, dict[str, tf.Tensor]] = {}
        for part, row in zip(self._parts, rows, strict=True):
            tensor = tf.reshape(tf.cast(row, part.dtype), [-1, *part.shape])
            nodes.setdefault(part.node, {})[part.key] = tensor
        return State(tf.cast(timestep[:, 0], tf.int32), nodes), tf.cast(sample_index[:, 0], tf.int64)
