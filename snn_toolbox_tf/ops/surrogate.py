"""Surrogate gradients: what stands in for the derivative of a spike.

A spike is H(x), x = (v - theta) / theta, v the membrane potential that includes this timestep's current. Its derivative is 0
almost everywhere, so that training replaces it by a bump sigma'(x) around the threshold (Neftci, Mostafa & Zenke 2019).
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from snn_toolbox_tf.neurons import Charged, Hidden, Stepped
from snn_toolbox_tf.ops.step import Current, Response, Step

Forward = Callable[[Sequence[Current], tf.Tensor, tf.Tensor, tf.Tensor | None, Step, Hidden], Response]

#: sigma'(x) by name. All have their maximum at the threshold; the first four have the area 1, as the step's has.
SURROGATE_GRADIENTS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    # Fang et al. 2021 (ICCV), with alpha = 2: the derivative of arctan(pi x) / pi.
    "arctan": lambda x: 1.0 / (1.0 + tf.square(math.pi * x)),
    # Bellec et al. 2018 (NeurIPS), with slope 1.
    "triangle": lambda x: tf.maximum(1.0 - tf.abs(x), 0.0),
    # Wu et al. 2018 (Front. Neurosci. 12:331), with width 1.
    "rectangle": lambda x: tf.cast(tf.abs(x) < 0.5, x.dtype),
    # The logistic function of slope 4.
    "sigmoid": lambda x: 4.0 * tf.sigmoid(4.0 * x) * tf.sigmoid(-4.0 * x),
    # Zenke & Ganguli 2018 (Neural Comput. 30:1514), SuperSpike with beta = 1; its area is 2.
    "fast_sigmoid": lambda x: 1.0 / tf.square(1.0 + tf.abs(x)),
}


def with_surrogate_gradient(
    forward: Forward,
    current: tf.Tensor,
    membrane_potential: tf.Tensor,
    threshold: tf.Tensor,
    step: Step,
    name: str,
    hidden: Hidden,
) -> Response:
    """Steps a population through a block, differentiably: backpropagation through time with a surrogate.

    With u(t) the membrane potential before reset, g the gradients, and the reset taken as a constant of the spike
    (Zenke & Vogels 2021, Neural Comput. 33:899):

        g_u(t) = g_s(t) sigma'((u(t) - theta) / theta) / theta + g_v(t) r(t),    g_I(t) = k g_u(t),    g_v(t - 1) = d g_u(t)

    where r(t) = 1 with soft reset, and 1 - s(t) with hard reset, and d is the neuron's retention, k its input gain (both
    1 without leak). The membrane potential of every timestep is kept for it. Neurons that keep more than a potential are
    differentiated operation by operation, on the reference.

    Args:
        forward: The step, native or the reference.
        current: As in `ops.integrate_fire`.
        membrane_potential: As in `ops.integrate_fire`.
        threshold: As in `ops.integrate_fire`; it gets no gradient.
        step: How the population steps; unsigned, spikes as float.
        name: The surrogate gradient.
        hidden: As in `ops.integrate_fire`.

    Returns:
        The block, with a gradient from `spikes` and `membrane_potential` to `current` and the initial membrane potential.
    """
    derivative = SURROGATE_GRADIENTS[name]
    if not step.neuron.is_plain:
        return _operation_by_operation(current, membrane_potential, threshold, step, derivative, hidden)
    constant = current.shape.rank == membrane_potential.shape.rank
    neuron = step.neuron
    traced = Step(step.timesteps, neuron, return_trace=True)

    @tf.custom_gradient
    def run(current: tf.Tensor, v: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Callable[..., tuple]]:
        spikes, after, _, trace, _ = forward([Current(current)], v, threshold, None, traced, {})

        def backward(g_spikes: tf.Tensor, g_v: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            before = tf.concat([v[tf.newaxis], tf.convert_to_tensor(trace)[:-1]], axis=0)
            u = neuron.integrate(before, current)
            g_fired = g_spikes * derivative((u - threshold) / threshold) / threshold
            g_current = []
            for t in reversed(range(step.timesteps)):
                kept = g_v * (1.0 - spikes[t]) if neuron.reset == "zero" else g_v
                g_u = g_fired[t] + kept
                g_current.append(neuron.input_gain * g_u)
                g_v = neuron.retention * g_u
            stacked = tf.stack(g_current[::-1])
            return tf.reduce_sum(stacked, axis=0) if constant else stacked, g_v

        return (spikes, after, trace), backward

    spikes, v, trace = run(current, membrane_potential)
    return Response(spikes, v, None, tf.stop_gradient(trace) if step.return_trace else None)


def _operation_by_operation(
    current: tf.Tensor,
    v: tf.Tensor,
    threshold: tf.Tensor,
    step: Step,
    derivative: Callable[[tf.Tensor], tf.Tensor],
    hidden: Hidden,
) -> Response:
    """Steps neurons of any kind; only the spike's derivative is replaced, and what spikes do to the state is constant."""
    constant = current.shape.rank == v.shape.rank
    spikes, trace = [], []
    for t in range(step.timesteps):
        charged = step.neuron.charge(v, current if constant else current[t], threshold, hidden)
        stepped = step.neuron.fire(charged, threshold)
        spikes.append(_with_derivative(stepped, charged, derivative, step.neuron.burst))
        v, hidden = stepped.potential, stepped.hidden
        trace.append(v)
    return Response(tf.stack(spikes), v, None, tf.stop_gradient(tf.stack(trace)) if step.return_trace else None, hidden)


def _with_derivative(
    stepped: Stepped, charged: Charged, derivative: Callable[[tf.Tensor], tf.Tensor], burst: int
) -> tf.Tensor:
    """Returns spikes whose derivative by the potential is the surrogate; 0 for neurons that are not able to fire.

    Of a burst, each spike has a threshold of its own, and its surrogate there.
    """

    @tf.custom_gradient
    def attach(potential: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def backward(gradient: tf.Tensor) -> tf.Tensor:
            relative = (potential - charged.threshold) / charged.threshold
            slope = tf.add_n([derivative(relative - float(number)) for number in range(burst)]) / charged.threshold
            return gradient * (slope if charged.able is None else tf.where(charged.able, slope, 0.0))

        return tf.identity(stepped.spikes), backward

    return attach(charged.potential)
