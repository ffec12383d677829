"""Outputs as decisions between classes, and how many of these are right."""

from typing import Any

import numpy as np


def class_labels(y: Any, samples: int, classes: int) -> np.ndarray:
    """Returns labels as class indices, int64 `[samples]`.

    Args:
        y: Class indices `[samples]` or `[samples, 1]`, or one-hot `[samples, classes]`.
        samples: Number of samples.
        classes: Number of units of the output; 1 for a decision between 0 and 1.

    Raises:
        ValueError: If their number does not fit, or they are no class indices.
    """
    labels = np.asarray(y)
    if len(np.atleast_1d(labels)) != samples or labels.ndim not in (1, 2):
        raise ValueError(
            f"`y` must hold one label per sample. Expected {samples} labels. Received shape: {labels.shape}"
        )
    if labels.ndim == 2 and labels.shape[1] == classes and classes > 1:
        labels = labels.argmax(axis=-1)
    elif labels.ndim == 2 and labels.shape[1] != 1:
        raise ValueError(f"One-hot `y` must have {classes} columns, one per class. Received shape: {labels.shape}")
    labels = labels.reshape(-1)
    largest = max(classes, 2) - 1
    if labels.dtype.kind not in "fiub" or not (np.isin(labels, range(largest + 1)).all()):
        raise ValueError(
            f"`y` must hold class indices from 0 to {largest}. Received values like {labels[:3].tolist()} of dtype "
            f"{labels.dtype}."
        )
    return labels.astype(np.int64)


def decisions(outputs: np.ndarray) -> np.ndarray:
    """Returns the class that each output `[..., classes]` stands for; of one unit, whether it is above 0.5."""
    return (outputs[..., 0] > 0.5).astype(np.int64) if outputs.shape[-1] == 1 else outputs.argmax(axis=-1)


def correct(outputs: np.ndarray, labels: np.ndarray, top_k: int = 1) -> np.ndarray:
    """Returns whether class indices `[samples]` are among the k largest of outputs `[..., samples, classes]`.

    Of equal outputs the first comes first, as in argmax.
    """
    if outputs.shape[-1] == 1:
        return decisions(outputs) == labels
    shape = (*outputs.shape[:-1], 1)
    index = np.broadcast_to(labels[:, np.newaxis], shape)
    own = np.take_along_axis(outputs, index, axis=-1)
    before = np.arange(outputs.shape[-1]) < index
    # Written so that NaN is never correct.
    rank = (~(outputs <= own) | ((outputs == own) & before)).sum(axis=-1)
    return rank < top_k
