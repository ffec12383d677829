"""Model files of Keras 1, 2 and 3."""

from snn_toolbox_tf.model_files.load import MODEL_SUFFIXES, load_model
from snn_toolbox_tf.model_files.origin import ModelFileError

__all__ = ["MODEL_SUFFIXES", "ModelFileError", "load_model"]
