"""Synapses that Keras has no layer for."""

from snn_toolbox_tf.layers.round_to_grid import RoundToGrid
from snn_toolbox_tf.layers.scale import Scale

__all__ = ["RoundToGrid", "Scale"]
