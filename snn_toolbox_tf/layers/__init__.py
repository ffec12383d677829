"""Layers that Keras has none for, or only as operations; and the spiking neurons."""

from snn_toolbox_tf.layers.clip import Clip
from snn_toolbox_tf.layers.resample import Resample
from snn_toolbox_tf.layers.round_to_grid import RoundToGrid, straight_through_round
from snn_toolbox_tf.layers.scale import Scale
from snn_toolbox_tf.layers.select import Select
from snn_toolbox_tf.layers.spiking_neurons import SpikingNeurons

__all__ = ["Clip", "Resample", "RoundToGrid", "Scale", "Select", "SpikingNeurons", "straight_through_round"]
