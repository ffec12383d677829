"""Synapses that Keras has no layer for."""

from snn_toolbox_tf.layers.round_to_grid import RoundToGrid, straight_through_round
from snn_toolbox_tf.layers.scale import Scale

__all__ = ["RoundToGrid", "Scale", "straight_through_round"]
