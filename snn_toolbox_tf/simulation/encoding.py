"""How input enters a spiking network.

- "analog": the real-valued input is a constant current, the same at every timestep.
- "poisson": at each timestep an element x spikes with probability min(|x| / a, 1), with the sign of x; a is the largest
  |x| of the calibration data, and a spike is worth a, so that the expected input is x.
- "frames": the user gives a real-valued frame per timestep, `[samples, timesteps, ...]`.

Poisson draws come from a counter-based generator (splitmix64, Steele et al. 2014): each depends on the seed, the global
sample index, the timestep and the element only, hence not on how the samples are divided into batches.
"""

import tensorflow as tf

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MANTISSA_BITS = 24


def poisson_spikes(
    inputs: tf.Tensor,
    magnitude: float,
    *,
    seed: int | tf.Tensor,
    salt: int,
    sample_index: tf.Tensor,
    places: tf.Tensor,
) -> tf.Tensor:
    """Draws input spikes for a block of timesteps.

    Args:
        inputs: Real-valued input, float `[batch, ...]`.
        magnitude: a > 0: the |x| that spikes at every timestep.
        seed: The user's seed, or what `seed_tensor` gives for it.
        salt: Tells the inputs of one network apart.
        sample_index: Global index of each sample, int64 `[batch]`.
        places: The number of each timestep of the block, integer `[timesteps, 1]`, or `[timesteps, batch]`.

    Returns:
        -1, 0 or 1, in the dtype of `inputs`, `[timesteps, batch, ...]`.
    """
    shape = tf.shape(inputs)
    numbers = uniform(
        tf.reduce_prod(shape[1:]), seed=seed, salt=salt, sample_index=sample_index, places=places, dtype=inputs.dtype
    )
    numbers = tf.reshape(numbers, tf.concat([tf.shape(places)[:1], shape], axis=0))
    return tf.where(numbers < tf.abs(inputs) / magnitude, tf.sign(inputs), tf.zeros_like(inputs))


def uniform(
    elements: int | tf.Tensor,
    *,
    seed: int | tf.Tensor,
    salt: int,
    sample_index: tf.Tensor,
    places: tf.Tensor,
    dtype: tf.DType,
) -> tf.Tensor:
    """Draws numbers, each from its own counters.

    Args:
        elements: How many a sample and timestep.
        seed: The user's seed, or what `seed_tensor` gives for it.
        salt: Tells apart what draws in one network.
        sample_index: Global index of each sample, int64 `[batch]`.
        places: The number of each timestep, integer `[timesteps, 1]`, or `[timesteps, batch]`.
        dtype: float32 or float64.

    Returns:
        Multiples of 2^-24 in [0, 1), `[timesteps, batch, elements]`.
    """
    key = _mix((seed if tf.is_tensor(seed) else seed_tensor(seed)) + _times(tf.constant(salt, tf.uint64)))
    key = _mix(key + _times(tf.cast(sample_index, tf.uint64)))
    key = _mix(key + _times(tf.cast(places, tf.uint64)))
    bits = _mix(key[..., tf.newaxis] + _times(tf.cast(tf.range(elements), tf.uint64)))
    significant = tf.bitwise.right_shift(bits, tf.constant(64 - _MANTISSA_BITS, tf.uint64))
    return tf.cast(significant, dtype) * 2.0**-_MANTISSA_BITS


def seed_tensor(seed: int) -> tf.Tensor:
    """Returns a seed as the draws take it, a scalar uint64."""
    return tf.constant((seed * 2 + 1) % 2**64, tf.uint64)


def _times(counter: tf.Tensor) -> tf.Tensor:
    return counter * tf.constant(_GOLDEN, tf.uint64)


def _mix(value: tf.Tensor) -> tf.Tensor:
    """The finalizer of splitmix64."""
    for shift, factor in ((30, _MIX_1), (27, _MIX_2)):
        value = tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, tf.constant(shift, tf.uint64)))
        value = value * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, tf.constant(31, tf.uint64)))
