"""What a source model must be before it can be read."""

from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.foundation.names import is_scope_name
from snn_toolbox_tf.parse.trace import runs_as_wired


def check_source_model(model: keras.Model) -> None:
    """Raises one clear error if a model cannot be read; see `parse`."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected `model` to be a keras.Model (load one with `snn.load_model`). "
            f"Received: {type(model).__module__}.{type(model).__name__}"
        )
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            f"Model '{model.name}' is not built, so its shapes and weights are unknown. "
            "Add a keras.Input as its first entry, call it once on data, or load trained weights."
        )
    if hasattr(model, "network") and hasattr(model, "simulate"):
        raise ValueError(
            f"Model '{model.name}' is a spiking network already. Expected the trained source model; to simulate a converted "
            "network use its `simulate`, or `snn-toolbox-tf evaluate`."
        )
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"Model '{model.name}' is a subclassed model ({type(model).__name__}): its layers cannot be listed. "
            "Expected a Sequential or Functional model. Rebuild it as `keras.Model(inputs, outputs)` and copy the "
            "weights with `set_weights`."
        )
    layers = flat_layers(model)
    _check_names(model, layers)
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(
                f"Input '{tensor.name}' of model '{model.name}' has shape {tensor.shape}: every axis but the batch "
                "must have a fixed size, because each neuron has a state. Rebuild the model with a fixed input shape."
            )
    reduced = [
        f"'{layer.name}' ({layer.dtype_policy.name})"
        for layer in layers
        if any(kind in layer.dtype_policy.name for kind in ("float16", "float8", "int8"))
    ]
    if reduced:
        raise ValueError(
            f"Model '{model.name}' computes in reduced precision in: {', '.join(reduced)}. Expected float32. "
            "Set `keras.config.set_dtype_policy('float32')`, rebuild the model and load its weights."
        )
    broken = [
        f"'{layer.name}'"
        for layer in layers
        if not all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in layer.weights)
    ]
    if broken:
        raise ValueError(
            f"Model '{model.name}' has NaN or infinite weights in: {', '.join(broken)}. Expected finite weights: "
            "the training diverged, or the file is damaged."
        )
    impossible = [
        f"'{layer.name}'"
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization)
        and keras.ops.convert_to_numpy(layer.moving_variance).min() < 0
    ]
    if impossible:
        raise ValueError(
            f"Model '{model.name}' has a negative moving variance in: {', '.join(impossible)}, so that it gives NaN. "
            "Expected a variance, 0 or more: the file is damaged, or the weights were set in another order."
        )
    if not runs_as_wired(model):
        raise ValueError(
            f"Model '{model.name}' ({type(model).__name__}) overrides `call`, so it does not compute what its layers are "
            "wired to. Expected a Sequential or Functional model. Rebuild it as `keras.Model(inputs, outputs)`."
        )


def _check_names(model: keras.Model, layers: list[Any]) -> None:
    """Refuses names with which Keras itself cannot `predict`."""
    names = [layer.name for layer in layers if not isinstance(layer, keras.layers.InputLayer)]
    bad = [name for name in names if not is_scope_name(name)]
    bad += [] if is_scope_name(model.name, outermost=True) else [model.name]
    if bad:
        raise ValueError(
            f"Model '{model.name}' has names that TensorFlow refuses: {', '.join(map(repr, bad))}. Expected letters, digits "
            "and any of '_', '-', '.', '>', and a model's name to begin with a letter or digit. Rebuild the model with "
            "other names."
        )


def flat_layers(model: keras.Model) -> list[Any]:
    """Returns all layers of a model, those of nested models and inside wrappers included."""
    layers = []
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
        layers.extend(flat_layers(inner) if isinstance(inner, keras.Model) else [inner])
    return layers
