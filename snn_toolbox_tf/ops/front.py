"""The one front of the ops, in front of their implementations."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.neurons import Hidden, IntegrateAndFire, Neuron
from snn_toolbox_tf.ops import convolution, max_pool, native, reference
from snn_toolbox_tf.ops.convolution import ConvolutionWindow, SpikeSynapse
from snn_toolbox_tf.ops.max_pool import Window
from snn_toolbox_tf.ops.selection import implementation
from snn_toolbox_tf.ops.step import MAXIMAL_CURRENTS, Current, Response, Step
from snn_toolbox_tf.ops.surrogate import SURROGATE_GRADIENTS, with_surrogate_gradient

INTEGRATE_FIRE = {"native": native.integrate_fire, "reference": reference.integrate_fire}
_DEFAULT_NEURON = IntegrateAndFire()
ACCUMULATE_MAX_POOL = {"native": native.accumulate_max_pool, "reference": max_pool.reference}
SPIKE_CONVOLUTION = {"native": native.spike_convolution, "reference": convolution.reference}
_PLAIN_WINDOW = ConvolutionWindow()


def integrate_fire(
    current: tf.Tensor | Sequence[Current],
    membrane_potential: tf.Tensor,
    threshold: tf.Tensor,
    *,
    timesteps: int,
    neuron: Neuron = _DEFAULT_NEURON,
    counts: tf.Tensor | None = None,
    spike_form: str = "float",
    return_trace: bool = False,
    surrogate_gradient: str | None = None,
    hidden: Hidden | None = None,
) -> Response:
    """Steps a population through a block of timesteps, with the active implementation (see `implementation`).

    At each timestep (of an `IntegrateAndFire` neuron): `v += current`; a neuron fires where `v >= threshold`; then
    `v -= threshold` (soft reset) or `v = 0` (hard reset) where it fired (Rueckauer et al. 2017, equations 3a and 3b). All
    implementations give the same bits wherever sums are exact, as on the grid of converted networks. Off a grid, currents
    may be summed in another order: the native op takes those that it finds from spikes last, and of three or more,
    TensorFlow's graph optimizer may change the reference's order.

    Args:
        current: Input current, float32 `[timesteps, batch, ...]` (`[timesteps, 1, ...]` if it is the same for all
            samples), or `[batch, ...]` if it is constant in the block; or
            several `Current`s, whose sum it is. Those that have a synapse are found from spikes, by the native ops
            without being held in memory.
        membrane_potential: v before the block, float32 `[batch, ...]`.
        threshold: theta, float32: one value, or one per channel along one axis (or along neighbouring axes), in a shape
            that broadcasts to `membrane_potential`.
        timesteps: Length of the block, a Python integer.
        neuron: What the neurons do, see `snn_toolbox_tf.neurons`. Signed spikes need `counts`.
        counts: Net number of spikes before the block, float32 `[batch, ...]`, if it is to be kept.
        spike_form: "float", "bits" or "counts", see `Response`.
        return_trace: Whether v after each timestep is wanted.
        surrogate_gradient: What stands in for the derivative of a spike, one of `SURROGATE_GRADIENTS`; None: there is no
            gradient. The membrane potential of every timestep is kept for it.
        hidden: What else the neurons kept before the block, float32 `[batch, ...]` for each of `neuron.hidden_names`
            (synaptic currents, timesteps that are left of refractory periods, ...); None: 0.

    Returns:
        A `Response`: spikes, v, counts, trace, and what else the neurons keep.

    Raises:
        ValueError: For unknown names, options that do not go together, and currents that are known not to fit.
        tf.errors.InvalidArgumentError: For shapes that turn out not to fit.

    Example:
        >>> import tensorflow as tf, snn_toolbox_tf as snn
        >>> block = snn.ops.integrate_fire(tf.fill([1, 1], 0.5), tf.zeros([1, 1]), tf.constant(1.0), timesteps=4)
        >>> block.spikes[:, 0, 0].numpy().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    step = Step(timesteps, neuron, spike_form, return_trace)
    membrane_potential = tf.convert_to_tensor(membrane_potential)
    if not membrane_potential.dtype.is_floating or not membrane_potential.shape.rank:
        raise ValueError(
            "Expected `membrane_potential` to be a float tensor [batch, ...] of known rank. "
            f"Received: {membrane_potential.dtype.name}, shape {membrane_potential.shape}"
        )
    threshold = tf.convert_to_tensor(threshold, membrane_potential.dtype)
    _check_broadcast("threshold", threshold.shape, membrane_potential.shape)
    if counts is not None:
        counts = tf.convert_to_tensor(counts, membrane_potential.dtype)
        if not counts.shape.is_compatible_with(membrane_potential.shape):
            raise ValueError(f"Expected `counts` of shape {membrane_potential.shape}. Received: {counts.shape}")
    if neuron.signed_spikes and counts is None:
        raise ValueError("Neurons with `signed_spikes=True` need `counts`, the net number of spikes before the block.")
    hidden = _checked_hidden(neuron, hidden, membrane_potential)
    currents = _as_currents(current, timesteps, membrane_potential)
    name = _implementation_for(membrane_potential.dtype)
    if name == "reference" or surrogate_gradient is not None or len(currents) > MAXIMAL_CURRENTS:
        currents = [given_current(part, timesteps, membrane_potential.shape[1:]) for part in currents]
    while len(currents) > MAXIMAL_CURRENTS:
        currents[:2] = [Current(reference.summed(currents[:2]))]
    run = INTEGRATE_FIRE[name]
    if surrogate_gradient is None:
        return run(currents, membrane_potential, threshold, counts, step, hidden)
    check_one_of(surrogate_gradient, SURROGATE_GRADIENTS, "surrogate_gradient")
    if neuron.signed_spikes or counts is not None or spike_form != "float":
        raise ValueError(
            "A surrogate gradient is for plain spikes. Expected no `signed_spikes`, no `counts` and spike_form='float'."
        )
    total = reference.summed(currents)
    return with_surrogate_gradient(run, total, membrane_potential, threshold, step, surrogate_gradient, hidden)


def _checked_hidden(neuron: Neuron, hidden: Hidden | None, membrane_potential: tf.Tensor) -> Hidden:
    """Returns what the neurons keep besides their potential, in its order; zeros if nothing is given."""
    if hidden is None:
        return neuron.initial_hidden(membrane_potential)
    if set(hidden) != set(neuron.hidden_names):
        raise ValueError(f"Expected `hidden` with {list(neuron.hidden_names)} for {neuron}. Received: {sorted(hidden)}")
    tensors = {name: tf.convert_to_tensor(hidden[name], membrane_potential.dtype) for name in neuron.hidden_names}
    for name, tensor in tensors.items():
        if not tensor.shape.is_compatible_with(membrane_potential.shape):
            raise ValueError(f"Expected hidden['{name}'] of shape {membrane_potential.shape}. Received: {tensor.shape}")
    return tensors


def _implementation_for(dtype: tf.DType) -> str:
    """The native ops read float32 only; currents that are not on a grid come in float64."""
    return implementation().name if dtype == tf.float32 else "reference"


def _as_currents(current: Any, timesteps: int, membrane_potential: tf.Tensor) -> list[Current]:
    """Returns a list of currents whose shapes fit, as far as they are known."""
    if isinstance(current, Current):
        currents = [current]
    elif isinstance(current, (list, tuple)) and all(isinstance(part, Current) for part in current):
        currents = list(current)
    else:
        currents = [Current(tf.convert_to_tensor(current, dtype=membrane_potential.dtype))]
    if not currents:
        raise ValueError("Expected at least one current. Received: an empty list")
    for part in currents:
        neurons = membrane_potential.shape
        if part.synapse is not None:
            _check_synapse(part.synapse, neurons)
            continue
        block = tf.TensorShape([timesteps]).concatenate(neurons)
        shared = tf.TensorShape([timesteps, 1]).concatenate(neurons[1:])
        if not any(part.value.shape.is_compatible_with(shape) for shape in (neurons, block, shared)):
            raise ValueError(
                f"Expected a current of shape {block}, or {neurons} if it is constant. Received: {part.value.shape}"
            )
        if part.gain is not None:
            _check_broadcast("gain", part.gain.shape, neurons)
    return currents


def _check_synapse(synapse: SpikeSynapse, neurons: tf.TensorShape) -> None:
    """Refuses a synapse whose current is not of this shape."""
    size = neurons[1:].num_elements()
    if size not in (None, math.prod(synapse.output_shape)):
        raise ValueError(
            f"Expected a synapse that gives a current of {size} neurons, {neurons}. "
            f"Received: one that gives {synapse.output_shape}"
        )


def given_current(current: Current, timesteps: int, shape: Sequence[int]) -> Current:
    """Returns a current without a synapse, float32 `[timesteps, batch, *shape]`: what was to be found is found."""
    if current.synapse is None:
        return current
    value = spike_convolution_of(current.value, current.synapse)
    return Current(tf.reshape(value, [timesteps, -1, *shape]), current.gain)


def _check_broadcast(name: str, shape: tf.TensorShape, neurons: tf.TensorShape) -> None:
    """Refuses what is known not to have one value, or one per channel, for neurons of this shape."""
    fits = shape.rank is None or shape.rank <= neurons.rank
    if fits and shape.rank:
        sizes = zip(shape.as_list(), neurons.as_list()[-shape.rank :], strict=True)
        fits = all(size in (1, None) or expected in (size, None) for size, expected in sizes)
    if not fits:
        raise ValueError(
            f"Expected `{name}` to have one value, or one per channel of neurons of shape {neurons}. Received: {shape}"
        )


def accumulate_max_pool(
    current: tf.Tensor, accumulated: tf.Tensor, window: Window, *, differentiable: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pools currents that are accumulated over time, with the active implementation.

    With `S += I` at each timestep it passes on `J(t) = maxpool(S(t)) - maxpool(S(t - 1))`, whose sum over time is the
    pooled sum: the maximum is taken of what the inputs have given so far, not of single spikes.

    Args:
        current: I, float32 or float64 `[timesteps, batch, rows, columns, channels]`.
        accumulated: S before the block, float64 `[batch, rows, columns, channels]`.
        window: The windows.
        differentiable: Whether a gradient is wanted, which only the reference has.

    NaN has no place here: implementations differ in what they make of it, and a `SpikingModel` refuses it as input.

    Returns:
        J, of the current's dtype, `[timesteps, batch, rows, columns, channels]`, and S after the block.

    Example:
        >>> import tensorflow as tf, snn_toolbox_tf as snn
        >>> current = tf.reshape([1.0, 3.0, 2.0, 0.0], [2, 1, 1, 2, 1])  # two timesteps, two columns
        >>> window = snn.ops.Window(pool=(1, 2), strides=(1, 2))
        >>> pooled, accumulated = snn.ops.accumulate_max_pool(current, tf.zeros([1, 1, 2, 1], tf.float64), window)
        >>> pooled.numpy().ravel().tolist()  # max(1, 3) - 0, then max(1 + 2, 3 + 0) - 3
        [3.0, 0.0]
    """
    name = "reference" if differentiable else _implementation_for(current.dtype)
    return ACCUMULATE_MAX_POOL[name](current, accumulated, window)


def spike_convolution(
    spikes: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    *,
    window: ConvolutionWindow = _PLAIN_WINDOW,
    input_shape: tuple[int, int, int] | None = None,
) -> tf.Tensor:
    """Convolves spikes, with the active implementation: the native one works only where there are some.

    It adds up the rows of the kernel that belong to active inputs, and multiplies nothing. Where sums are exact, as on the
    grid of converted networks, it gives the same bits as a dense convolution. It has no gradient.

    Args:
        spikes: float32 `[batch, rows, columns, inputs]`, each 0 or 1: whatever is not 0 counts as 1. Or their bits, uint8
            `[batch, bytes]`, see `Response`.
        kernel: float32 `[window rows, window columns, inputs / groups, outputs]`.
        bias: float32 `[outputs]`, or None.
        window: Strides, dilations, padding and groups.
        input_shape: (rows, columns, inputs) of spikes that come as bits.

    Returns:
        The current, float32 `[batch, output rows, output columns, outputs]`.

    Raises:
        ValueError: For bits without `input_shape`.
        tf.errors.InvalidArgumentError: For shapes that do not fit.

    Example:
        >>> import tensorflow as tf, snn_toolbox_tf as snn
        >>> spikes = tf.reshape([1.0, 0.0, 1.0], [1, 1, 3, 1])  # one row of three columns
        >>> kernel = tf.reshape([1.0, 10.0], [1, 2, 1, 1])
        >>> snn.ops.spike_convolution(spikes, kernel).numpy().ravel().tolist()
        [1.0, 10.0]
    """
    spikes = tf.convert_to_tensor(spikes)
    size = input_shape or (tuple(spikes.shape[1:]) if spikes.dtype != tf.uint8 else None)
    if size is None or len(size) != 3 or None in size:
        raise ValueError(
            "Expected `spikes` [batch, rows, columns, inputs], of which only the batch may be unknown, or their bits and "
            "`input_shape=(rows, columns, inputs)`. "
            f"Received: spikes {spikes.dtype.name} {spikes.shape}, input_shape={input_shape}"
        )
    bias = None if bias is None else tf.convert_to_tensor(bias)
    return spike_convolution_of(spikes, SpikeSynapse(size, tf.convert_to_tensor(kernel), bias, window))


def spike_convolution_of(spikes: tf.Tensor, synapse: SpikeSynapse) -> tf.Tensor:
    """Returns what a synapse makes of spikes, `[batch, *synapse.output_shape]`; without a kernel, the spikes as float32."""
    return SPIKE_CONVOLUTION[implementation().name](spikes, synapse)
