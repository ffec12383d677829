"""An output in time: it adds up its current and never fires, and what it adds up is averaged over time."""

from typing import Any

import tensorflow as tf

from snn_toolbox_tf.graph import Readout
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, NodeState, Outcome, spread, zeros
from snn_toolbox_tf.simulation.signal import Signal, by_timestep


def readout_key(readout: Readout) -> str:
    """The name of a readout among the elements; names of layers have no slash."""
    return f"readout/{readout.name}"


class ReadoutElement(Element):
    """An output, which keeps the sum of its current over time: over all timesteps, until its window begins.

    Args:
        readout: The readout.
        shape: Shape of its current without the batch axis.
        dtype: Of the sum, float64 where it is to be exact.
    """

    def __init__(self, readout: Readout, shape: tuple[int, ...], dtype: tf.DType = tf.float64) -> None:
        super().__init__([readout.node])
        self._readout, self._shape, self._dtype = readout, shape, dtype
        self.recordable = {"sum": (dtype, shape)}

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """Nothing has come in yet."""
        return {"sum": zeros(batch_size, self._shape, self._dtype)}

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Adds up the current."""
        every = by_timestep(tf.cast(inputs[0].at_every_step(block.timesteps), self._dtype), block.timesteps)
        total, added = state["sum"], every
        start = window_start(self._readout, block.options.schedule)
        places = spread(block.places(), total.shape.rank)
        inside = places >= start
        if start:
            # Where the window has begun, what came before it is no part of the sum any more.
            kept, added = tf.where(places[0] > start, total, 0.0), tf.where(inside, every, 0.0)
        if not block.options.every_step:
            last = total + tf.reduce_sum(every, axis=0)
            if start:
                last = tf.where(inside[-1], kept + tf.reduce_sum(added, axis=0), last)
            return Outcome(inputs[0], {"sum": last})
        sums = total + tf.cumsum(every, axis=0)
        if start:
            sums = tf.where(inside, kept + tf.cumsum(added, axis=0), sums)
        return Outcome(inputs[0], {"sum": sums[-1]}, {"sum": sums})


def window_start(readout: Readout, schedule: str) -> int:
    """Returns the number of timesteps that a readout leaves out: none where nothing has to settle.

    In a layer-synchronous run most spikes come in the first timesteps, and all of them count.
    """
    return 0 if schedule == "layer_synchronous" else readout.start


def time_averages(readout: Readout, sums: tf.Tensor, block: Block) -> tf.Tensor:
    """Returns a readout's current after each timestep of a block, averaged over the timesteps that it has summed up.

    Args:
        readout: The readout.
        sums: What it has summed up after each of them, `[timesteps, batch, ...]`.
        block: The block.
    """
    start, after = window_start(readout, block.options.schedule), block.places() + 1
    summed = tf.where(after > start, after - start, after)
    return sums / spread(tf.cast(summed, sums.dtype), sums.shape.rank - 1)


def time_average(start: int, total: tf.Tensor, timesteps: Any) -> tf.Tensor:
    """Returns a readout's current, averaged over the timesteps that it has summed up.

    Args:
        start: Number of timesteps that the readout leaves out.
        total: What `ReadoutElement` keeps after `timesteps` timesteps, float64 `[batch, ...]`; or after each of several
            numbers of timesteps, `[points, batch, ...]`.
        timesteps: The number of timesteps so far, a scalar integer; or one a point, `[points]`.
    """
    timesteps = tf.convert_to_tensor(timesteps, tf.int32)
    summed = tf.where(timesteps > start, timesteps - start, timesteps)
    shape = tf.concat([tf.shape(summed), tf.ones(total.shape.rank - summed.shape.rank, tf.int32)], axis=0)
    return total / tf.reshape(tf.cast(summed, total.dtype), shape)
