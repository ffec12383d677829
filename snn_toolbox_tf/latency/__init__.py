"""Latency code: one spike a neuron, whose time says the value, in windows that follow each other."""

from snn_toolbox_tf.latency.closed_form import quantized_values
from snn_toolbox_tf.latency.code import LatencyCode
from snn_toolbox_tf.latency.latency_model import LatencyModel
from snn_toolbox_tf.latency.record import LatencyRecord
from snn_toolbox_tf.latency.result import LatencyResult
from snn_toolbox_tf.latency.windows import Window, Windows

__all__ = [
    "LatencyCode",
    "LatencyModel",
    "LatencyRecord",
    "LatencyResult",
    "Window",
    "Windows",
    "quantized_values",
]
