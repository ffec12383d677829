"""The first timesteps of a population that waits for its input to settle, or has a current of its own for them."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.ops import Current, Response
from snn_toolbox_tf.ops.reference import summed
from snn_toolbox_tf.simulation.block import Block, spread

#: Steps the population: currents, membrane potential and counts before, and a number of timesteps.
Step = Callable[[Sequence[Current], tf.Tensor, tf.Tensor | None, int], Response]


def timed_current(node: Population, block: Block) -> Current:
    """Returns a population's current of its own for the timesteps of a block, zero after its last one.

    It is the same for all samples that are at the same timestep: `[timesteps, 1, ...]`, or `[timesteps, batch, ...]`.
    """
    rows = node.timed_current()[:, 0]
    # One row of zeros stands for all timesteps behind the last.
    padded = tf.pad(tf.constant(rows, tf.float32), [[0, 1]] + [[0, 0]] * (rows.ndim - 1))
    places = tf.minimum(block.places(), len(rows))
    return Current(tf.broadcast_to(tf.gather(padded, places), tf.concat([tf.shape(places), node.shape], axis=0)))


def wait_then_step(
    node: Population,
    step: Step,
    currents: Sequence[Current],
    potential: tf.Tensor,
    counts: tf.Tensor | None,
    block: Block,
) -> Response:
    """Steps a population through a block in which it only integrates before timestep `node.start`.

    Args:
        node: The population.
        step: What steps it.
        currents: Its currents, each `[timesteps, batch, ...]` (or 1 for the batch), or `[batch, ...]` if it is constant.
        potential: Its membrane potential before the block, `[batch, ...]`.
        counts: Its number of spikes before the block, likewise, or None.
        block: The block. Of one that is the whole run, the first timestep is known while tracing.

    Returns:
        The response, which has a trace whether it is wanted or not.
    """
    # No block waits longer; behind these timesteps, all can be stepped at once.
    head, rank = min(node.start, block.timesteps), potential.shape.rank
    each = tf.concat([[block.timesteps], tf.shape(potential)], axis=0)
    places = spread(block.places(), rank)
    currents = [
        current._replace(value=tf.broadcast_to(current.value, each)) if current.value.shape.rank != rank else current
        for current in currents
    ]
    spikes, trace = [], []
    for offset in range(head):
        now = [Current(_at(current.value, offset, rank), current.gain) for current in currents]
        waiting, fired = node.neuron.integrate(potential, summed(now)), tf.zeros_like(potential)
        if not block.options.one_block:
            waits = places[offset] < node.start
            stepped = step(now, potential, counts, 1)
            waiting = tf.where(waits, waiting, stepped.membrane_potential)
            fired = tf.where(waits, fired, stepped.spikes[0])
            counts = None if counts is None else tf.where(waits, counts, stepped.counts)
        potential = waiting
        spikes.append(fired)
        trace.append(potential)
    response = Response(tf.stack(spikes), potential, counts, tf.stack(trace))
    if head == block.timesteps:
        return response
    rest = [Current(_from(current.value, head, rank), current.gain) for current in currents]
    after = step(rest, potential, counts, block.timesteps - head)
    traces = None if after.trace is None else tf.concat([response.trace, after.trace], axis=0)
    return after._replace(spikes=tf.concat([response.spikes, after.spikes], axis=0), trace=traces)


def _at(value: tf.Tensor, offset: int, rank: int | None) -> tf.Tensor:
    return value if value.shape.rank == rank else value[offset]


def _from(value: tf.Tensor, offset: int, rank: int | None) -> tf.Tensor:
    return value if value.shape.rank == rank else value[offset:]
