"""Calibration by gradient: a spiking network learns from its source, on samples without labels."""

from snn_toolbox_tf.distillation.distill import distill
from snn_toolbox_tf.distillation.settings import GradientCalibration
from snn_toolbox_tf.distillation.training import Outcome

__all__ = ["GradientCalibration", "Outcome", "distill"]
