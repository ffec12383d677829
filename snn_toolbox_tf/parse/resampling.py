"""Interpolation and adaptive averaging as one matrix per axis."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.parse.place import Place

_CHUNK = 32


def lower_resampling(place: Place, function: Callable[[np.ndarray], Any], *, channels_first: bool) -> str | None:
    """Adds the nodes of a resampling; returns None if it does not treat all axes, or all of the image, alike.

    Args:
        place: The call.
        function: The resampling of a channels-last array `[batch, *spatial, 1]`.
        channels_first: Whether channels come first in the source.
    """
    rank = len(place.shape)
    sequence = place.sequence()
    if channels_first:
        sequence.permute([*range(1, rank), 0])
    sizes = sequence.node.shape[:-1]
    matrices = resampling_matrices(function, sizes)
    if matrices is None:
        return None
    weights = {f"matrix_{axis}": matrix for axis, matrix in enumerate(matrices)}
    out = [len(matrix) for matrix in matrices]
    sequence.synapse("Resample", {"sizes": out}, (*out, sequence.node.shape[-1]), weights)
    if channels_first:
        sequence.permute([rank - 1, *range(rank - 1)])
    return sequence.end()


def resampling_matrices(function: Callable[[np.ndarray], Any], sizes: Sequence[int]) -> list[np.ndarray] | None:
    """Returns a matrix `[outputs, inputs]` per axis of what `function` does, or None if that is not what it does.

    A function that keeps constant images constant, and treats each axis alone, shows the matrix of an axis where the
    image is constant along all others.
    """
    matrices = []
    for axis, size in enumerate(sizes):
        columns = []
        for start in range(0, size, _CHUNK):
            shape = [1] * (len(sizes) + 2)
            places = np.arange(start, min(start + _CHUNK, size))
            shape[0], shape[axis + 1] = len(places), size
            impulses = np.zeros((len(places), size), np.float32)
            impulses[np.arange(len(places)), places] = 1.0
            images = np.broadcast_to(impulses.reshape(shape), (len(places), *sizes, 1))
            result = _called(function, images)
            columns.append(np.moveaxis(result, axis + 1, 1).reshape(len(places), result.shape[axis + 1], -1)[..., 0])
        matrices.append(np.concatenate(columns).T)
    probe = np.random.default_rng(0).normal(size=(1, *sizes, 1)).astype(np.float32)
    result = probe.astype(np.float64)
    for axis, matrix in enumerate(matrices):
        result = np.moveaxis(np.tensordot(matrix, result, (1, axis + 1)), 0, axis + 1)
    expected = _called(function, probe)
    return matrices if np.allclose(result, expected, atol=1e-4) else None


def _called(function: Callable[[np.ndarray], Any], images: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(function(images)), np.float64)
