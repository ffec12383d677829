"""Versions that a result depends on."""

import platform

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.version import __version__


def versions() -> dict[str, str]:
    """Returns the versions that a result depends on, and the kind of machine."""
    return {
        "snn_toolbox_tf": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
