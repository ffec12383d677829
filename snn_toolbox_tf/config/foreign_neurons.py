"""Time constants of snn_toolbox's files, which mean here what they meant in its built-in (INI) simulator.

That simulator reads `tau_refrac` alone: the input of a neuron is lost until so long after its spike. `tau_m`, `tau_syn_E`
and `tau_syn_I` are for pyNN's neurons, and for these of other simulators; files have them, with defaults, in any case.
"""

import math
from collections.abc import Mapping
from typing import Any

from snn_toolbox_tf.config.cell import LEAKY, PLAIN
from snn_toolbox_tf.config.section import ConfigurationError
from snn_toolbox_tf.config.values import InvalidValue, parsed

#: snn_toolbox's default, with which nothing is said.
_TAU_M = 1000.0


def neurons_as_in_snn_toolbox(
    found: Mapping[str, Any], tau_refrac: str | None, dt: float
) -> tuple[dict[str, Any], list[str]]:
    """Returns settings in which keys of snn_toolbox's neurons do what they do there, and notes on them.

    Args:
        found: What a file says, by key.
        tau_refrac: The text of that key, or None.
        dt: Length of a timestep in ms.

    Raises:
        ConfigurationError: If `tau_refrac` is not usable.
    """
    settings, notes = dict(found), []
    if settings.get("neuron", PLAIN) != LEAKY and settings.get("tau_m") is not None:
        tau_m = settings.pop("tau_m")
        if tau_m != _TAU_M:
            notes.append(
                f"[cell] tau_m = {tau_m:g} has no effect, as in snn_toolbox's INI simulator: the neurons are "
                f"integrate-and-fire neurons without leak. With neuron = {LEAKY} they leak."
            )
    period = _milliseconds(tau_refrac)
    if not period:
        return settings, notes
    if "tau_ref" in settings:
        raise ConfigurationError(
            f"[cell] tau_refrac = {tau_refrac} and tau_ref = {settings['tau_ref']:g} are both refractory periods. Give one."
        )
    # Of the timesteps within the period, the first one is that of the spike.
    settings["tau_ref"] = max(math.ceil(period / dt - 1e-9) - 1, 0) * dt
    settings.setdefault("refractory_input", "lost")
    notes.append(
        f"[cell] tau_refrac = {period:g} is read as tau_ref = {settings['tau_ref']:g} ms with refractory_input = "
        f"{settings['refractory_input']}: in snn_toolbox's simulator, timesteps less than {period:g} ms after a spike lose "
        "their input."
    )
    return settings, notes


def _milliseconds(text: str | None) -> float:
    if text is None:
        return 0.0
    expected = "a number of ms, 0 or more"
    try:
        period = parsed(text.strip().strip("'\""), expected, float)
        if not 0 <= period < math.inf:
            raise InvalidValue(expected, text)
    except InvalidValue as error:
        raise ConfigurationError(f"[cell] tau_refrac: {error}") from None
    return period
