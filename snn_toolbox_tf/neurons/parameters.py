"""Checks of a neuron's parameters, and of what they say together."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn_toolbox_tf.neurons.neuron import Neuron


#: The longest refractory period and synaptic filter, in timesteps: beyond, float32 loses what a timestep changes.
LONGEST = 2**20
#: The most spikes of a burst: each of them is a comparison in every timestep.
MOST_SPIKES = 32


def check_finite(value: Any, name: str, expected: str) -> None:
    """Refuses what is not a finite number."""
    _check(_is_number(value) and math.isfinite(value), value, name, expected)


def check_at_least_zero(value: Any, name: str, expected: str) -> None:
    """Refuses what is not a finite number of 0 or more."""
    _check(_is_number(value) and math.isfinite(value) and value >= 0, value, name, expected)


def check_positive(value: Any, name: str, expected: str, *, finite: bool = False) -> None:
    """Refuses what is not a positive number."""
    _check(_is_number(value) and value > 0 and (math.isfinite(value) or not finite), value, name, expected)


def check_burst(value: Any) -> None:
    """Refuses what is no number of spikes in a timestep."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    _check(whole and 1 <= value <= MOST_SPIKES, value, "burst", f"an integer in [1, {MOST_SPIKES}]")


def check_combination(neuron: "Neuron") -> None:
    """Refuses parameters that do not go together."""
    if neuron.v_reset and neuron.reset != "zero":
        raise ValueError(
            "`v_reset` is where a hard reset sets the membrane potential. Expected reset='zero' with it, or v_reset=0. "
            f"Received: v_reset={neuron.v_reset!r}, reset={neuron.reset!r}"
        )
    if neuron.v_reset >= 1:
        raise ValueError(
            "A neuron that is reset to its threshold would always fire. Expected `v_reset` to be less than 1, in units of "
            f"the threshold. Received: v_reset={neuron.v_reset!r}"
        )
    for name, part in (("tau_ref", "refractory period"), ("tau_s", "synaptic filter")):
        if getattr(neuron, name) / neuron.dt > LONGEST:
            raise ValueError(
                f"A {part} of more than {LONGEST:,} timesteps cannot be counted in float32. Expected a smaller `{name}`, "
                f"or a larger `dt`. Received: {name}={getattr(neuron, name)!r}, dt={neuron.dt!r}"
            )
    if neuron.burst > 1 and (neuron.reset != "subtract" or neuron.refractory_timesteps or neuron.adaptation):
        raise ValueError(
            "Several spikes in a timestep need a reset that subtracts a threshold for each, and have no refractory period "
            "or adapting threshold between them. Expected burst=1 with these, or reset='subtract', tau_ref=0 and "
            f"adaptation=0. Received: {neuron}"
        )
    if neuron.signed_spikes and not neuron.is_plain:
        raise ValueError(
            "Neurons that take spikes back have no refractory period, synaptic filter, adapting threshold, resting "
            "potential, reset potential or bursts. Expected signed_spikes=False with any of them. "
            f"Received: {neuron}"
        )


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and not math.isnan(value)


def _check(fits: bool, value: Any, name: str, expected: str) -> None:
    if not fits:
        raise ValueError(f"Expected `{name}` to be {expected}. Received: {name}={value!r}")
