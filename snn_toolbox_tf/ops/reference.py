"""Integrate-fire-reset in plain TensorFlow operations: the reference for every faster implementation."""

import tensorflow as tf


def integrate_fire(
    current: tf.Tensor,
    membrane_potential: tf.Tensor,
    threshold: tf.Tensor,
    *,
    timesteps: int,
    reset: str,
    return_trace: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """Steps a population through a block of timesteps.

    At each timestep: `v += current`; a neuron fires where `v >= threshold`; then `v -= threshold` (soft reset,
    "subtract") or `v = 0` (hard reset, "zero") where it fired (Rueckauer et al. 2017, equations 3a and 3b).

    Args:
        current: Input current, float32 `[timesteps, batch, ...]`, or `[batch, ...]` if it is constant in the block.
        membrane_potential: v before the block, float32 `[batch, ...]`.
        threshold: theta, float32, broadcastable to `membrane_potential`.
        timesteps: Length of the block, a Python integer.
        reset: "subtract" or "zero".
        return_trace: Whether the membrane potential after each timestep is wanted.

    Returns:
        The spikes, 0.0 or 1.0, `[timesteps, batch, ...]`; v after the block; and v after each timestep (after reset),
        `[timesteps, batch, ...]`, or None.
    """
    constant = current.shape.rank == membrane_potential.shape.rank
    v = membrane_potential
    spikes, trace = [], []
    for step in range(timesteps):
        v = v + (current if constant else current[step])
        fired = v >= threshold
        spikes.append(tf.cast(fired, v.dtype))
        # Selecting, not multiplying by the spike: an infinite potential must not turn into NaN.
        v = tf.where(fired, v - threshold if reset == "subtract" else tf.zeros_like(v), v)
        trace.append(v)
    return tf.stack(spikes), v, tf.stack(trace) if return_trace else None


def integrate_then_fire(
    current: tf.Tensor, membrane_potential: tf.Tensor, threshold: tf.Tensor, *, timesteps: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Steps a population layer-synchronously: it first integrates the whole block, then fires for as long.

    With soft reset it emits `n = clip(floor(v / threshold), 0, timesteps)` spikes, in the first n timesteps, where v is
    the membrane potential after all input. The sum over time is taken in float64.

    Args:
        current: As in `integrate_fire`.
        membrane_potential: As in `integrate_fire`.
        threshold: As in `integrate_fire`.
        timesteps: Length of the block: the whole run.

    Returns:
        The spikes `[timesteps, batch, ...]` and v after the block, float32.
    """
    current = tf.cast(current, tf.float64)
    constant = current.shape.rank == membrane_potential.shape.rank
    total = current * timesteps if constant else tf.reduce_sum(current, axis=0)
    threshold = tf.cast(threshold, tf.float64)
    v = tf.cast(membrane_potential, tf.float64) + total
    count = tf.clip_by_value(tf.floor(v / threshold), 0.0, float(timesteps))
    step = tf.reshape(tf.range(timesteps, dtype=tf.float64), [timesteps] + [1] * membrane_potential.shape.rank)
    spikes = tf.cast(step < count, membrane_potential.dtype)
    return spikes, tf.cast(v - count * threshold, membrane_potential.dtype)
