"""Which nonlinearities populations can stand for, as sums of clipped rectifiers.

Every continuous, piecewise linear function is such a sum:

    f(x) = constant + sum_k gain_k * min(max(factor_k * x + offset_k, 0), max_value_k)

One population stands for each piece, and Scale and Add put them together again. A function that jumps is none: an
integrate-and-fire population's rate is continuous in its input, so that no threshold makes it converge to a jump.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import LayerSpec

#: Layers of this package whose upper bound is a weight. Steps between 0 and the bound are not part of the rectifier.
TRAINED_RECTIFIERS = ("ThresholdReLU", "QuantizationClipFloorShift")


@dataclasses.dataclass(frozen=True)
class Piece:
    """One clipped rectifier: `gain * min(max(factor * x + offset, 0), max_value)`.

    Attributes:
        gain: One number, or an array that broadcasts against a sample.
        factor: Slope in front of the rectifier.
        offset: Added in front of the rectifier.
        max_value: Upper bound, one number or one per channel; or None.
    """

    gain: Any = 1.0
    factor: float = 1.0
    offset: float = 0.0
    max_value: Any = None

    @property
    def plain(self) -> bool:
        """Whether it is a ReLU, perhaps with an upper bound, and nothing else."""
        return np.ndim(self.gain) == 0 and (self.gain, self.factor, self.offset) == (1.0, 1.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Rectifier:
    """A sum of pieces and a constant."""

    pieces: tuple[Piece, ...]
    constant: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it is a ReLU, perhaps with an upper bound, and nothing else."""
        return len(self.pieces) == 1 and self.pieces[0].plain and self.constant == 0.0

    @property
    def monotone(self) -> bool:
        """Whether it never falls, in which case it may change places with a maximum over values of one gain."""
        return all(np.min(np.multiply(piece.gain, piece.factor)) >= 0 for piece in self.pieces)

    @property
    def uniform(self) -> bool:
        """Whether it is the same function everywhere, and not one per channel or element."""
        return all(np.ndim(piece.gain) == np.ndim(piece.max_value) == 0 for piece in self.pieces)

    @property
    def keeps_zero(self) -> bool:
        """Whether f(0) = 0, in which case it may change places with padding by zeros."""
        values = [piece.gain * _clipped(piece.offset, piece.max_value) for piece in self.pieces]
        return bool(np.all(self.constant + sum(values) == 0))


def rectifier_of(layer: LayerSpec) -> Rectifier | None:
    """Returns an activation layer as a sum of clipped rectifiers, or None if it is none."""
    config = layer.config
    if layer.class_name == "ReLU":
        if config.get("threshold"):
            return None
        return _leaky(config.get("negative_slope") or 0.0, config.get("max_value"))
    if layer.class_name == "LeakyReLU":
        return _leaky(config.get("negative_slope", 0.3))
    if layer.class_name == "PReLU":
        return _leaky(layer.weights["alpha"])
    if layer.class_name in TRAINED_RECTIFIERS:
        theta = layer.weights["threshold"]
        return Rectifier((Piece(max_value=theta if theta.size > 1 else float(theta[0])),))
    if layer.class_name == "Clip":
        return _clip(config["minimum"], config["maximum"])
    if layer.class_name != "Activation":
        return None
    if config.get("activation") == "soft_shrink":
        return _soft_shrink(config.get("lambd", 0.5))
    function = FUNCTIONS.get(config.get("activation", ""))
    return function() if function else None


def _clipped(value: float, max_value: Any) -> Any:
    rectified = max(value, 0.0)
    return rectified if max_value is None else np.minimum(rectified, max_value)


def _leaky(slope: Any, max_value: float | None = None) -> Rectifier | None:
    """min(max(x, 0), max_value) - slope * max(-x, 0)."""
    if max_value is not None and max_value <= 0:
        return None
    positive = Piece(max_value=max_value)
    if not np.any(slope):
        return Rectifier((positive,))
    gain = -np.asarray(slope, np.float64)
    return Rectifier((positive, Piece(gain=float(gain) if gain.ndim == 0 else gain, factor=-1.0)))


def _clip(low: float | None, high: float | None) -> Rectifier | None:
    """Low + min(max(x - low, 0), high - low); without a lower bound high - max(high - x, 0)."""
    if low is None:
        return None if high is None else Rectifier((Piece(gain=-1.0, factor=-1.0, offset=high),), constant=high)
    if high is not None and high <= low:
        return None
    return Rectifier((Piece(offset=-low, max_value=None if high is None else high - low),), constant=low)


def _hard_sigmoid() -> Rectifier:
    """min(max(x / 6 + 1 / 2, 0), 1)."""
    return Rectifier((Piece(factor=1 / 6, offset=0.5, max_value=1.0),))


def _sparse_sigmoid() -> Rectifier:
    """min(max((x + 1) / 2, 0), 1)."""
    return Rectifier((Piece(factor=0.5, offset=0.5, max_value=1.0),))


def _hard_tanh() -> Rectifier:
    """min(max(x + 1, 0), 2) - 1."""
    return Rectifier((Piece(offset=1.0, max_value=2.0),), constant=-1.0)


def _soft_shrink(width: float) -> Rectifier:
    """max(x - width, 0) - max(-x - width, 0)."""
    return Rectifier((Piece(offset=-width), Piece(gain=-1.0, factor=-1.0, offset=-width)))


#: Activation functions by Keras's names, with Keras's defaults.
FUNCTIONS: dict[str, Callable[[], Rectifier | None]] = {
    "relu": lambda: _leaky(0.0),
    "relu6": lambda: _leaky(0.0, 6.0),
    "leaky_relu": lambda: _leaky(0.2),
    "hard_sigmoid": _hard_sigmoid,
    "sparse_sigmoid": _sparse_sigmoid,
    "hard_tanh": _hard_tanh,
}
