"""The whole way from a Keras model to a spiking one."""

from snn_toolbox_tf.conversion.check import CheckReport, check
from snn_toolbox_tf.conversion.convert import convert_graph, convert_keras
from snn_toolbox_tf.conversion.options import ConversionOptions

__all__ = ["CheckReport", "ConversionOptions", "check", "convert_graph", "convert_keras"]
