"""What flows along an edge of the graph in a block of timesteps."""

import dataclasses
import functools
import math

import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Graph, Node, Population, Synapse
from snn_toolbox_tf.synapses import family_of


@dataclasses.dataclass(frozen=True)
class Part:
    """One tensor of a signal.

    Attributes:
        value: `[timesteps * batch, ...]`, timestep by timestep, or `[batch, ...]` if it is constant in the block.
        constant: Whether it is constant.
        gain: What it is still to be multiplied by, broadcastable to a sample, or None.
        synapse: What is still to be made of `value`, which is spikes then, or their bits, `[timesteps * batch, bytes]`.
        shape: Shape of a sample of what the synapse makes.
    """

    value: tf.Tensor
    constant: bool
    gain: tf.Tensor | None = None
    synapse: ops.SpikeSynapse | None = None
    shape: tuple[int, ...] = ()

    @property
    def bits(self) -> tf.Tensor | None:
        """The bits of spikes that nothing is to be made of, if it is such."""
        synapse = self.synapse
        plain = synapse is not None and synapse.kernel is None and synapse.moved is None and self.gain is None
        return self.value if plain and self.value.dtype == tf.uint8 else None

    @functools.cached_property
    def made(self) -> tf.Tensor:
        """What the synapse makes of `value`, float32; what there is if there is none."""
        if self.synapse is None:
            return self.value
        return tf.ensure_shape(
            tf.reshape(ops.spike_convolution_of(self.value, self.synapse), [-1, *self.shape]), [None, *self.shape]
        )


@dataclasses.dataclass(frozen=True)
class Signal:
    """A node's output in a block: the sum of its parts, which is left to the population that reads it; mostly one part."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, value: tf.Tensor, *, constant: bool) -> "Signal":
        """Returns a signal of one tensor."""
        return cls((Part(value, constant),))

    @classmethod
    def of_spikes(cls, spikes: tf.Tensor, synapse: ops.SpikeSynapse, shape: tuple[int, ...]) -> "Signal":
        """Returns a signal of what a synapse is to make of spikes, or of their bits, with its shape."""
        return cls((Part(spikes, constant=False, synapse=synapse, shape=shape),))

    @classmethod
    def of_bits(cls, bits: tf.Tensor, shape: tuple[int, ...]) -> "Signal":
        """Returns a signal of spikes that come as bits, with their shape."""
        return cls.of_spikes(bits, ops.SpikeSynapse((1, 1, math.prod(shape))), shape)

    @property
    def bits(self) -> tf.Tensor | None:
        """The bits `[timesteps * batch, bytes]` of a signal of spikes that come as such."""
        return self.parts[0].bits if len(self.parts) == 1 else None

    @property
    def value(self) -> tf.Tensor:
        """The tensor of a signal that is one."""
        (part,) = self.parts
        return part.made

    @property
    def constant(self) -> bool:
        """Whether it is constant in the block."""
        return all(part.constant for part in self.parts)

    def at_every_step(self, timesteps: int) -> tf.Tensor:
        """Returns the tensor `[timesteps * batch, ...]`, also of a constant signal."""
        if not self.constant:
            return self.value
        return tf.tile(self.value, [timesteps] + [1] * (self.value.shape.rank - 1))

    def currents(self, timesteps: int) -> list[ops.Current]:
        """Returns what a population sums, float32."""
        result = []
        for part in self.parts:
            if part.synapse is not None:
                result.append(ops.Current(part.value, part.gain, part.synapse))
                continue
            value = tf.cast(part.value, tf.float32)
            result.append(ops.Current(value if part.constant else by_timestep(value, timesteps), part.gain))
        return result


def by_timestep(value: tf.Tensor, timesteps: int) -> tf.Tensor:
    """`[timesteps * batch, ...]` -> `[timesteps, batch, ...]`."""
    return tf.reshape(value, [timesteps, -1, *value.shape[1:]])


def merged(value: tf.Tensor) -> tf.Tensor:
    """`[timesteps, batch, ...]` -> `[timesteps * batch, ...]`."""
    return tf.reshape(value, [-1, *value.shape[2:]])


def absorbed_synapses(graph: Graph) -> frozenset[str]:
    """Returns the Add and Scale nodes that the population behind them computes itself, in the same order of operations.

    Currents that meet at a membrane, and a shortcut's gain, then cost no pass through memory of their own.
    """
    read_out = {readout.node for readout in graph.readouts}
    absorbed: set[str] = set()
    for node in reversed(list(graph)):
        readers = graph.consumers(node.name)
        if node.name in read_out or len(readers) != 1 or not _may_be_absorbed(node):
            continue
        reader = readers[0]
        if reader.inputs.count(node.name) == 1 and (
            isinstance(reader, Population) or (reader.name in absorbed and _takes_up(reader, node))
        ):
            absorbed.add(node.name)
    return frozenset(absorbed)


def _may_be_absorbed(node: Node) -> bool:
    if not isinstance(node, Synapse) or node.dtype != "float32":
        return False
    family = family_of(node)
    return family.absorbed_as == "sum" or (
        family.absorbed_as == "gain" and not node.layer.config.get("use_offset", True)
    )


def _takes_up(reader: Node, node: Node) -> bool:
    """A sum in front of a sum can be its beginning only: (a + b) + c, not a + (b + c), is summed in order."""
    is_sum = family_of(reader).absorbed_as == "sum"
    return is_sum and (family_of(node).absorbed_as == "gain" or reader.inputs[0] == node.name)
