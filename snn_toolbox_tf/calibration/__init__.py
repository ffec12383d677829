"""From calibration data to thresholds."""

from snn_toolbox_tf.calibration.floor import raise_thresholds
from snn_toolbox_tf.calibration.from_data import ActivationStatistics, observe_activations
from snn_toolbox_tf.calibration.from_model import thresholds_from_model
from snn_toolbox_tf.calibration.thresholds import apply_thresholds, percentile_thresholds

__all__ = [
    "ActivationStatistics",
    "apply_thresholds",
    "observe_activations",
    "percentile_thresholds",
    "raise_thresholds",
    "thresholds_from_model",
]
