"""The corrections: each takes a setting and returns a better one, for what the population really receives.

Populations are corrected in the order of the network, so that each sees the spikes of populations that have been corrected
already: the current that it will really receive, transient and all, not the one that the source would give it.
"""

from collections.abc import Callable

import numpy as np

from snn_toolbox_tf.corrections.setting import Observation, Setting

Correction = Callable[[Observation, Setting], Setting]

_THRESHOLD_FACTORS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.5)
_POTENTIAL_CHANGES = (-0.1, 0.1, -0.25, 0.25, -0.5, 0.5, -1.0)
_BIAS_CHANGES = (-0.1, 0.1, -0.25, 0.25, -0.5, 0.5)
#: A neuron that starts further below its threshold is of no use: rates of half a spike per timestep would be out of reach.
_LOWEST_POTENTIAL, _HIGHEST_POTENTIAL = -4.0, 1.0
_BIAS_ROUNDS = 2


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
    factors = [setting.changed(threshold=observation.bounded(setting.threshold * f)) for f in _THRESHOLD_FACTORS]
    return observation.best([setting, *factors])


def initial_potentials(observation: Observation, setting: Setting) -> Setting:
    """Takes the initial potential with the least squared error, with its charge given back by the bias or not.

    A low one keeps neurons silent that should be so, until the inhibition of other neurons arrives; what it takes away at
    the beginning, a constant current of the same charge in T timesteps gives back (after Bu et al. 2022, optimised potential
    initialisation, and Deng & Gu 2021). The bias is searched in its neighbourhood.
    """
    candidates, unit = [setting], setting.threshold / observation.timesteps
    for change in _POTENTIAL_CHANGES:
        potential = np.clip(setting.initial_potential + change, _LOWEST_POTENTIAL, _HIGHEST_POTENTIAL)
        charge = (setting.initial_potential - potential) * unit
        candidates.append(setting.changed(initial_potential=potential))
        candidates.append(setting.changed(initial_potential=potential, bias=setting.bias + charge))
    setting = observation.best(candidates)
    unit = setting.threshold / observation.timesteps
    return observation.best(
        [setting, *(setting.changed(bias=setting.bias + change * unit) for change in _BIAS_CHANGES)]
    )


#: The corrections by name.
CORRECTIONS: dict[str, Correction] = {
    "shift": shift,
    "biases": biases,
    "thresholds": thresholds,
    "initial_potentials": initial_potentials,
}
