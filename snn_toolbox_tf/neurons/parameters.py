"""Checks of a neuron's parameters, and of what they say together."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn_toolbox_tf.neurons.neuron import Neuron


#: The longest refractory period and synaptic filter, in timesteps: beyond, float32 loses what a timestep changes.
LONGEST = 2**20


def check_finite(value: Any, name: str, expected: str) -> None:
    """Refuses what is not a finite number."""
    _check(_is_number(value) and math.isfinite(value), value, name, expected)


def check_at_least_zero(value: Any, name: str, expected: str) -> None:
    """Refuses what is not a finite number of 0 or more."""
    _check(_is_number(value) and math.isfinite(value) and value >= 0, value, name, expected)


def check_positive(value: Any, name: str, expected: str, *, finite: bool = False) -> None:
    """Refuses what is not a positive number."""
    _check(_is_number(value) and value > 0 and (math.isfinite(value) or not finite), value, name, expected)


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
    if neuron.signed_spikes and not neuron.is_plain:
        raise ValueError(
            "Neurons that take spikes back have no refractory period, synaptic filter, adapting threshold, resting "
            "potential or reset potential. Expected signed_spikes=False with any of them. "
            f"Received: {neuron}"
        )


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and not math.isnan(value)


def _check(fits: bool, value: Any, name: str, expected: str) -> None:
    if not fits:
        raise ValueError(f"Expected `{name}` to be {expected}. Received: {name}={value!r}")
