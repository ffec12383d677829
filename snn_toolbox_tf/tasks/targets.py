"""Targets of outputs, checked and in one form for each task."""

from typing import Any

import numpy as np

from snn_toolbox_tf.tasks.classes import class_labels


def checked_targets(kind: str, y: Any, samples: int, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Returns targets in the form of their task.

    Args:
        kind: The task.
        y: The targets.
        samples: Number of samples.
        shape: Shape of the output, without the batch axis.
        name: Name of the output.

    Returns:
        Of classes int64 `[samples]`; of a segmentation int32 `[samples, ...positions]`; of numbers and boxes float32 (or
        float64, where that was given) `[samples, ...shape]`.

    Raises:
        ValueError: If they do not fit.
    """
    if kind == "classes":
        return class_labels(y, samples, shape[0])
    array = np.asarray(y)
    if kind == "segmentation":
        return _masks(array, samples, shape, name)
    if array.dtype.kind not in "fiub" or len(np.atleast_1d(array)) != samples or array.size != _size((samples, *shape)):
        raise ValueError(
            f"Targets of output '{name}' must be numbers of shape {[samples, *shape]}. Received shape: "
            f"{list(array.shape)}, dtype {array.dtype}"
        )
    numbers = array.reshape((samples, *shape)).astype(np.float32 if array.dtype == np.float32 else np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"Targets of output '{name}' must be finite numbers. Received {int((~np.isfinite(numbers)).sum())} values that "
            "are NaN or infinite. Leave these samples out."
        )
    return numbers


def _masks(array: np.ndarray, samples: int, shape: tuple[int, ...], name: str) -> np.ndarray:
    classes, positions = max(shape[-1], 2), shape[:-1]
    if array.dtype.kind in "fiub" and array.shape == (samples, *shape) and shape[-1] > 1:
        one_hot = np.isin(array, (0, 1)).all() and (array.sum(axis=-1, dtype=np.int64) == 1).all()
        if one_hot:
            return array.argmax(axis=-1).astype(np.int32)
        raise ValueError(
            f"One-hot masks of output '{name}' must have one 1 per position, and 0 elsewhere. Received other values. Pass "
            "class indices, or state another task."
        )
    if array.dtype.kind not in "fiub" or array.shape not in ((samples, *positions), (samples, *positions, 1)):
        raise ValueError(
            f"Masks of output '{name}' must be class indices {[samples, *positions]} or one-hot {[samples, *shape]}. "
            f"Received shape: {list(array.shape)}, dtype {array.dtype}"
        )
    masks = array.reshape((samples, *positions))
    # What is no number becomes one that it does not equal.
    with np.errstate(invalid="ignore"):
        indices = masks.astype(np.int32)
    if not ((indices == masks).all() and (indices >= 0).all() and (indices < classes).all()):
        raise ValueError(
            f"Masks of output '{name}' must hold class indices from 0 to {classes - 1}. Received values from "
            f"{masks.min():g} to {masks.max():g}."
        )
    return indices


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
