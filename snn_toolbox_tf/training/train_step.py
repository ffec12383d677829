"""One step of training, and what a training that diverged leaves behind."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def train_step(model: keras.Model, data: Any) -> dict[str, Any]:
    """Does one step of training, as Keras's own, with all gradients in float32.

    Some weights are float64, and Keras clips by the global norm of gradients of one dtype only.

    Args:
        model: A compiled model.
        data: What `fit` takes out of its data.

    Returns:
        The metrics so far, by name.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=True)
        scaled = model.optimizer.scale_loss(loss)
    weights = model.trainable_weights
    gradients = tape.gradient(scaled, [weight.value for weight in weights])
    gradients = [None if gradient is None else tf.cast(gradient, tf.float32) for gradient in gradients]
    model.optimizer.apply_gradients(zip(gradients, weights, strict=True))
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss, sample_weight=tf.shape(keras.tree.flatten(x)[0])[0])
    return model.compute_metrics(x, y, outputs, sample_weight)


def clear_non_finite(optimizer: keras.optimizers.Optimizer) -> None:
    """Sets to zero what a training that diverged has left of NaN in an optimizer."""
    for variable in optimizer.variables:
        value = variable.numpy()
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            variable.assign(np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0))
