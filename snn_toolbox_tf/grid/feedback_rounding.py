"""Rounds the weights of a layer one after the other, each making up for those before it.

A weight that is rounded changes the sums that it is in by its error times its input. Where inputs are correlated, weights
that are not rounded yet can take that back (Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers", algorithm 1, after the optimal brain surgeon of Hassibi & Stork 1993).
"""

import numpy as np

from snn_toolbox_tf.grid.weight_levels import Levels, round_to_levels

#: What is added to all variances, relative to their mean.
_DAMPING = 0.01
#: Weights that are rounded before what they leave is passed on to all that come later.
_BLOCK = 64
#: Factors of the scale that are tried for a few levels.
_SCALES, _FEW_LEVELS = (0.7, 0.8, 0.9, 1.0, 1.1), 3


def damped(covariance: np.ndarray) -> np.ndarray:
    """Returns a covariance with somewhat larger variances, which has an inverse."""
    # Rounding may leave a variance of 0 a little below.
    mean = np.maximum(np.diag(covariance), 0.0).mean()
    return covariance + (_DAMPING * mean if mean > 0 else 1.0) * np.eye(len(covariance))


def round_with_feedback(weights: np.ndarray, covariance: np.ndarray, bits: int) -> Levels:
    """Rounds weights `[channels, weights]` so that their products with inputs of this covariance change least.

    Args:
        weights: The weights, float64.
        covariance: Of what they are multiplied by, float64 `[weights, weights]`.
        bits: From 1 to 16.
    """
    variance = np.diag(covariance).copy()
    certain = damped(covariance)
    # What varies most is rounded first, when all others can still make up for it.
    order = np.argsort(-variance, kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(certain[np.ix_(order, order)])).T
    start = round_to_levels(weights, bits, importance=np.diag(certain))
    best, least = start, np.full(len(weights), np.inf)
    for scale in _SCALES if 2 ** (bits - 1) - 1 <= _FEW_LEVELS else (1.0,):
        codes = np.empty_like(start.codes)
        codes[:, order] = _codes(weights[:, order], start.scales * scale, factor, bits)
        found = _refitted(codes, weights, certain)
        missed = weights - found.values
        error = (missed @ covariance * missed).sum(axis=1)
        better = error < least
        best = Levels(np.where(better[:, None], found.codes, best.codes), np.where(better, found.scales, best.scales))
        least = np.where(better, error, least)
    return best


def _codes(weights: np.ndarray, scales: np.ndarray, factor: np.ndarray, bits: int) -> np.ndarray:
    """Returns whole numbers for weights in the order in which they are rounded.

    Args:
        weights: The weights, `[channels, weights]`.
        scales: By channel.
        factor: The upper Cholesky factor of the inverse covariance.
        bits: From 1 to 16.
    """
    left, codes = weights.copy(), np.zeros(weights.shape, np.int32)
    most, steps = 2 ** (bits - 1) - 1, np.where(scales > 0, scales, 1.0)
    count = weights.shape[1]
    for begin in range(0, count, _BLOCK):
        end = min(begin + _BLOCK, count)
        passed = np.empty((len(weights), end - begin))
        for place in range(begin, end):
            column = left[:, place]
            rounded = np.clip(np.round(column / steps), -most, most) if most else np.where(column < 0, -1, 1)
            codes[:, place] = rounded
            missed = (column - scales * rounded) / factor[place, place]
            left[:, place + 1 : end] -= np.outer(missed, factor[place, place + 1 : end])
            passed[:, place - begin] = missed
        left[:, end:] -= passed @ factor[begin:end, end:]
    return codes


def _refitted(codes: np.ndarray, weights: np.ndarray, covariance: np.ndarray) -> Levels:
    """Returns levels with the scales of least squared error for these whole numbers."""
    weighted = codes @ covariance
    power = (weighted * codes).sum(axis=1)
    scales = (weighted * weights).sum(axis=1) / np.where(power > 0, power, 1.0)
    return Levels(codes, np.where(power > 0, scales, 0.0))
