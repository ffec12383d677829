"""Layers that Keras has none for, or only as operations; rectifiers with trained thresholds; and the spiking neurons."""

from snn_toolbox_tf.layers.bias_weights import BiasWeights
from snn_toolbox_tf.layers.clip import Clip
from snn_toolbox_tf.layers.constant_current import ConstantCurrent
from snn_toolbox_tf.layers.quantization_clip_floor_shift import (
    SHIFT,
    QuantizationClipFloorShift,
    clip_floor_shift,
    shifted,
)
from snn_toolbox_tf.layers.resample import Resample
from snn_toolbox_tf.layers.round_to_grid import RoundToGrid, straight_through_round
from snn_toolbox_tf.layers.scale import Scale
from snn_toolbox_tf.layers.select import Select
from snn_toolbox_tf.layers.spiking_neurons import SpikingNeurons
from snn_toolbox_tf.layers.threshold_relu import ThresholdReLU

__all__ = [
    "SHIFT",
    "BiasWeights",
    "Clip",
    "ConstantCurrent",
    "QuantizationClipFloorShift",
    "Resample",
    "RoundToGrid",
    "Scale",
    "Select",
    "SpikingNeurons",
    "ThresholdReLU",
    "clip_floor_shift",
    "shifted",
    "straight_through_round",
]
