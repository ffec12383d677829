"""Takes over loss, metrics and optimizer of the source model, through Keras's public configuration."""

import warnings
from typing import Any

import keras


def take_over_compilation(source: keras.Model, target: keras.Model) -> None:
    """Compiles `target` with the loss, metrics and a new optimizer of the settings of `source`, if that is compiled.

    A loss that is no Keras object is taken from `source.loss`. What cannot be recovered is named in one warning.
    """
    if not getattr(source, "compiled", False):
        return
    lost = []
    try:
        config = source.get_compile_config() or {}
    except (TypeError, ValueError):
        config = {}
    restored = {}
    for key in ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics"):
        restored[key], complete = _restored(config.get(key))
        if not complete:
            lost.append(key)
    if restored["loss"] is None and getattr(source, "loss", None) is not None:
        restored["loss"] = source.loss
        lost = [key for key in lost if key != "loss"]
    if not config and restored["loss"] is None:
        lost = ["loss", "metrics"]
    target.compile(**restored, jit_compile=False)
    if lost:
        warnings.warn(
            f"Could not take over all of {', '.join(lost)} of model '{source.name}'. "
            "Call `model_snn.compile(loss=..., metrics=...)` yourself.",
            stacklevel=5,
        )


def _restored(config: Any) -> tuple[Any, bool]:
    """Returns what a configuration describes, and whether that is all of it: of a list, the entries that can be had."""
    try:
        return keras.saving.deserialize_keras_object(config) if config is not None else None, True
    except (TypeError, ValueError, AttributeError):
        if not isinstance(config, list):
            return None, False
    entries = [_restored(entry) for entry in config]
    return [entry for entry, complete in entries if complete], False
