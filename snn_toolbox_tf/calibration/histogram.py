"""A streaming histogram of positive numbers with logarithmic bins, for percentiles in bounded memory.

The bin of a float32 is read off its bits: the exponent is its octave, the leading bits of the mantissa its place there. The
octaves below a channel's largest value, where thresholds lie, are divided finely, each further one half as finely as the
one above. As divisions are nested, counts (and so percentiles) do not depend on the order of the data.
"""

import dataclasses
import functools

import numpy as np

_OCTAVES = 16
_MANTISSA_BITS = 23


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the octaves below the largest value are divided into bins.

    Attributes:
        bins: Bins of an octave, a power of two.
        octaves: So many octaves have that number; each further one has half as many as the one above.
    """

    bins: int = 512
    octaves: int = _OCTAVES

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """Number of bins of each octave, the one of the largest value first."""
        halvings = np.maximum(np.arange(_OCTAVES) - self.octaves + 1, 0)
        return np.maximum(self.bins >> halvings, 1)

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """The first bin of each octave. Bins are numbered by rising value, so that the largest value's octave comes last."""
        return (np.cumsum(self.sizes[::-1]) - self.sizes[::-1])[::-1]

    @functools.cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """By octave (any that a float32 can have): its first bin, and by how much a mantissa is shifted to a place in it."""
        starts, shifts = np.zeros(256, np.int32), np.full(256, _MANTISSA_BITS, np.int32)
        starts[:_OCTAVES] = self.starts
        shifts[:_OCTAVES] = _MANTISSA_BITS - np.log2(self.sizes).astype(np.int32)
        return starts, shifts

    @functools.cached_property
    def total(self) -> int:
        """Number of bins."""
        return int(self.sizes.sum())

    def bin_of(self, octave: np.ndarray, mantissa: np.ndarray) -> np.ndarray:
        """Returns bins; what lies below the last octave goes into the lowest.

        Args:
            octave: Octaves below that of the largest value, 0 or more.
            mantissa: The bits behind the point.
        """
        starts, shifts = self._tables
        return starts[octave] + (mantissa >> shifts[octave])

    @functools.cached_property
    def edges(self) -> np.ndarray:
        """Lower edges of all bins, and the upper edge of the last, in units of the power of two of the last octave."""
        parts = [2.0**-octave * (1 + np.arange(size) / size) for octave, size in reversed(list(enumerate(self.sizes)))]
        return np.concatenate([*parts, [2.0]])

    def moved(self, shift: int) -> np.ndarray:
        """Returns the new bin of each bin when the largest value has moved up by so many octaves."""
        octave = np.repeat(np.arange(_OCTAVES)[::-1], self.sizes[::-1])
        place = np.arange(self.total) - self.starts[octave]
        return self.bin_of(np.minimum(octave + shift, 255), (place << _MANTISSA_BITS) // self.sizes[octave])


def layout_for(channels: int, memory: int) -> Layout:
    """Returns the finest layout with which so many channels take no more than so many bytes, if there is one."""
    layouts = [Layout(512, octaves) for octaves in (16, 8, 4, 2)]
    layouts += [Layout(bins, 2) for bins in (256, 128, 64, 32, 16)]
    fitting = [layout for layout in layouts if 4 * layout.total * channels <= memory]
    return fitting[0] if fitting else layouts[-1]


class PositiveHistogram:
    """Counts the positive values of several channels.

    Args:
        channels: Number of channels, each with a distribution of its own.
        layout: How finely values are told apart.

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

    def __init__(self, channels: int, layout: Layout | None = None) -> None:
        self.layout = layout or Layout()
        self.maximum = np.zeros(channels)
        self.total = np.zeros(channels, dtype=np.int64)
        self._counts = np.zeros((channels, self.layout.total), dtype=np.uint32)
        # The exponent of each channel's largest value.
        self._top = np.zeros(channels, dtype=np.int32)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.total)

    @property
    def nbytes(self) -> int:
        """Bytes that the histogram takes."""
        return self._counts.nbytes + self.maximum.nbytes + self.total.nbytes + self._top.nbytes

    def add(self, values: np.ndarray) -> None:
        """Adds values `[count, channels]`; what is not positive is passed over."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        if not values.size:
            return
        largest = np.maximum(values.max(axis=0), 0)
        self.maximum = np.maximum(self.maximum, largest)
        self._raise_top(largest.view(np.int32) >> _MANTISSA_BITS)
        keep = values > 0
        self.total += keep.sum(axis=0)
        channel = np.broadcast_to(np.arange(self.channels), values.shape)[keep]
        bits = values[keep].view(np.int32)
        octave = self._top[channel] - (bits >> _MANTISSA_BITS)
        place = self.layout.bin_of(octave, bits & (1 << _MANTISSA_BITS) - 1)
        counts = np.bincount(channel * self.layout.total + place, minlength=self._counts.size)
        self._counts += counts.reshape(self._counts.shape).astype(np.uint32)

    def _raise_top(self, exponents: np.ndarray) -> None:
        """Makes room for larger values."""
        self._counts, self._top = self._with_top(np.maximum(self._top, exponents))

    def _with_top(self, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the counts as they are if the largest values have these exponents."""
        shifts = np.where(self._top > 0, top - self._top, 0)
        counts = self._counts
        for shift in np.unique(shifts[shifts > 0]):
            counts = counts.copy() if counts is self._counts else counts
            rows = np.flatnonzero(shifts == shift)
            moved = np.zeros((self.layout.total, len(rows)), np.uint32)
            np.add.at(moved, self.layout.moved(int(shift)), counts[rows].T)
            counts[rows] = moved.T
        return counts, top

    def merged(self) -> "PositiveHistogram":
        """Returns the histogram of all channels together, as one channel."""
        result = PositiveHistogram(1, self.layout)
        result.maximum = self.maximum.max(keepdims=True)
        result.total = self.total.sum(keepdims=True)
        result._top = self._top.max(keepdims=True)
        counts, _ = self._with_top(np.broadcast_to(result._top, self._top.shape))
        result._counts = counts.sum(axis=0, keepdims=True, dtype=np.int64)
        return result

    @property
    def counts(self) -> np.ndarray:
        """How many positive values each bin holds, `[channels, bins]`; values rise with the bins."""
        return self._counts

    @property
    def values(self) -> np.ndarray:
        """The middle of each bin, float64 `[channels, bins]`; the largest value of a channel is exact."""
        unit = np.exp2(self._top - 127.0)[:, np.newaxis]
        edges = self.layout.edges * unit
        return np.minimum((edges[:, :-1] + edges[:, 1:]) / 2, self.maximum[:, np.newaxis])

    def percentile(self, percentile: float) -> np.ndarray:
        """Returns the percentile of the positive values, per channel; 0 where there are none.

        As NumPy does, it interpolates between the two nearest order statistics. Each is known to half the width of its bin,
        the largest exactly.
        """
        last = np.maximum(self.total - 1, 0)
        position = np.clip(percentile / 100.0, 0.0, 1.0) * last
        below, above = np.floor(position), np.ceil(position)
        cumulative = np.cumsum(self._counts, axis=1, dtype=np.int64)
        low, high = (self._order_statistic(rank.astype(np.int64), cumulative) for rank in (below, above))
        return np.where(self.total > 0, low + (position - below) * (high - low), 0.0)

    def _order_statistic(self, rank: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
        """The value of a rank (0 is the smallest) per channel; inside a bin values are taken as spread evenly."""
        index = np.minimum((cumulative <= rank[:, np.newaxis]).sum(axis=1), self.layout.total - 1)
        rows = np.arange(len(index))
        inside = np.maximum(self._counts[rows, index].astype(np.int64), 1)
        before = cumulative[rows, index] - inside
        unit = np.exp2(self._top - 127.0)
        lower = self.layout.edges[index] * unit
        upper = np.minimum(self.layout.edges[index + 1] * unit, np.maximum(self.maximum, lower))
        value = lower + (rank - before + 0.5) / inside * (upper - lower)
        return np.where(rank == self.total - 1, self.maximum, np.minimum(value, self.maximum))
