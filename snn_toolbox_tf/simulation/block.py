"""One block of timesteps through the network: a pure function of input and state.

Each synapse runs once per block, on a tensor `[timesteps * batch, ...]`; each population steps through the block inside one
call, which also adds up the currents that meet at it. What does not change in the block (a constant input's current)
stays `[batch, ...]` and is computed once.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from snn_toolbox_tf.simulation.signal import Signal

#: What one node keeps from timestep to timestep, by names of its own.
NodeState = dict[str, tf.Tensor]


class State(NamedTuple):
    """What a network keeps from timestep to timestep.

    Attributes:
        timestep: Number of timesteps so far, a scalar int32; of streams, one a sample, `[batch]`.
        nodes: The state of each node that has one.
    """

    timestep: tf.Tensor
    nodes: dict[str, NodeState]


@dataclasses.dataclass(frozen=True)
class BlockOptions:
    """What a block shall do besides stepping.

    Attributes:
        schedule: "step", or "layer_synchronous" for blocks that are the whole run.
        count: Whether spikes are counted per neuron.
        every_step: Whether the readout is wanted after each timestep, not only after the block.
        record: Pairs of a kind and a node's name: what is recorded at every timestep.
        surrogate_gradient: Name of the gradient that spikes shall have, or None; costs memory for all timesteps.
    """

    schedule: str = "step"
    count: bool = False
    every_step: bool = False
    record: tuple[tuple[str, str], ...] = ()
    surrogate_gradient: str | None = None

    @property
    def one_block(self) -> bool:
        """Whether the whole run must be one block."""
        return self.schedule == "layer_synchronous" or self.differentiable

    @property
    def differentiable(self) -> bool:
        """Whether gradients are wanted."""
        return self.surrogate_gradient is not None


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of timesteps, as nodes see it.

    Attributes:
        timesteps: Its length, a Python integer.
        timestep: Its first timestep, counted from the initial state; of streams, one a sample, `[batch]`.
        offset: The same, counted from the beginning of the inputs' frames.
        inputs: The user's data by input name.
        sample_index: Global index of each sample, int64 `[batch]`.
        options: What else to do.
        seed: Of Poisson draws, a scalar uint64; None: the one that inputs were made with.
    """

    timesteps: int
    timestep: tf.Tensor
    offset: tf.Tensor
    inputs: Mapping[str, tf.Tensor]
    sample_index: tf.Tensor
    options: BlockOptions
    seed: tf.Tensor | None = None

    def places(self) -> tf.Tensor:
        """Returns the number of each of its timesteps, int32 `[timesteps, batch]`, or `[timesteps, 1]` if all share it."""
        return tf.range(self.timesteps)[:, tf.newaxis] + tf.reshape(self.timestep, [1, -1])


class Outcome(NamedTuple):
    """What a node gives in a block.

    Attributes:
        signal: Its output.
        state: Its state after the block.
        recorded: What is to be recorded, `[timesteps, batch, ...]` by kind.
    """

    signal: Signal
    state: NodeState = {}
    recorded: dict[str, tf.Tensor] = {}


class Element:
    """A node in time: what it keeps, and how it goes through a block.

    Args:
        inputs: Names of the nodes that it reads.
    """

    #: What can be recorded of it: dtype and shape (without time and batch) by kind.
    recordable: Mapping[str, tuple[tf.DType, tuple[int, ...]]] = {}

    def __init__(self, inputs: list[str]) -> None:
        self.inputs = inputs

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """Returns its state before the first timestep; tensors `[batch, ...]` whose other sizes are known."""
        return {}

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Goes through a block."""
        raise NotImplementedError


def zeros(batch_size: tf.Tensor, shape: tuple[int, ...], dtype: tf.DType) -> tf.Tensor:
    """Returns a state of zeros, `[batch, *shape]`."""
    sizes = tf.concat([[batch_size], tf.constant(shape, tf.int32)], axis=0)
    return tf.ensure_shape(tf.zeros(sizes, dtype), [None, *shape])


def spread(values: tf.Tensor, rank: int) -> tf.Tensor:
    """Returns values `[..., batch]` with axes of length 1 behind them, as many as a sample's tensor has: `rank - 1`."""
    return tf.reshape(values, tf.concat([tf.shape(values), tf.ones(rank - 1, tf.int32)], axis=0))


def run_block(
    elements: Mapping[str, Element], known: Mapping[str, Signal], state: State, block: Block
) -> tuple[State, dict[tuple[str, str], Any]]:
    """Steps the network through a block.

    Args:
        elements: The network's nodes in topological order, by name.
        known: Signals that are known already.
        state: The state before the block.
        block: The block.

    Returns:
        The state after the block, and the recorded tensors by kind and node.
    """
    signals, recorded = dict(known), dict[tuple[str, str], Any]()
    nodes: dict[str, NodeState] = {}
    for name, element in elements.items():
        if name in signals:
            continue
        before = state.nodes.get(name, {})
        outcome = element.run([signals[source] for source in element.inputs], before, block)
        signals[name] = outcome.signal
        recorded.update({(kind, name): tensor for kind, tensor in outcome.recorded.items()})
        if outcome.state:
            # Told to TensorFlow, so that a loop may carry it.
            nodes[name] = {key: tf.ensure_shape(value, before[key].shape) for key, value in outcome.state.items()}
    return State(state.timestep + block.timesteps, nodes), recorded
