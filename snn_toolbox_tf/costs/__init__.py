"""What networks spend: energy from counted operations, beside that of the ANN."""

from snn_toolbox_tf.costs.ann import Baseline
from snn_toolbox_tf.costs.energy import Energy, energy, energy_of
from snn_toolbox_tf.costs.hardware import HARDWARE, Hardware
from snn_toolbox_tf.costs.lines import EnergyLine

__all__ = [
    "HARDWARE",
    "Baseline",
    "Energy",
    "EnergyLine",
    "Hardware",
    "energy",
    "energy_of",
]
