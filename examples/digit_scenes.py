"""Scenes of scikit-learn's digits on a larger canvas, with masks and boxes: data of the other examples."""

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

#: Width and height of a scene, and the class of pixels that belong to no digit.
SIDE, BACKGROUND = 20, 10
_DIGIT, _TRIES = 8, 50


class Scenes(NamedTuple):
    """Scenes, and what is in them.

    Attributes:
        x: float32 `[scenes, 20, 20, 1]`, from 0 to 1.
        masks: The digit that each pixel belongs to, or `BACKGROUND`; uint8 `[scenes, 20, 20]`.
        boxes: Left, top, right and bottom of the first digit, as shares of the scene; float32 `[scenes, 4]`.
        labels: The first digit; uint8 `[scenes]`.
    """

    x: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def scenes(number: int, *, digits: int, largest: int, test: bool, seed: int) -> Scenes:
    """Draws scenes.

    Args:
        number: Number of scenes.
        digits: Digits of a scene; they do not overlap, and fewer are there if the first ones leave no place.
        largest: Pixels of the canvas that a pixel of a digit becomes at most, in each direction on its own.
        test: Whether digits are every third one of the data set, which scenes for training leave out.
        seed: Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    images, classes = load_digits(return_X_y=True)
    chosen = (np.arange(len(images)) % 3 == 0) == test
    images, classes = images[chosen].reshape(-1, _DIGIT, _DIGIT) / 16, classes[chosen]
    x = 0.1 * rng.random((number, SIDE, SIDE, 1), dtype=np.float32)
    masks = np.full((number, SIDE, SIDE), BACKGROUND, np.uint8)
    boxes, labels = np.zeros((number, 4), np.float32), np.zeros(number, np.uint8)
    for scene in range(number):
        for place, index in enumerate(rng.integers(0, len(images), digits)):
            rows, columns = rng.integers(1, largest + 1, 2)
            image = images[index].repeat(rows, axis=0).repeat(columns, axis=1)
            corner = _free_corner(rng, masks[scene], image.shape)
            if corner is None:
                break
            top, left = corner
            window = (scene, slice(top, top + len(image)), slice(left, left + image.shape[1]))
            x[window] = np.maximum(x[window], image[..., np.newaxis])
            ink = image > 0.25
            masks[window][ink] = classes[index]
            if not place:
                down, across = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
                corners = left + across[0], top + down[0], left + across[-1] + 1, top + down[-1] + 1
                boxes[scene], labels[scene] = np.array(corners) / SIDE, classes[index]
    return Scenes(x, masks, boxes, labels)


def _free_corner(rng: np.random.Generator, mask: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Returns where a picture of this shape covers background only; None if no such place was found."""
    for _ in range(_TRIES):
        top, left = (int(rng.integers(0, SIDE - side + 1)) for side in shape)
        if (mask[top : top + shape[0], left : left + shape[1]] == BACKGROUND).all():
            return top, left
    return None
