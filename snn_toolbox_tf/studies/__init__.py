"""Questions that take many runs: what a network costs, withstands and loses, over timesteps, seeds and precision."""

from snn_toolbox_tf.studies.bias_variance import BiasVariance, bias_and_variance
from snn_toolbox_tf.studies.energy_curve import EnergyCurve, energy_curve

__all__ = ["BiasVariance", "EnergyCurve", "bias_and_variance", "energy_curve"]
