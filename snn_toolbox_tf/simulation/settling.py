"""The first timesteps of a population that waits for its input to settle, or has a current of its own for them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import Hidden
from snn_toolbox_tf.ops import Current, Response
from snn_toolbox_tf.ops.reference import summed
from snn_toolbox_tf.simulation.block import Block, spread


class Membranes(NamedTuple):
    """What a population keeps.

    Attributes:
        potential: Its membrane potential, `[batch, ...]`.
        counts: Its number of spikes so far, likewise, or None.
        hidden: What else its neurons keep, likewise, by name.
    """

    potential: tf.Tensor
    counts: tf.Tensor | None
    hidden: Hidden


#: Steps the population: currents, what it keeps, and a number of timesteps.
Step = Callable[[Sequence[Current], Membranes, int], Response]


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
    before: Membranes,
    block: Block,
) -> Response:
    """Steps a population through a block in which it only integrates before timestep `node.start`.

    Args:
        node: The population.
        step: What steps it.
        currents: Its currents, each `[timesteps, batch, ...]` (or 1 for the batch), or `[batch, ...]` if it is constant.
        before: What it keeps before the block.
        block: The block. Of one that is the whole run, the first timestep is known while tracing.

    Returns:
        The response, which has a trace whether it is wanted or not.
    """
    # No block waits longer; behind these timesteps, all can be stepped at once.
    head, rank = min(node.start, block.timesteps), before.potential.shape.rank
    each = tf.concat([[block.timesteps], tf.shape(before.potential)], axis=0)
    places = spread(block.places(), rank)
    currents = [
        current._replace(value=tf.broadcast_to(current.value, each)) if current.value.shape.rank != rank else current
        for current in currents
    ]
    spikes, trace = [], []
    for offset in range(head):
        now = [Current(_at(current.value, offset, rank), current.gain) for current in currents]
        fired, after = _waiting(node, now, before)
        if not block.options.one_block:
            stepped = step(now, before, 1)
            alternative = Membranes(stepped.membrane_potential, stepped.counts, stepped.hidden)
            waits = places[offset] < node.start
            fired = tf.where(waits, fired, stepped.spikes[0])
            after = _chosen(waits, after, alternative)
        before = after
        spikes.append(fired)
        trace.append(before.potential)
    response = Response(tf.stack(spikes), before.potential, before.counts, tf.stack(trace), before.hidden)
    if head == block.timesteps:
        return response
    rest = [Current(_from(current.value, head, rank), current.gain) for current in currents]
    last = step(rest, before, block.timesteps - head)
    traces = None if last.trace is None else tf.concat([response.trace, last.trace], axis=0)
    return last._replace(spikes=tf.concat([response.spikes, last.spikes], axis=0), trace=traces)


def _waiting(node: Population, currents: Sequence[Current], before: Membranes) -> tuple[tf.Tensor, Membranes]:
    """Returns no spikes, and what a population keeps that has only integrated."""
    threshold = tf.constant(node.threshold[np.newaxis], before.potential.dtype)
    charged = node.neuron.charge(before.potential, summed(currents), threshold, before.hidden)
    return tf.zeros_like(before.potential), Membranes(charged.potential, before.counts, charged.hidden)


def _chosen(where: tf.Tensor, first: Membranes, second: Membranes) -> Membranes:
    counts = None if first.counts is None else tf.where(where, first.counts, second.counts)
    hidden = {name: tf.where(where, kept, second.hidden[name]) for name, kept in first.hidden.items()}
    return Membranes(tf.where(where, first.potential, second.potential), counts, hidden)


def _at(value: tf.Tensor, offset: int, rank: int | None) -> tf.Tensor:
    return value if value.shape.rank == rank else value[offset]


def _from(value: tf.Tensor, offset: int, rank: int | None) -> tf.Tensor:
    return value if value.shape.rank == rank else value[offset:]
