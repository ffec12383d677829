"""The integrate-fire-reset step: one front, the implementations behind it.

`integrate_fire` is the one place through which every population steps. There is one implementation so far, the
pure-TensorFlow reference.
"""

from snn_toolbox_tf.ops.reference import integrate_fire, integrate_then_fire

__all__ = ["integrate_fire", "integrate_then_fire"]
