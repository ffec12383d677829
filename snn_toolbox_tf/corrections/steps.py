"""The corrections: each takes a setting and returns a better one, for what the population really receives.

Populations are corrected in the order of the network, so that each sees the spikes of populations that have been corrected
already: the current that it will really receive, transient and all, not the one that the source would give it.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.corrections.setting import Observation, Setting, for_batch

Correction = Callable[[Observation, Setting], Setting]

_THRESHOLD_FACTORS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.5)
_POTENTIAL_CHANGES = (-0.1, 0.1, -0.25, 0.25, -0.5, 0.5, -1.0)
_BIAS_CHANGES = (-0.1, 0.1, -0.25, 0.25, -0.5, 0.5)
#: A neuron that starts further below its threshold is of no use: rates of half a spike per timestep would be out of reach.
LOWEST_POTENTIAL, HIGHEST_POTENTIAL = -4.0, 1.0
_BIAS_ROUNDS, _TIMED_ROUNDS = 2, 4
#: Gains are fitted so often, change by no more than this factor at a time, and are judged on this share of the samples.
_GAIN_ROUNDS, _LARGEST_GAIN, _JUDGED = 2, 2.0, 0.25


def shift(observation: Observation, setting: Setting) -> Setting:
    """Starts at 0 and adds theta / 2T to the current of every timestep (Deng & Gu 2021, section 4.2).

    After T timesteps of a constant current that is the same count as with an initial potential of theta / 2; before, it is
    less.
    """
    lost = setting.initial_potential * setting.threshold / observation.timesteps
    return setting.changed(initial_potential=np.zeros_like(lost), bias=setting.bias + lost)


def biases(observation: Observation, setting: Setting) -> Setting:
    """Takes the mean error off the bias (Li et al. 2021, "A Free Lunch From ANN", section 4.2), on real spikes."""
    for _ in range(_BIAS_ROUNDS):
        setting = setting.changed(bias=setting.bias - observation.errors(setting).mean)
    return setting


def thresholds(observation: Observation, setting: Setting) -> Setting:
    """Takes the threshold, between half and one and a half times what it is, with the least squared error."""
    one = setting.one_threshold
    tried = [observation.bounded(setting.threshold * factor, one_threshold=one) for factor in _THRESHOLD_FACTORS]
    return observation.best([setting, *(setting.changed(threshold=theta) for theta in tried)], together=one)


def initial_potentials(observation: Observation, setting: Setting) -> Setting:
    """Takes the initial potential with the least squared error, with its charge given back by the bias or not.

    A low one keeps neurons silent that should be so, until the inhibition of other neurons arrives; what it takes away at
    the beginning, a constant current of the same charge in T timesteps gives back (after Bu et al. 2022, optimised potential
    initialisation, and Deng & Gu 2021). The bias is searched in its neighbourhood.
    """
    candidates, unit = [setting], setting.threshold / observation.timesteps
    for change in _POTENTIAL_CHANGES:
        potential = np.clip(setting.initial_potential + change, LOWEST_POTENTIAL, HIGHEST_POTENTIAL)
        charge = (setting.initial_potential - potential) * unit
        candidates.append(setting.changed(initial_potential=potential))
        candidates.append(setting.changed(initial_potential=potential, bias=setting.bias + charge))
    setting = observation.best(candidates)
    unit = setting.threshold / observation.timesteps
    return observation.best(
        [setting, *(setting.changed(bias=setting.bias + change * unit) for change in _BIAS_CHANGES)]
    )


def neuron_potentials(observation: Observation, setting: Setting) -> Setting:
    """Gives each neuron the initial potential that makes up for its mean error (Li et al. 2021, section 4.3).

    v0 = T (E[a] - E[theta r]), in units of the threshold, on top of what it is, and half a threshold at most either way: the
    mean is taken over the calibration samples only, for there is no other neuron like it.
    """
    missing = -observation.neuron_errors(setting) * observation.timesteps / setting.threshold
    return setting.changed(initial_potential=setting.initial_potential + np.clip(missing, -0.5, 0.5))


def gains(observation: Observation, setting: Setting) -> Setting:
    """Fits what one spike stands for, and the bias, to the source's activation: least squares on the measured rates.

    Neurons that lose charge (hard reset, a leak, input during a refractory period) have rates that are too low; thresholds
    do not bring them back, for they change the rate and the height of a spike alike. With the slope s and the intercept b of
    the activation over theta * rate, spikes stay where they are and each stands for s times as much: threshold, gain of the
    current and bias are s times as large. b comes on top of the bias. A channel takes what does better on samples that the
    line was not fitted to, or stays as it is.
    """
    samples = int(observation.target.shape[0])
    fitted = samples - int(samples * _JUDGED)
    if fitted == samples:
        return setting
    seen, judge = observation.part(slice(fitted)), observation.part(slice(fitted, None))
    for _ in range(_GAIN_ROUNDS):
        slope, intercept = seen.line(setting)
        factor = np.clip(slope, 1.0 / _LARGEST_GAIN, _LARGEST_GAIN)
        # As all thresholds, no larger than the bound of a bounded ReLU.
        factor = observation.bounded(setting.threshold * factor) / setting.threshold
        taller = setting.taller(factor)
        setting = judge.best([setting, taller, taller.changed(bias=taller.bias + intercept)])
    return setting


def timed_biases(observation: Observation, setting: Setting) -> Setting:
    """Gives each timestep a bias of its own, with which the mean spike is the mean activation (Wu et al. 2024).

    Forward temporal bias correction: at each timestep in turn, the bias of a channel takes up half of the mean error until
    little is left; later timesteps start from the membrane potentials that follow. It goes straight at the transient, and
    is no constant current.
    """
    neuron, batch = observation.node.neuron, observation.target.shape
    axes = setting.averaged_axes
    theta, steady = for_batch(setting.threshold), for_batch(setting.bias)
    expected = tf.reduce_mean(observation.target, axis=axes, keepdims=True)
    potential = tf.broadcast_to(for_batch(setting.initial_potential * setting.threshold), batch)
    hidden = neuron.initial_hidden(potential)
    net_spikes, found = tf.zeros(batch), []
    for received in observation.currents():
        current = setting.amplified(received)
        bias = tf.zeros_like(expected)
        for _ in range(_TIMED_ROUNDS):
            spikes, _, _ = neuron.step(potential, current + steady + bias, theta, net_spikes, hidden)
            bias += 0.5 * (expected - tf.reduce_mean(spikes * theta, axis=axes, keepdims=True))
        spikes, after, left = neuron.step(potential, current + steady + bias, theta, net_spikes, hidden)
        potential, hidden, net_spikes = after, left, net_spikes + spikes
        found.append(tf.broadcast_to(bias, theta.shape)[0].numpy().astype(np.float64))
    return setting.changed(timed_bias=np.stack(found))


def weights(observation: Observation, setting: Setting) -> Setting:
    """Fits the weights in front, sample by sample, with the rounding to spikes in the loop (Li et al. 2021, section 4.3).

    It is calibration of one layer at a time, as in AdaRound (Nagel et al. 2020); held-out samples decide whether it is kept.
    """
    observation.fit_weights(setting)
    return setting


#: The corrections by name.
CORRECTIONS: dict[str, Correction] = {
    "shift": shift,
    "biases": biases,
    "thresholds": thresholds,
    "initial_potentials": initial_potentials,
    "neuron_potentials": neuron_potentials,
    "weights": weights,
    "gains": gains,
    "timed_biases": timed_biases,
}
