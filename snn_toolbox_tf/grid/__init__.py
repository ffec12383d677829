"""The dyadic grid: bounds of currents, their fractional bits, and the graph on it."""

from snn_toolbox_tf.grid.bounds import ANALOG_HEADROOM, absolute_bounds
from snn_toolbox_tf.grid.quantize import Observed, observed, quantize, reproducibility_exceptions, requantize

__all__ = [
    "ANALOG_HEADROOM",
    "Observed",
    "absolute_bounds",
    "observed",
    "quantize",
    "reproducibility_exceptions",
    "requantize",
]
