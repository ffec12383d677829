"""Neurons in words, for people who read a check or a report."""

import math

from snn_toolbox_tf.neurons.leaky_integrate_and_fire import LeakyIntegrateAndFire
from snn_toolbox_tf.neurons.neuron import Neuron


def in_words(neuron: Neuron) -> str:
    """Returns what neurons are, with all that plain ones have not.

    Example:
        >>> from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire
        >>> in_words(IntegrateAndFire())
        'integrate-and-fire neurons'
        >>> in_words(LeakyIntegrateAndFire(tau_m=20.0, tau_ref=2.0))
        'leaky integrate-and-fire neurons (membrane time constant 20 ms; refractory for 2 ms, of which input is kept)'
    """
    kind = "leaky integrate-and-fire" if isinstance(neuron, LeakyIntegrateAndFire) else "integrate-and-fire"
    traits = [*_membrane(neuron), *_reset(neuron), *_refractoriness(neuron), *_synapse(neuron), *_threshold(neuron)]
    traits += [f"up to {neuron.burst} spikes in a timestep"] if neuron.burst > 1 else []
    return f"{kind} neurons ({'; '.join(traits)})" if traits else f"{kind} neurons"


def depends_on_timestep(neuron: Neuron) -> bool:
    """Whether a neuron has a time constant or a refractory period, so that the length of a timestep matters to it."""
    return neuron.retention < 1 or bool(neuron.tau_ref or neuron.tau_s or neuron.adaptation)


def _membrane(neuron: Neuron) -> list[str]:
    if not isinstance(neuron, LeakyIntegrateAndFire):
        return []
    resting = [f"resting potential {neuron.v_rest:g} thresholds"] if neuron.v_rest else []
    return [f"membrane time constant {_ms(neuron.tau_m)}", *resting]


def _reset(neuron: Neuron) -> list[str]:
    traits = []
    if neuron.reset == "zero":
        traits.append(f"reset to {neuron.v_reset:g} thresholds" if neuron.v_reset else "reset to zero")
    if neuron.signed_spikes:
        traits.append("spikes of -1, too")
    return traits


def _refractoriness(neuron: Neuron) -> list[str]:
    if not neuron.refractory_timesteps:
        return []
    fate = "kept" if neuron.refractory_input == "integrated" else "lost"
    return [f"refractory for {_ms(neuron.refractory_timesteps * neuron.dt)}, of which input is {fate}"]


def _synapse(neuron: Neuron) -> list[str]:
    return [f"{neuron.synapse} synaptic filter, time constant {_ms(neuron.tau_s)}"] if neuron.tau_s else []


def _threshold(neuron: Neuron) -> list[str]:
    if not neuron.adaptation:
        return []
    return [f"each spike raises the threshold by {100 * neuron.adaptation:g} %, time constant {_ms(neuron.tau_a)}"]


def _ms(time: float) -> str:
    return f"{time:g} ms" if math.isfinite(time) else "infinite"
