"""Scales: one factor per element of a tensor, `true value = scale * normalised value`.

A scale is a float64 array that broadcasts against a tensor's shape without the batch axis.
"""

import numpy as np

Scale = np.ndarray


def per_channel(scale: np.ndarray, shape: tuple[int, ...], axis: int = -1) -> np.ndarray | None:
    """Returns a scale as a vector along one axis (or of size 1), or None if it varies along another axis."""
    if scale.size == 1:
        return scale.reshape(1)
    if scale.size == scale.shape[axis]:
        return scale.reshape(-1)
    rest = np.moveaxis(np.broadcast_to(scale, shape), axis, -1).reshape(-1, shape[axis])
    return rest[0] if (rest == rest[0]).all() else None


def ones(shape: tuple[int, ...]) -> Scale:
    """Returns the scale 1 of a tensor."""
    return np.ones((1,) * len(shape))
