"""Spiking neurons in units of their threshold, differentiably: what training sees of a population."""

from collections.abc import Callable

import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.neurons import IntegrateAndFire
from snn_toolbox_tf.ops.surrogate import SURROGATE_GRADIENTS

_NEURON = IntegrateAndFire(v0=0.0)
_DERIVATIVE = SURROGATE_GRADIENTS["triangle"]


def fire(current: tf.Tensor, potential: tf.Tensor, timesteps: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Steps integrate-and-fire neurons of threshold 1 with soft reset, with a surrogate gradient.

    With u(t) the membrane potential before reset, sigma' the surrogate, and g the gradients:

        g_u(t) = g_v(t) + (g_s(t) - g_v(t)) sigma'(u(t) - 1),    g_I(t) = g_v(t - 1) = g_u(t)

    Here, unlike in `ops.surrogate`, the reset takes part in the gradient. What a neuron was given in T timesteps is what it
    has spiked and what it has left, so that the gradient of its number of spikes with respect to a current is
    1 - prod(1 - sigma'), between 0 and 1, as a ReLU's; with the reset left out it would grow with T, in every layer anew.

    Args:
        current: `[timesteps, batch, ...]`, or `[batch, ...]` if it is constant.
        potential: Membrane potential before the block, `[batch, ...]`.
        timesteps: Length of the block.

    Returns:
        Spikes, `[timesteps, batch, ...]`, and the membrane potential after the block.
    """
    constant = current.shape.rank == potential.shape.rank

    @tf.custom_gradient
    def run(current: tf.Tensor, v: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., tuple]]:
        block = ops.integrate_fire(current, v, tf.ones(()), timesteps=timesteps, neuron=_NEURON, return_trace=True)
        spikes, trace = block.spikes, tf.convert_to_tensor(block.trace)

        def backward(g_spikes: tf.Tensor, g_v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            passed = _DERIVATIVE(trace + spikes - 1.0)
            g_current = []
            for t in reversed(range(timesteps)):
                g_v = g_v + (g_spikes[t] - g_v) * passed[t]
                g_current.append(g_v)
            return tf.add_n(g_current) if constant else tf.stack(g_current[::-1]), g_v

        return (spikes, block.membrane_potential), backward

    return run(current, potential)
