"""A streaming histogram of positive numbers with logarithmic bins, for percentiles in bounded memory.

The bin of a float32 is read off its bits: the exponent and the leading bits of the mantissa. Counts do not depend on the
order of the data, so neither does a percentile. The table spans a fixed number of octaves below the largest value seen;
smaller values fall into its lowest bin, where no percentile of interest lies.
"""

import numpy as np

_MANTISSA_BITS = 9
_BINS_PER_OCTAVE = 1 << _MANTISSA_BITS
_OCTAVES = 16
_BINS = _OCTAVES * _BINS_PER_OCTAVE
_SHIFT = 23 - _MANTISSA_BITS


class PositiveHistogram:
    """Counts the positive values of several channels.

    Args:
        channels: Number of channels, each with a distribution of its own.

    Attributes:
        maximum: Largest value seen per channel, exact; 0 where none was positive.
        total: Number of positive values seen per channel.

    Example:
        >>> import numpy as np
        >>> from snn_toolbox_tf.calibration.histogram import PositiveHistogram
        >>> histogram = PositiveHistogram(channels=1)
        >>> histogram.add(np.linspace(0, 1, 1001)[:, None])
        >>> round(float(histogram.percentile(90)[0]), 2)
        0.9
    """

    def __init__(self, channels: int) -> None:
        self.maximum = np.zeros(channels)
        self.total = np.zeros(channels, dtype=np.int64)
        self._counts = np.zeros((channels, _BINS), dtype=np.uint32)
        self._lowest = 0

    def add(self, values: np.ndarray) -> None:
        """Adds values `[count, channels]`; what is not positive is passed over."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        if not values.size:
            return
        self.maximum = np.maximum(self.maximum, values.max(axis=0))
        keep = values > 0
        channel = np.broadcast_to(np.arange(values.shape[1]), values.shape)[keep]
        bins = (values[keep].view(np.uint32) >> _SHIFT).astype(np.int64)
        if not bins.size:
            return
        self._make_room(int(bins.max()))
        bins = np.maximum(bins - self._lowest, 0)
        counts = np.bincount(channel * _BINS + bins, minlength=self._counts.size)
        self._counts += counts.reshape(self._counts.shape).astype(np.uint32)
        self.total += keep.sum(axis=0)

    def merged(self) -> "PositiveHistogram":
        """Returns the histogram of all channels together, as one channel."""
        result = PositiveHistogram(1)
        result.maximum = self.maximum.max(keepdims=True)
        result.total = self.total.sum(keepdims=True)
        result._counts = self._counts.sum(axis=0, keepdims=True, dtype=np.int64)
        result._lowest = self._lowest
        return result

    def percentile(self, percentile: float) -> np.ndarray:
        """Returns the percentile of the positive values, per channel; 0 where there are none.

        As NumPy does, it interpolates between the two nearest order statistics. Each is known to half the width of its bin
        (0.1 %), the largest exactly.
        """
        last = np.maximum(self.total - 1, 0)
        position = np.clip(percentile / 100.0, 0.0, 1.0) * last
        below, above = np.floor(position), np.ceil(position)
        cumulative = np.cumsum(self._counts, axis=1, dtype=np.int64)
        low, high = (self._order_statistic(rank.astype(np.int64), cumulative) for rank in (below, above))
        return np.where(self.total > 0, low + (position - below) * (high - low), 0.0)

    def _order_statistic(self, rank: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
        """The value of a rank (0 is the smallest) per channel; inside a bin values are taken as spread evenly."""
        index = np.minimum((cumulative <= rank[:, np.newaxis]).sum(axis=1), _BINS - 1)
        rows = np.arange(len(index))
        inside = np.maximum(self._counts[rows, index].astype(np.int64), 1)
        before = cumulative[rows, index] - inside
        lower, upper = self._edge(index), np.minimum(self._edge(index + 1), np.maximum(self.maximum, self._edge(index)))
        value = lower + (rank - before + 0.5) / inside * (upper - lower)
        return np.where(rank == self.total - 1, self.maximum, np.minimum(value, self.maximum))

    def _edge(self, index: np.ndarray) -> np.ndarray:
        bits = (index + self._lowest).astype(np.uint32) << np.uint32(_SHIFT)
        return bits.view(np.float32).astype(np.float64)

    def _make_room(self, highest: int) -> None:
        """Moves the table up if a value lies above it; what leaves at the bottom joins the lowest bin."""
        # The table ends with a whole octave, so that its place depends on the largest value only.
        lowest = (highest // _BINS_PER_OCTAVE + 1) * _BINS_PER_OCTAVE - _BINS
        shift = lowest - self._lowest
        if shift <= 0:
            return
        self._lowest = lowest
        counts = np.zeros_like(self._counts)
        if shift < _BINS:
            counts[:, : _BINS - shift] = self._counts[:, shift:]
        counts[:, 0] += self._counts[:, :shift].sum(axis=1, dtype=counts.dtype)
        self._counts = counts
