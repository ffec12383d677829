"""What users may pass as input data, checked, as batches of float32 arrays per input."""

import numbers
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, Input
from snn_toolbox_tf.network import inputs_of

Batch = dict[str, np.ndarray]
_CHECK_CHUNK = 1024


def sample_count(data: Any, graph: Graph) -> int | None:
    """Returns the number of samples if it is known beforehand, else None."""
    if is_stream(data):
        return None
    return len(keras.tree.flatten(data)[0])


def as_arrays(data: Any, graph: Graph, *, argument: str, frames: bool = False) -> Batch:
    """Checks data that is an array (or one array per input, in the structure of the source's inputs).

    Args:
        data: Array-likes with the samples along the first axis.
        graph: The network's graph; its inputs say what is expected.
        argument: Name of the user's argument, for error messages.
        frames: Whether each sample is a sequence of frames, `[samples, timesteps, ...]`.

    Returns:
        One array per input name, in its own dtype.

    Raises:
        TypeError: If the data is not numeric.
        ValueError: If there is no data, or its structure, shape or number of samples is wrong, or a value is NaN or
            infinite.
    """
    inputs = inputs_of(graph)
    if data is None:
        raise ValueError(f"`{argument}` is None; expected {_describe(inputs, frames)}.")
    parts = _flatten_like(data, graph, argument)
    arrays = {node.name: _as_array(part, node, argument) for part, node in zip(parts, inputs, strict=True)}
    for node in inputs:
        _check_shape(arrays[node.name], node, argument, frames)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"`{argument}` has another number of samples in each input. Received: {counts}")
    if 0 in counts.values():
        raise ValueError(f"`{argument}` is empty: it has 0 samples. Expected {_describe(inputs, frames)}.")
    for name, array in arrays.items():
        _check_finite(array, name, argument)
    return arrays


def batches(data: Any, graph: Graph, batch_size: int, *, argument: str, frames: bool = False) -> Iterator[Batch]:
    """Yields checked float32 batches of at most `batch_size` samples; the last one may be smaller.

    Args:
        data: Arrays as for `as_arrays`, or a stream of batches: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            generator or another iterable that is not a sequence of numbers. A batch that is a tuple is taken as
            `(inputs, targets, ...)`, as Keras does.
        graph: The network's graph.
        batch_size: Largest number of samples in a yielded batch.
        argument: Name of the user's argument, for error messages.
        frames: Whether each sample is a sequence of frames.

    Yields:
        One float32 array per input name.

    Raises:
        TypeError, ValueError: As `as_arrays`; arrays are checked as a whole before the first batch.
    """
    if is_stream(data):
        yield from _stream_batches(data, graph, batch_size, argument, frames)
        return
    arrays = as_arrays(data, graph, argument=argument, frames=frames)
    yield from _split(arrays, batch_size)


def check(data: Any, graph: Graph, *, argument: str, frames: bool = False) -> None:
    """Raises now what `batches` would raise for arrays; streams can only be checked as they come."""
    if not is_stream(data):
        as_arrays(data, graph, argument=argument, frames=frames)


def _split(arrays: Batch, batch_size: int) -> Iterator[Batch]:
    count = len(next(iter(arrays.values())))
    for start in range(0, count, batch_size):
        yield {name: np.asarray(array[start : start + batch_size], dtype=np.float32) for name, array in arrays.items()}


def is_stream(data: Any) -> bool:
    """Whether data comes as a stream of batches, and not as arrays."""
    if isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)):
        return True
    return (
        isinstance(data, Iterable)
        and not isinstance(data, (str, bytes, list, tuple, dict))
        and not hasattr(data, "__array__")
    )


def _stream_batches(data: Any, graph: Graph, batch_size: int, argument: str, frames: bool) -> Iterator[Batch]:
    source = (data[index] for index in range(len(data))) if isinstance(data, keras.utils.PyDataset) else iter(data)
    empty = True
    for element in source:
        inputs = element[0] if isinstance(element, tuple) else element
        yield from _split(as_arrays(inputs, graph, argument=argument, frames=frames), batch_size)
        empty = False
    if empty:
        raise ValueError(f"`{argument}` is empty: it yielded no batch. A generator can be used only once.")


def _flatten_like(data: Any, graph: Graph, argument: str) -> list[Any]:
    """Returns the parts of `data` in the order of the inputs."""
    structure = graph.input_structure
    names = keras.tree.flatten(structure)
    if isinstance(data, dict):
        if not isinstance(structure, dict):
            structure = {name: name for name in names}
        if set(data) != set(structure):
            raise ValueError(
                f"`{argument}` must have one array per input. Expected the keys {sorted(structure)}. "
                f"Received: {sorted(data)}"
            )
        by_name = {structure[key]: data[key] for key in structure}
        return [by_name[name] for name in names]
    if len(names) == 1:
        wrapped = isinstance(data, (list, tuple)) and len(data) == 1 and hasattr(data[0], "__array__")
        return [data[0]] if wrapped and np.ndim(data[0]) > 1 else [data]
    if not isinstance(data, (list, tuple)) or len(data) != len(names):
        received = f"{len(data)} entries" if isinstance(data, (list, tuple)) else type(data).__name__
        raise ValueError(
            f"`{argument}` must have one array per input: a list of {len(names)} arrays or a dict with the keys "
            f"{names}. Received: {received}"
        )
    return list(data)


def _as_array(part: Any, node: Input, argument: str) -> np.ndarray:
    try:
        array = np.asarray(part)
    except ValueError as error:
        raise ValueError(f"`{argument}` for input '{node.name}' is not a rectangular array: {error}") from error
    if array.dtype.kind not in "fiub":
        if array.dtype.name in ("bfloat16",):
            return array.astype(np.float32)
        raise TypeError(
            f"`{argument}` for input '{node.name}' must hold real numbers (float, int or bool). "
            f"Received dtype: {array.dtype}"
        )
    return array


def _check_shape(array: np.ndarray, node: Input, argument: str, frames: bool) -> None:
    shape = array.shape[2:] if frames else array.shape[1:]
    if array.ndim == len(node.shape) + 1 + frames and shape == node.shape:
        return
    hint = ""
    if not frames and array.shape == node.shape:
        hint = " Is the batch axis missing? Use `x[None]` for one sample, `.batch(n)` for a dataset."
    elif not frames and array.ndim == len(node.shape) + 2 and array.shape[2:] == node.shape:
        hint = " Data with a time axis needs `input='frames'`."
    elif array.ndim == len(node.shape) and array.ndim > 1 and (*array.shape[1:], 1) == node.shape:
        hint = " Is the channel axis missing? Use `x[..., None]`."
    raise ValueError(
        f"`{argument}` has the wrong shape for input '{node.name}'. Expected {_describe([node], frames)}. "
        f"Received shape: {array.shape}.{hint}"
    )


def _check_finite(array: np.ndarray, name: str, argument: str) -> None:
    if array.dtype.kind != "f":
        return
    for start in range(0, len(array), _CHECK_CHUNK):
        chunk = array[start : start + _CHECK_CHUNK]
        if not np.isfinite(chunk).all():
            sample = start + int(np.argwhere(~np.isfinite(chunk))[0][0])
            raise ValueError(
                f"`{argument}` holds NaN or infinite values for input '{name}', first in sample {sample}. "
                "Expected finite numbers: remove or repair these samples."
            )


def _describe(inputs: list[Input], frames: bool) -> str:
    axes = "samples, timesteps" if frames else "samples"
    parts = [f"an array [{axes}, {', '.join(map(str, node.shape))}]" for node in inputs]
    return parts[0] if len(parts) == 1 else "one array per input: " + "; ".join(parts)


def check_positive_integer(value: Any, name: str) -> int:
    """Returns `value` as an int, or raises an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"Expected `{name}` to be a positive integer. Received: {name}={value!r}")
    return int(value)
