"""Threshold rules: from activation statistics to one theta per population or per channel."""

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


def percentile(statistics: Statistics, percentile: float) -> Thresholds:
    """Theta = the given percentile of the positive activations (Rueckauer et al. 2017, section 2.2.1)."""
    return {name: histogram.percentile(percentile) for name, histogram in statistics.items()}


def maximum(statistics: Statistics, percentile: float) -> Thresholds:
    """Theta = the largest activation (Diehl et al. 2015, data-based normalization)."""
    return {name: histogram.maximum for name, histogram in statistics.items()}


#: The rules by name; each gets the statistics and the percentile that the user has chosen.
THRESHOLD_RULES: dict[str, Callable[[Statistics, float], Thresholds]] = {"percentile": percentile, "maximum": maximum}


def threshold_rule(rule: str | ThresholdRule, percentile: float) -> ThresholdRule:
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
    return lambda statistics: named(statistics, percentile)


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
        theta = thresholds[node.name]
        largest = theta.max()
        theta = np.where(theta > 0, theta, largest if largest > 0 else 1.0)
        node.threshold = node.channel_vector(theta if theta.size > 1 else theta[0])
        if node.max_value is not None:
            node.threshold = np.minimum(node.threshold, node.max_value)
