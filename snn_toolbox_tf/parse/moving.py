"""Operations that only move values: slices, splits, flips, repetitions, padding by zeros, and all kinds of reshaping."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.parse.place import Place

#: Operations of one tensor, by class name, that put out values of that tensor, or zeros.
MOVES = {
    "Reshape", "Transpose", "Squeeze", "ExpandDims", "Swapaxes", "Moveaxis", "Ravel", "GetItem", "Flip", "Roll",
    "Repeat", "Tile", "Pad", "Split", "ArraySplit", "Unstack", "Rot90", "Take", "DepthToSpace", "SpaceToDepth",
    "BroadcastTo",
}  # fmt: skip


def lower_moves(place: Place, function: Callable[[np.ndarray], Any]) -> list[str] | None:
    """Adds the nodes of an operation that moves values.

    What it does is seen from where it takes the numbers 1, 2, 3, ... to.

    Args:
        place: The call.
        function: The operation, of a float64 array `[batch, ...]`.

    Returns:
        Their names, one per output; None if the operation mixes samples, or puts out what is no value of its input.
    """
    source = place.source
    size = int(np.prod(source.shape))
    numbers = np.arange(1, size + 1, dtype=np.float64).reshape(1, *source.shape)
    # Two samples that differ: none of them may show up in the other.
    pair = np.concatenate([numbers, numbers + size])
    try:
        outputs = keras.tree.flatten(function(pair))
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):
        # Made for another number of samples, or for what another refused operation gives.
        return None
    names = []
    for output in outputs:
        array = np.asarray(keras.ops.convert_to_numpy(output))
        if len(array) != 2 or (array[0] > size).any() or not np.array_equal(array[1], _second(array[0], size)):
            return None
        unique = dataclasses.replace(place, name=place.graph.unique_name(place.name), origin=place.name)
        names.append(_select(unique, array[0].astype(np.int64)))
    return names


def _second(first: np.ndarray, size: int) -> np.ndarray:
    return np.where(first > 0, first + size, 0)


def _select(place: Place, indices: np.ndarray) -> str:
    source, sequence = place.source, place.sequence()
    channel_axis = source.channel_axis if indices.ndim == len(source.shape) else -1
    numbers = np.arange(1, int(np.prod(source.shape)) + 1).reshape(source.shape)
    if np.array_equal(indices.reshape(-1), numbers.reshape(-1)):
        return sequence.reshape(indices.shape, channel_axis).end()
    order = _order(numbers, indices)
    if order is not None:
        return sequence.permute(order).end()
    weights = {"indices": indices.reshape(-1)}
    config = {"target_shape": list(indices.shape)}
    return sequence.synapse("Select", config, indices.shape, weights, channel_axis).end()


def _order(numbers: np.ndarray, indices: np.ndarray) -> list[int] | None:
    """The order of axes that makes `indices` of `numbers`, or None."""
    if numbers.ndim != indices.ndim:
        return None
    for order in itertools.permutations(range(numbers.ndim)):
        if numbers.transpose(order).shape == indices.shape and np.array_equal(numbers.transpose(order), indices):
            return list(order)
    return None
