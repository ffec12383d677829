"""Training: of a spiking network by backpropagation through time, and of its source with thresholds that are trained."""

from snn_toolbox_tf.training.fine_tuning import FineTuning
from snn_toolbox_tf.training.train_step import clear_non_finite, train_step
from snn_toolbox_tf.training.trainable_thresholds import with_trainable_thresholds

__all__ = ["FineTuning", "clear_non_finite", "train_step", "with_trainable_thresholds"]
