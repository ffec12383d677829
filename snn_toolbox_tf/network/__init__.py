"""A graph as living Keras layers, and the data that they read."""

from snn_toolbox_tf.network.network import Network, inputs_of, pack, relu, source_activation

__all__ = ["Network", "inputs_of", "pack", "relu", "source_activation"]
