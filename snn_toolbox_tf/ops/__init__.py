"""The integrate-fire-reset step: a native TensorFlow op, and a reference in TensorFlow operations with the same spikes."""

from snn_toolbox_tf.ops.block import RESETS, Block
from snn_toolbox_tf.ops.front import integrate_fire
from snn_toolbox_tf.ops.native import NotAvailableError
from snn_toolbox_tf.ops.reference import integrate_then_fire
from snn_toolbox_tf.ops.selection import Implementation, implementation, use
from snn_toolbox_tf.ops.surrogate import SURROGATE_GRADIENTS

__all__ = [
    "RESETS",
    "SURROGATE_GRADIENTS",
    "Block",
    "Implementation",
    "NotAvailableError",
    "implementation",
    "integrate_fire",
    "integrate_then_fire",
    "use",
]
