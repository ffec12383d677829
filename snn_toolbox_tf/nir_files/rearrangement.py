"""Rearrangements that a convolution can do, with kernels of zeros and ones: crops, strides, channels in another order."""

import dataclasses

import numpy as np

from snn_toolbox_tf.nir_files.terms import Indices


@dataclasses.dataclass(frozen=True)
class Rearrangement:
    """Output `[c, p, q]` is input `[channels[c], strides[0] p + offsets[0], strides[1] q + offsets[1]]`, or zero outside.

    Attributes:
        channels: Input channel of each output channel; -1 where it holds zeros only.
        strides: Along each spatial axis.
        offsets: Likewise.
    """

    channels: np.ndarray
    strides: tuple[int, ...]
    offsets: tuple[int, ...]

    @property
    def keeps_channels(self) -> bool:
        """Whether channels stay as they are, and strides are 1."""
        return np.array_equal(self.channels, np.arange(self.channels.size)) and set(self.strides) == {1}


def rearrangement(indices: Indices, shape: tuple[int, ...]) -> Rearrangement | None:
    """Returns what a convolution has to do for a rearrangement, or None if no convolution can.

    Args:
        indices: `[channels, *spatial]`, see `Term`.
        shape: `(channels, *spatial)` of the source.
    """
    if indices.ndim != len(shape) or indices.ndim < 2:
        return None
    used = indices > 0
    if not used.any():
        return Rearrangement(np.full(len(indices), -1), (1,) * (indices.ndim - 1), (0,) * (indices.ndim - 1))
    places = np.unravel_index(np.maximum(indices - 1, 0), shape)
    channels = _along(places[0], used, 0)
    channels = np.where(channels < 0, -1, channels)
    lines = [_line(_along(place, used, axis)) for axis, place in enumerate(places[1:], start=1)]
    found = Rearrangement(channels, tuple(line[0] for line in lines), tuple(line[1] for line in lines))
    return found if np.array_equal(_indices(found, indices.shape, shape), indices) else None


def _along(values: np.ndarray, used: np.ndarray, axis: int) -> np.ndarray:
    """Returns a value per place of one axis: the largest that is used there, -1 where none is."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    return np.where(used, values, -1).max(axis=others)


def _line(values: np.ndarray) -> tuple[int, int]:
    """Returns stride and offset of a line through the values that are not -1."""
    places = np.flatnonzero(values >= 0)
    if len(places) == 1:
        return 1, int(values[places[0]] - places[0])
    rise, run = int(values[places[-1]] - values[places[0]]), int(places[-1] - places[0])
    stride = max(rise // run, 1)
    return stride, int(values[places[0]] - stride * places[0])


def _indices(found: Rearrangement, target: tuple[int, ...], shape: tuple[int, ...]) -> Indices:
    """Returns the indices that a rearrangement has."""
    sources = [found.channels]
    for size, stride, offset in zip(target[1:], found.strides, found.offsets, strict=True):
        sources.append(stride * np.arange(size) + offset)
    grids = np.meshgrid(*sources, indexing="ij")
    inside = np.logical_and.reduce([(grid >= 0) & (grid < size) for grid, size in zip(grids, shape, strict=True)])
    clipped = [np.clip(grid, 0, size - 1) for grid, size in zip(grids, shape, strict=True)]
    return np.where(inside, np.ravel_multi_index(clipped, shape) + 1, 0)
