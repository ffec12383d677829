"""Firing rates of single neurons in discrete time, against the closed form of continuous time."""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.neurons import LeakyIntegrateAndFire, Neuron

#: How long neurons take to charge, in timesteps of the longest `dt`: no ratio of two of them is simple.
_CHARGING = np.geomspace(3.1, 19.7, 64)
#: How many of the longest intervals between spikes are simulated, and how many of them pass first.
_INTERVALS, _SETTLING = 120, 20


def has_closed_form(neuron: Neuron) -> bool:
    """Whether the firing rate for a constant current is known in continuous time: thresholds that adapt have none here."""
    return not neuron.adaptation


def interval(neuron: Neuron, current: Any) -> np.ndarray:
    """Returns the time between two spikes for a constant current, in continuous time.

    tau_m ln((tau_m I + v_rest - v_reset) / (tau_m I + v_rest - 1)) with a leak, (1 - v_reset) / I without, in units of the
    threshold (Gerstner & Kistler 2002, Spiking Neuron Models, section 4.1.1). Soft and hard reset are the same: a
    neuron fires just when it reaches its threshold. An absolute refractory period adds to it where current is lost
    meanwhile, and is the shortest interval where it is integrated. A synaptic filter passes a constant current as it is.

    Args:
        neuron: A neuron without adaptation.
        current: In thresholds per ms.

    Returns:
        Intervals in ms, infinite where the neuron never fires.

    Example:
        >>> from snn_toolbox_tf.neurons import IntegrateAndFire
        >>> interval(IntegrateAndFire(tau_ref=2.0, refractory_input="lost"), [0.25])
        array([6.])
    """
    rate = np.asarray(current, np.float64)
    start = neuron.v_reset if neuron.reset == "zero" else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        if isinstance(neuron, LeakyIntegrateAndFire) and math.isfinite(neuron.tau_m):
            aim = neuron.tau_m * rate + neuron.v_rest
            charging = np.where(aim > 1, neuron.tau_m * np.log((aim - start) / (aim - 1)), np.inf)
        else:
            charging = np.where(rate > 0, (1 - start) / rate, np.inf)
    lost = neuron.refractory_input == "lost"
    return charging + neuron.tau_ref if lost else np.maximum(charging, neuron.tau_ref)


def rate_errors(neuron: Neuron, dt: float, longest: float) -> np.ndarray:
    """Returns relative errors of firing rates, for currents that charge a neuron in 3 to 20 of the longest timesteps.

    Args:
        neuron: The neuron.
        dt: Length of a timestep in ms.
        longest: The longest `dt` of a study, by which currents are chosen.

    Returns:
        |rate / exact rate - 1|, one for each current.
    """
    current = _current(neuron, _CHARGING * longest)
    exact = interval(neuron, current)
    settling = _SETTLING * exact.max() + 20 * neuron.tau_s
    timesteps = math.ceil((settling + _INTERVALS * exact.max()) / dt)
    spikes = ops.integrate_fire(
        tf.constant([current * dt], tf.float32),
        tf.zeros([1, len(current)]),
        tf.constant(1.0),
        timesteps=timesteps,
        neuron=dataclasses.replace(neuron, dt=dt, v0=0.0),
    ).spikes.numpy()[:, 0]
    spikes = spikes[math.floor(settling / dt) :]
    rates = [
        (train[times[0] + 1 :].sum()) / np.ptp(times) / dt for train in spikes.T if len(times := train.nonzero()[0])
    ]
    return np.abs(np.array(rates) * exact - 1)


def _current(neuron: Neuron, charging: np.ndarray) -> np.ndarray:
    """The inverse of `interval`, without refractory periods: thresholds per ms that charge a neuron in so many ms."""
    start = neuron.v_reset if neuron.reset == "zero" else 0.0
    if not (isinstance(neuron, LeakyIntegrateAndFire) and math.isfinite(neuron.tau_m)):
        return (1 - start) / charging
    # From start, aim + (start - aim) exp(-t / tau_m) reaches 1.
    left = np.exp(-charging / neuron.tau_m)
    return ((1 - start * left) / (1 - left) - neuron.v_rest) / neuron.tau_m
