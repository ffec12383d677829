"""Questions that take many runs: what a network costs, withstands and loses, over timesteps, seeds and precision."""

from snn_toolbox_tf.studies.bias_variance import BiasVariance, bias_and_variance
from snn_toolbox_tf.studies.energy_curve import EnergyCurve, energy_curve
from snn_toolbox_tf.studies.robustness import robustness
from snn_toolbox_tf.studies.robustness_result import Robustness
from snn_toolbox_tf.studies.time_resolution import TimeResolution, time_resolution
from snn_toolbox_tf.studies.weight_precision import PrecisionPoint, WeightPrecision, weight_precision

__all__ = [
    "BiasVariance",
    "EnergyCurve",
    "PrecisionPoint",
    "Robustness",
    "TimeResolution",
    "WeightPrecision",
    "bias_and_variance",
    "energy_curve",
    "robustness",
    "time_resolution",
    "weight_precision",
]
