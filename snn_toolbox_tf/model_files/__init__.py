"""Model files of Keras 1, 2 and 3."""

from snn_toolbox_tf.model_files.load import load_model
from snn_toolbox_tf.model_files.origin import ModelFileError

__all__ = ["ModelFileError", "load_model"]
