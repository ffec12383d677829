"""Threshold rules: from activation statistics to one theta per population or per channel."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.calibration.histogram import PositiveHistogram
from snn_toolbox_tf.calibration.statistics import ActivationStatistics
from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.graph import Graph, Population

Statistics = Mapping[str, PositiveHistogram]
#: A vector per population: one threshold per channel, or one.
Thresholds = dict[str, np.ndarray]
ThresholdRule = Callable[[Statistics], Mapping[str, Any]]


#: Fractions of a channel's largest activation that `mean_square_error` tries.
_FRACTIONS = np.arange(1, 101) / 100
#: Batches that `local_threshold_balancing` stands for.
_BALANCING_STEPS = 400


@dataclasses.dataclass(frozen=True)
class RuleSettings:
    """What the rules that have names may use besides statistics.

    Attributes:
        percentile: Of the positive activations.
        timesteps: T, for which thresholds shall be good.
    """

    percentile: float = 99.9
    timesteps: int = 32


def percentile(statistics: Statistics, settings: RuleSettings) -> Thresholds:
    """Theta = the given percentile of the positive activations (Rueckauer et al. 2017, section 2.2.1)."""
    return {name: histogram.percentile(settings.percentile) for name, histogram in statistics.items()}


def maximum(statistics: Statistics, settings: RuleSettings) -> Thresholds:
    """Theta = the largest activation (Diehl et al. 2015, data-based normalization)."""
    return {name: histogram.maximum for name, histogram in statistics.items()}


def mean_square_error(statistics: Statistics, settings: RuleSettings) -> Thresholds:
    """Theta with the least squared error that T spikes at most make of an activation a.

    The error of `theta / T * clip(floor(T a / theta + 1/2), 0, T)` against a, what clipping and rounding to whole spikes
    cost (Li et al. 2021, "A Free Lunch From ANN", section 4.1, with rounding to nearest), over the hundredths of the largest
    activation. Zeros are free of error and left out.
    """
    return {name: _least_error(histogram, settings.timesteps) for name, histogram in statistics.items()}


def _least_error(histogram: PositiveHistogram, timesteps: int) -> np.ndarray:
    counts, values = histogram.counts, histogram.values
    least, best = np.full(histogram.channels, np.inf), histogram.maximum.copy()
    for fraction in _FRACTIONS:
        theta = np.where(histogram.maximum > 0, histogram.maximum * fraction, 1.0)[:, np.newaxis]
        spikes = np.clip(np.floor(values * (timesteps / theta) + 0.5), 0, timesteps)
        error = np.einsum("cb,cb->c", counts, np.square(spikes * (theta / timesteps) - values))
        better = error < least
        least, best = np.where(better, error, least), np.where(better, histogram.maximum * fraction, best)
    return best


def local_threshold_balancing(statistics: Statistics, settings: RuleSettings) -> Thresholds:
    """Theta grows from 0 by twice the mean excess over it, batch after batch (Bu et al. 2025, local threshold balancing).

    `theta += 2 E[max(a - theta, 0)]` over the positive activations of all the data, 400 times: what stochastic gradient
    descent on the squared error of clipping does, without its dependence on the order of batches.
    """

    def balanced(histogram: PositiveHistogram) -> np.ndarray:
        counts, values = histogram.counts, histogram.values
        theta = np.zeros(histogram.channels)
        share = counts / np.maximum(histogram.total, 1)[:, np.newaxis]
        # The mean excess is a sum over the bins above theta, which two cumulative sums give for any theta.
        above = np.cumsum(share[:, ::-1], axis=1)[:, ::-1]
        weighted = np.cumsum((share * values)[:, ::-1], axis=1)[:, ::-1]
        rows = np.arange(histogram.channels)
        for _ in range(_BALANCING_STEPS):
            place = np.minimum((values <= theta[:, np.newaxis]).sum(axis=1), values.shape[1] - 1)
            theta = theta + 2 * np.maximum(weighted[rows, place] - theta * above[rows, place], 0.0)
        return np.minimum(theta, histogram.maximum)

    return {name: balanced(histogram) for name, histogram in statistics.items()}


#: The rules by name.
THRESHOLD_RULES: dict[str, Callable[[Statistics, RuleSettings], Thresholds]] = {
    "percentile": percentile,
    "maximum": maximum,
    "mean_square_error": mean_square_error,
    "local_threshold_balancing": local_threshold_balancing,
}


def threshold_rule(rule: str | ThresholdRule, settings: RuleSettings) -> ThresholdRule:
    """Returns a rule that needs statistics only, from a name or a user's function.

    Raises:
        ValueError: For an unknown name.
        TypeError: If it is neither a name nor a function.
    """
    if callable(rule):
        return rule
    if not isinstance(rule, str):
        raise TypeError(
            "Expected `threshold_rule` to be a name or a function of the activation statistics. "
            f"Received: threshold_rule={rule!r}"
        )
    named = THRESHOLD_RULES[check_one_of(rule, THRESHOLD_RULES, "threshold_rule")]
    return lambda statistics: named(statistics, settings)


def thresholds_from_data(statistics: ActivationStatistics, rule: ThresholdRule, *, per_channel: bool) -> Thresholds:
    """Applies a rule.

    Args:
        statistics: What was observed.
        rule: The rule.
        per_channel: Whether the rule sees each channel, or each population as one channel.

    Returns:
        Per population a vector of thresholds: one per channel, or one. Zero where no activation was positive.

    Raises:
        ValueError: If the rule's answer is not usable.
    """
    seen = statistics.histograms
    if not per_channel:
        seen = {name: histogram.merged() for name, histogram in seen.items()}
    found = rule(seen)
    if not isinstance(found, Mapping) or set(found) != set(seen):
        names = sorted(found) if isinstance(found, Mapping) else type(found).__name__
        raise ValueError(
            f"Expected the threshold rule to return a dict with the keys of its statistics, {sorted(seen)}. "
            f"Received: {names}"
        )
    thresholds = {}
    for name, histogram in seen.items():
        theta = np.asarray(found[name], np.float64).reshape(-1)
        if theta.size not in (1, histogram.channels) or not (np.isfinite(theta).all() and (theta >= 0).all()):
            raise ValueError(
                f"Expected the threshold rule to give population '{name}' one threshold or {histogram.channels}, finite and "
                f"not negative. Received: {theta.size} values from {theta.min(initial=0):g} to {theta.max(initial=0):g}"
            )
        thresholds[name] = theta
    return thresholds


def apply_thresholds(graph: Graph, thresholds: Thresholds) -> None:
    """Writes thresholds into the graph.

    A dead channel, whose threshold would be 0, gets the largest threshold of its population, and a dead population 1:
    any positive value serves, as long as unforeseen input does not make it fire wildly. A ReLU with an upper bound gets
    no threshold above that bound, where the firing rate then saturates exactly as the ReLU does. A threshold that was
    trained is taken as it is.
    """
    for node in graph.of_type(Population):
        if node.trained_threshold is not None:
            node.threshold = node.trained_threshold
            continue
        theta = thresholds[node.shared_name]
        largest = theta.max()
        theta = np.where(theta > 0, theta, largest if largest > 0 else 1.0)
        node.threshold = node.channel_vector(theta if theta.size > 1 else theta[0])
        if node.max_value is not None:
            node.threshold = np.minimum(node.threshold, node.max_value)
