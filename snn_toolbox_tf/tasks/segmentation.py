"""A class per position against its target: how many positions are right, and how far classes overlap."""

import numpy as np


def pixel_sums(decided: np.ndarray, expected: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Counts positions by class; counts can be added up over batches, exactly.

    Args:
        decided: Decisions, int `[..., samples, *positions]`, with any axes before those of `expected`.
        expected: The true classes, int `[samples, *positions]`.
        classes: Number of classes.

    Returns:
        float64 `[..., classes]`: "both" (decided for, and true), "decided" and "true".
    """
    before = decided.shape[: decided.ndim - expected.ndim]
    rows, truth = decided.reshape(-1, expected.size), expected.reshape(-1)
    counts = {
        "both": [np.bincount(row[row == truth], minlength=classes) for row in rows],
        "decided": [np.bincount(row, minlength=classes) for row in rows],
        "true": [np.bincount(truth, minlength=classes)] * len(rows),
    }
    return {name: np.reshape(np.array(values, np.float64), (*before, classes)) for name, values in counts.items()}


def intersection_over_union(both: np.ndarray, decided: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Returns the overlap of every class, `both / (decided + true - both)`; NaN of a class that does not occur."""
    union = decided + true - both
    return np.where(union > 0, both / np.where(union > 0, union, 1.0), np.nan)


def mean_of_classes(overlap: np.ndarray) -> np.ndarray:
    """Returns the mean over the classes that occur, as `keras.metrics.MeanIoU` does; NaN if none does."""
    occurs = np.isfinite(overlap)
    number = occurs.sum(axis=-1)
    return np.where(number > 0, np.where(occurs, overlap, 0.0).sum(axis=-1) / np.maximum(number, 1), np.nan)
