"""Integrate-fire-reset in plain TensorFlow operations: the reference for every faster implementation."""

from collections.abc import Sequence

import tensorflow as tf

from snn_toolbox_tf.neurons import Hidden, Neuron
from snn_toolbox_tf.ops.bits import pack_bits
from snn_toolbox_tf.ops.step import Current, Response, Step


def integrate_fire(
    currents: Sequence[Current],
    membrane_potential: tf.Tensor,
    threshold: tf.Tensor,
    counts: tf.Tensor | None,
    step: Step,
    hidden: Hidden,
) -> Response:
    """Steps a population through a block of timesteps; see `ops.integrate_fire`."""
    current = summed(currents)
    constant = current.shape.rank == membrane_potential.shape.rank
    v, net_spikes = membrane_potential, counts
    spikes, trace = [], []
    for t in range(step.timesteps):
        spike, v, hidden = step.neuron.step(v, current if constant else current[t], threshold, net_spikes, hidden)
        net_spikes = None if net_spikes is None else net_spikes + spike
        spikes.append(spike)
        trace.append(v)
    forms = {
        "float": lambda: tf.stack(spikes),
        "bits": lambda: pack_bits(tf.stack(spikes)),
        "counts": lambda: tf.cast(tf.add_n(spikes), tf.int32),
    }
    return Response(forms[step.spike_form](), v, net_spikes, tf.stack(trace) if step.return_trace else None, hidden)


def summed(currents: Sequence[Current]) -> tf.Tensor:
    """Returns the sum of currents, in their order; constant if all of them are."""
    total = None
    for current in currents:
        value = current.value if current.gain is None else current.value * current.gain
        # A constant current meets one of every timestep by broadcasting along the new first axis.
        total = value if total is None else total + value
    return total


def integrate_then_fire(
    current: tf.Tensor | Sequence[Current],
    membrane_potential: tf.Tensor,
    threshold: tf.Tensor,
    neuron: Neuron,
    *,
    timesteps: int,
    start: int = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Steps a population layer-synchronously: it first integrates the whole block, then fires for as long.

    It emits `neuron.counts(v / threshold)` spikes, in the first timesteps, where v is the membrane potential after all
    input. The sum over time is taken in float64. A population that waits for `start` timesteps emits them behind these, as
    many as the block has room for.

    Args:
        current: As in `integrate_fire`.
        membrane_potential: As in `integrate_fire`.
        threshold: As in `integrate_fire`.
        neuron: What the neurons do; they lose nothing (`Neuron.integrates_perfectly`).
        timesteps: Length of the block: the whole run.
        start: Number of timesteps without spikes at its beginning.

    Returns:
        The spikes `[timesteps, batch, ...]` and v after the block, float32.
    """
    current = tf.cast(current if tf.is_tensor(current) else summed(current), tf.float64)
    constant = current.shape.rank == membrane_potential.shape.rank
    total = current * timesteps if constant else tf.reduce_sum(current, axis=0)
    threshold = tf.cast(threshold, tf.float64)
    v = tf.cast(membrane_potential, tf.float64) + total
    count = neuron.counts(v / threshold, max(timesteps - start, 0))
    step = tf.reshape(tf.range(timesteps, dtype=tf.float64), [timesteps] + [1] * membrane_potential.shape.rank) - start
    spikes = tf.cast((step >= 0.0) & (step < count), membrane_potential.dtype)
    return spikes, tf.cast(v - count * threshold, membrane_potential.dtype)
