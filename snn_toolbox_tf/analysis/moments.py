"""Sums from which the correlation of two arrays follows, batch by batch."""

import numpy as np


class Moments:
    """First and second moments of pairs of values.

    Attributes:
        count: Number of pairs.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums = np.zeros(5)

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Adds arrays of one shape, float64."""
        a, b = first.reshape(-1), second.reshape(-1)
        self.count += a.size
        self._sums += a.sum(), b.sum(), a @ a, b @ b, a @ b

    @property
    def correlation(self) -> float:
        """Pearson's correlation; NaN if one of both is constant."""
        a, b, aa, bb, ab = self._sums
        n = self.count
        spread = np.sqrt(max(n * aa - a**2, 0.0) * max(n * bb - b**2, 0.0))
        return float((n * ab - a * b) / spread) if spread > 0 else float("nan")
