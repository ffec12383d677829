"""Fine-tuning a spiking network by backpropagation through time."""

from snn_toolbox_tf.training.fine_tuning import FineTuning
from snn_toolbox_tf.training.train_step import clear_non_finite, train_step

__all__ = ["FineTuning", "clear_non_finite", "train_step"]
