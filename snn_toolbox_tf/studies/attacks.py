"""Adversarial attacks: inputs that look like others, and are not classified like them.

All are untargeted: they raise the loss of the true class. What they find is never further than epsilon from the sample, in
the norm of the attack, and never outside the range that inputs have.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_one_of, is_number

NORMS = ("linf", "l2")

#: Returns the gradient of each sample's loss, of inputs and their class indices, in the shape of the inputs.
LossGradient = Callable[[np.ndarray, np.ndarray], np.ndarray]

_TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class Ball:
    """The inputs that an attack may choose from: those near a sample, of the valid ones.

    Attributes:
        norm: "linf" (no element moves by more than epsilon) or "l2" (the vector of all moves is no longer than epsilon).
        epsilon: In units of the input.
        low: Smallest valid value, a number or an array that broadcasts against a sample.
        high: Largest valid value.
    """

    norm: str
    epsilon: float
    low: np.ndarray
    high: np.ndarray

    def __post_init__(self) -> None:
        check_one_of(self.norm, NORMS, "norm")
        if not is_number(self.epsilon) or self.epsilon < 0:
            raise ValueError(f"Expected `epsilon` to be a number, 0 or more. Received: epsilon={self.epsilon!r}")

    def of_size(self, epsilon: float) -> "Ball":
        """Returns the ball of another size."""
        return dataclasses.replace(self, epsilon=epsilon)

    def projected(self, x: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Returns what is in the ball around `x`: in l-inf and for one of the two sets alone, the nearest.

        With l-2 the perturbation is first shortened, then cut off at the valid range. `x` is valid, so that cutting off
        brings every element nearer to it: what comes out is in both sets, though it need not be their nearest point.

        Args:
            x: Valid samples, float32 `[samples, ...]`.
            moved: What an attack has made of them, likewise.
        """
        change = moved.astype(np.float64) - x
        if self.norm == "linf":
            change = np.clip(change, -self.epsilon, self.epsilon)
        else:
            change *= np.minimum(1.0, self.epsilon / np.maximum(lengths(change), _TINY))
        return np.clip(x + change, self.low, self.high).astype(np.float32)

    def steepest(self, gradient: np.ndarray) -> np.ndarray:
        """Returns the direction of size 1 that raises a linear loss most: the sign, or the gradient at unit length.

        Where a gradient is 0, so is the direction.
        """
        if self.norm == "linf":
            return np.sign(gradient).astype(np.float64)
        gradient = gradient.astype(np.float64)
        # By the largest element first: squares of tiny gradients would vanish.
        largest = np.abs(gradient).max(axis=tuple(range(1, gradient.ndim)), keepdims=True)
        scaled = gradient / np.where(largest > 0, largest, 1.0)
        return scaled / np.maximum(lengths(scaled), _TINY)

    def random_start(self, x: np.ndarray, seed: int) -> np.ndarray:
        """Returns points of the ball, drawn uniformly (before they are cut off at the valid range)."""
        random = np.random.default_rng(seed)
        if self.norm == "linf":
            return self.projected(x, x + self.epsilon * random.uniform(-1, 1, x.shape))
        direction = self.steepest(random.standard_normal(x.shape))
        # A ball of n dimensions holds the share r^n within the radius r.
        radius = random.uniform(size=(len(x), *[1] * (x.ndim - 1))) ** (1 / max(x[0].size, 1))
        return self.projected(x, x + self.epsilon * radius * direction)


def noise(x: np.ndarray, ball: Ball, seed: int) -> np.ndarray:
    """Returns samples with noise as large as an attack: random signs for l-inf, random directions for l-2."""
    draw = np.random.default_rng(seed).standard_normal(x.shape)
    return ball.projected(x, x + ball.epsilon * ball.steepest(draw))


def fgsm(gradient: LossGradient, x: np.ndarray, labels: np.ndarray, ball: Ball) -> np.ndarray:
    """Returns what one step of size epsilon makes of samples: the fast gradient sign method (Goodfellow et al. 2015).

    With l-2 the step goes along the gradient itself. See "Explaining and harnessing adversarial examples", arXiv 1412.6572.

    Args:
        gradient: Gives the gradient of the loss.
        x: Valid samples, float32 `[samples, ...]`.
        labels: Their class indices, int64 `[samples]`.
        ball: What may be chosen from.
    """
    return ball.projected(x, x + ball.epsilon * ball.steepest(gradient(x, labels)))


def pgd(
    gradient: LossGradient,
    x: np.ndarray,
    labels: np.ndarray,
    ball: Ball,
    *,
    steps: int,
    step_size: float | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns what projected gradient descent makes of samples, from a random start in the ball (Madry et al. 2018).

    See "Towards deep learning models resistant to adversarial attacks", arXiv 1706.06083. The last point is returned.

    Args:
        gradient: Gives the gradient of the loss.
        x: Valid samples, float32 `[samples, ...]`.
        labels: Their class indices, int64 `[samples]`.
        ball: What may be chosen from.
        steps: Number of steps.
        step_size: Size of each, in units of epsilon; by default 2.5 / steps, which gets from any start to any end, as there.
        seed: Of the start.
    """
    size = ball.epsilon * (2.5 / steps if step_size is None else step_size)
    moved = ball.random_start(x, seed)
    for _ in range(steps):
        moved = ball.projected(x, moved + size * ball.steepest(gradient(moved, labels)))
    return moved


def lengths(change: np.ndarray) -> np.ndarray:
    """Returns the Euclidean length of each sample, `[samples, 1, ...]`."""
    return np.sqrt(np.square(change).sum(axis=tuple(range(1, change.ndim)), keepdims=True))


def sizes(x: np.ndarray, moved: np.ndarray, norm: str) -> np.ndarray:
    """Returns how far each sample was moved, float64 `[samples]`."""
    change = (moved.astype(np.float64) - x).reshape(len(x), -1)
    return np.abs(change).max(axis=1) if norm == "linf" else lengths(change)[:, 0]


def whole_range(norm: str, low: np.ndarray, high: np.ndarray, shape: tuple[int, ...]) -> float:
    """Returns the epsilon with which any valid sample of a shape can become any other."""
    span = np.broadcast_to(np.asarray(high, np.float64) - low, shape)
    return float(span.max()) if norm == "linf" else math.sqrt(float(np.square(span).sum()))
