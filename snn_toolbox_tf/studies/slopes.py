"""`Slope`: the exponent with which an error changes, by least squares, and how sure it is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Slope(NamedTuple):
    """The exponent of a power law, with the interval that holds it with 95 % confidence.

    Attributes:
        value: The slope of a straight line through the logarithms; NaN where there is none.
        low: Lower end of the interval; NaN if there are fewer than three samples.
        high: Upper end, likewise.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Returns the slope, with its interval if there is one."""
        if np.isnan(self.value):
            return "-"
        if np.isnan(self.low):
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def fitted_slope(scale: Sequence[float], errors: Any) -> Slope:
    """Fits error = c scale^slope to the mean errors of samples.

    The interval is Student's, around the slope that all samples give; its standard error comes from leaving out one sample
    after the other (the jackknife, Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11). It says how much
    the slope depends on the samples; it does not say whether a power law holds.

    Args:
        scale: Lengths of timesteps, or numbers of them.
        errors: The error of each sample, `[len(scale), samples]`, 0 or more.

    Returns:
        The slope; NaN with fewer than two points, or where a mean error is 0.

    Example:
        >>> fitted_slope([1.0, 2.0, 4.0], [[1.0, 3.0], [2.0, 6.0], [4.0, 12.0]]).value
        1.0
    """
    array = np.asarray(errors, np.float64)
    if array.ndim != 2 or not array.shape[1]:
        return Slope(np.nan, np.nan, np.nan)
    total = array.sum(axis=1)
    return jackknife_slope(scale, total, (total[:, np.newaxis] - array).T)


def jackknife_slope(scale: Sequence[float], errors: np.ndarray, without: np.ndarray) -> Slope:
    """Fits error = c scale^slope, with an interval from the errors without one sample (or seed) each; see `fitted_slope`.

    Args:
        scale: Lengths of timesteps, or numbers of them.
        errors: From all, `[len(scale)]`.
        without: From all but one, `[samples, len(scale)]`.
    """
    value, count = _slope(scale, errors), len(without)
    if count < 3 or np.isnan(value):
        return Slope(value, np.nan, np.nan)
    # scikit-learn brings SciPy along; only intervals need it.
    from scipy.stats import t as student  # type: ignore[import-untyped]

    slopes = np.array([_slope(scale, others) for others in without])
    error = np.sqrt((count - 1) / count * np.square(slopes - slopes.mean()).sum())
    width = float(student.ppf(0.975, count - 1) * error)
    return Slope(value, value - width, value + width)


def _slope(scale: Sequence[float], errors: np.ndarray) -> float:
    if len(scale) < 2 or not (errors > 0).all():
        return float("nan")
    return round(float(np.polyfit(np.log(scale), np.log(errors), 1)[0]), 12)
