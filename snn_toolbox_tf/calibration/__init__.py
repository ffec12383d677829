"""From calibration data to thresholds."""

from snn_toolbox_tf.calibration.from_model import thresholds_from_model
from snn_toolbox_tf.calibration.smallest_threshold import raise_thresholds
from snn_toolbox_tf.calibration.statistics import (
    ActivationStatistics,
    observe_activations,
    observe_random_input,
    random_input,
)
from snn_toolbox_tf.calibration.threshold_rules import (
    THRESHOLD_RULES,
    RuleSettings,
    ThresholdRule,
    apply_thresholds,
    threshold_rule,
    thresholds_from_data,
)

__all__ = [
    "THRESHOLD_RULES",
    "ActivationStatistics",
    "RuleSettings",
    "ThresholdRule",
    "apply_thresholds",
    "observe_activations",
    "observe_random_input",
    "raise_thresholds",
    "random_input",
    "threshold_rule",
    "thresholds_from_data",
    "thresholds_from_model",
]
