"""What steps in time: native TensorFlow ops, and references in TensorFlow operations that give the same spikes."""

from snn_toolbox_tf.ops.bits import pack_bits, unpack_bits
from snn_toolbox_tf.ops.convolution import ConvolutionWindow, SpikeSynapse
from snn_toolbox_tf.ops.front import (
    accumulate_max_pool,
    given_current,
    integrate_fire,
    spike_convolution,
    spike_convolution_of,
)
from snn_toolbox_tf.ops.lateral_inhibition import lateral_inhibition
from snn_toolbox_tf.ops.max_pool import Window, winner_take_all
from snn_toolbox_tf.ops.native import NotAvailableError
from snn_toolbox_tf.ops.reference import integrate_then_fire
from snn_toolbox_tf.ops.selection import Implementation, implementation, use
from snn_toolbox_tf.ops.step import Current, Response
from snn_toolbox_tf.ops.surrogate import SURROGATE_GRADIENTS

__all__ = [
    "SURROGATE_GRADIENTS",
    "ConvolutionWindow",
    "Current",
    "Implementation",
    "NotAvailableError",
    "Response",
    "SpikeSynapse",
    "Window",
    "accumulate_max_pool",
    "given_current",
    "implementation",
    "integrate_fire",
    "integrate_then_fire",
    "lateral_inhibition",
    "pack_bits",
    "spike_convolution",
    "spike_convolution_of",
    "unpack_bits",
    "use",
    "winner_take_all",
]
