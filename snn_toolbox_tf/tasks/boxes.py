"""Boxes against their targets: how far they overlap."""

import numpy as np


def box_overlap(boxes: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Returns the intersection over union of pairs of boxes, float64 `[...]`.

    Args:
        boxes: Boxes `[..., 4]`: left, top, right, bottom, in any unit. What has no area overlaps with nothing.
        expected: Others, of a shape that broadcasts.
    """
    ours, theirs = boxes.astype(np.float64), expected.astype(np.float64)
    corners = np.maximum(ours[..., :2], theirs[..., :2]), np.minimum(ours[..., 2:], theirs[..., 2:])
    both = _area(np.concatenate(corners, axis=-1))
    union = _area(ours) + _area(theirs) - both
    return np.where(union > 0, both / np.where(union > 0, union, 1.0), 0.0)


def _area(boxes: np.ndarray) -> np.ndarray:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]
