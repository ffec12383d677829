"""The whole way from a Keras model to a spiking one."""

from snn_toolbox_tf.conversion.check import CheckReport, check
from snn_toolbox_tf.conversion.convert import convert_graph, convert_keras
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.conversion.verification import ConversionError

__all__ = ["CheckReport", "ConversionError", "ConversionOptions", "check", "convert_graph", "convert_keras"]
