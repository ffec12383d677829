"""Real numbers against their targets: error, and the share of the targets' variance that is explained."""

import numpy as np


def error_sums(outputs: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
    """Returns sums of errors over samples and positions, per unit, which can be added up over batches.

    Args:
        outputs: Outputs, `[..., samples, *positions, units]`, with any axes before those of `expected`.
        expected: What they should be, `[samples, *positions, units]`.

    Returns:
        "squared" and "absolute", float64 `[..., units]`.
    """
    difference = outputs.astype(np.float64) - expected
    axes = tuple(range(outputs.ndim - expected.ndim, outputs.ndim - 1))
    return {"squared": np.square(difference).sum(axis=axes), "absolute": np.abs(difference).sum(axis=axes)}


def spread(values: np.ndarray) -> np.ndarray:
    """Returns the sum of squared differences from the mean, per unit: float64 `[units]`, of `[samples, ..., units]`."""
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    return np.square(rows - rows.mean(axis=0)).sum(axis=0)


def spread_of_sums(total: np.ndarray, squared: np.ndarray, count: int) -> np.ndarray:
    """Returns what `spread` does, from the sums of values and of their squares; 0 where rounding leaves nothing."""
    around_mean = squared - np.square(total) / count
    return np.where(around_mean > 1e-12 * squared, around_mean, 0.0)


def r2_by_unit(squared_error: np.ndarray, around_mean: np.ndarray, count: int) -> np.ndarray:
    """Returns the coefficient of determination, `1 - sum (y - output)^2 / sum (y - mean(y))^2`, of every unit.

    As `sklearn.metrics.r2_score` does: where the targets are constant, it is 1 if the outputs are exact and 0 otherwise;
    with fewer than two values it is NaN.

    Args:
        squared_error: Sums of squared errors, `[..., units]`.
        around_mean: Sums of squared differences of the targets from their mean, `[units]`.
        count: Number of values of each unit.
    """
    if count < 2:
        return np.full(np.shape(squared_error), np.nan)
    constant = around_mean == 0
    explained = 1.0 - squared_error / np.where(constant, 1.0, around_mean)
    return np.where(constant, np.where(squared_error == 0, 1.0, 0.0), explained)
