"""Errors over seeds, kept as products: bias, variance and their slopes follow from sums of products of the seeds' errors."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.studies.slopes import Slope, jackknife_slope

_SMALLEST_POWER = 1e-30


@dataclasses.dataclass(frozen=True)
class ErrorParts:
    """The parts of an expected squared error, relative to the mean square of what the source gives.

    Attributes:
        squared_bias: What the mean over seeds is off by, squared, one value per number of timesteps. It is estimated without
            the part that is due to few seeds, so that noise can make it fall a little below 0.
        variance: The variance over seeds, likewise.
        bias_slope: The exponent of T with which the squared bias changes, with its interval of 95 % confidence; NaN where a
            bias is not above 0, or there is one T alone, without an interval for two seeds.
        variance_slope: The same of the variance; -1 for independent spikes.
    """

    squared_bias: tuple[float, ...]
    variance: tuple[float, ...]
    bias_slope: Slope
    variance_slope: Slope


@dataclasses.dataclass
class SeedProducts:
    """Sums over samples and elements, for one number of timesteps: products of the errors of each two seeds.

    Attributes:
        errors: By name, `[seeds, seeds]`.
        power: By name, the sum of squares of what the source gives.
    """

    errors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    power: dict[str, float] = dataclasses.field(default_factory=dict)

    def add(self, name: str, errors: Sequence[np.ndarray], source: np.ndarray) -> None:
        """Adds some samples.

        Args:
            name: What they are errors of.
            errors: By seed, arrays of one shape.
            source: What the source gives.
        """
        flat = np.stack([error.reshape(-1).astype(np.float64) for error in errors])
        self.errors[name] = self.errors.get(name, 0.0) + flat @ flat.T
        self.power[name] = self.power.get(name, 0.0) + float(np.square(source, dtype=np.float64).sum())

    def as_dict(self) -> dict[str, Any]:
        """Returns plain data."""
        return {"errors": {name: products.tolist() for name, products in self.errors.items()}, "power": self.power}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SeedProducts":
        """Returns what `as_dict` wrote down."""
        return cls({name: np.array(products) for name, products in data["errors"].items()}, dict(data["power"]))


def parts_over_time(timesteps: Sequence[int], products: Sequence[SeedProducts]) -> dict[str, ErrorParts]:
    """Returns the parts of each error.

    Args:
        timesteps: The numbers of timesteps.
        products: Of each of them.
    """
    found = {}
    for name in products[0].errors:
        matrices = np.stack([one.errors[name] / max(one.power[name], _SMALLEST_POWER) for one in products])
        bias, variance = _split(matrices)
        seeds = range(matrices.shape[1])
        without = [_split(np.delete(np.delete(matrices, seed, 1), seed, 2)) for seed in seeds] if len(seeds) > 2 else []
        slopes = [
            jackknife_slope(timesteps, whole, np.array([parts[place] for parts in without]))
            for place, whole in enumerate((bias, variance))
        ]
        found[name] = ErrorParts(tuple(bias.tolist()), tuple(variance.tolist()), *slopes)
    return found


def _split(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns squared bias and variance for products `[timesteps, seeds, seeds]`."""
    count = products.shape[1]
    square_of_mean = products.sum(axis=(1, 2)) / count**2
    variance = (np.trace(products, axis1=1, axis2=2) - count * square_of_mean) / (count - 1)
    return square_of_mean - variance / count, variance
