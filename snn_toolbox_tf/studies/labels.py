"""What studies of accuracy ask of a source and its labels."""

from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.tasks.classes import class_labels, correct


def check_labels(model: keras.Model, x: Any, y: Any) -> np.ndarray:
    """Returns labels as class indices, int64 `[samples]`, before any long work.

    Args:
        model: The source.
        x: Its input.
        y: Labels, class indices or one-hot.

    Raises:
        TypeError: If the source is no Keras model.
        ValueError: If it has several outputs, or one that is no vector of classes; or the labels do not fit.
    """
    if not isinstance(model, keras.Model) or isinstance(model, (SpikingModel, LatencyModel)):
        raise TypeError(
            f"Expected `model` to be the source, a Keras model that was not converted. Received: {type(model).__name__}"
        )
    outputs = keras.tree.flatten(model.outputs)
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        raise ValueError(
            f"A study of accuracy needs a source with one output `[samples, classes]`. Received: model '{model.name}' with "
            f"outputs {[tuple(output.shape) for output in outputs]}"
        )
    return class_labels(y, len(keras.tree.flatten(x)[0]), int(outputs[0].shape[-1]))


def ann_accuracy(model: keras.Model, x: Any, y: Any) -> float:
    """Returns the share of samples that the source classifies correctly; see `check_labels`."""
    return accuracy_of(np.asarray(model.predict(x, verbose=0)), y)


def accuracy_of(outputs: np.ndarray, y: Any) -> float:
    """Returns the share of outputs `[samples, classes]` that are right."""
    return float(correct(outputs, class_labels(y, *outputs.shape), 1).mean())
