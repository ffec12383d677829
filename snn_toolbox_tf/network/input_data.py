"""What users may pass as input data, checked, as batches of float32 arrays per input."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, InputNode
from snn_toolbox_tf.network.network import inputs_of

Batch = dict[str, np.ndarray]
_CHECK_CHUNK = 1024
_LARGEST = np.finfo(np.float32).max


class InputData:
    """Input data, checked as far as it can be before it is read.

    Args:
        data: Array-likes with the samples along the first axis, in the structure of the source's inputs; or a stream of
            batches of them: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator or another iterable. A batch that
            is a tuple is taken as `(inputs, targets, ...)`, as Keras does.
        graph: The network's graph; its inputs say what is expected.
        argument: Name of the user's argument, for error messages.
        frames: Whether each sample is a sequence of frames, `[samples, timesteps, ...]`.
        merge_frames: Whether sequences of frames may be given where single ones are expected; each frame is then a sample.

    Attributes:
        count: Number of samples; None for a stream.
        frames: Number of frames per sample; None for a stream and for data without frames.

    Raises:
        TypeError: If the data is not numeric.
        ValueError: If there is no data, or its structure, shape or number of samples is wrong, or a value is NaN or
            infinite. Streams are checked as they come.
    """

    def __init__(
        self, data: Any, graph: Graph, *, argument: str, frames: bool = False, merge_frames: bool = False
    ) -> None:
        self._graph, self._argument = graph, argument
        self._with_frames, self._merge_frames = frames, merge_frames
        self.count: int | None = None
        self.frames: int | None = None
        self._stream = data if is_stream(data) else None
        if self._stream is None:
            self._arrays = self._checked(data)
            first = next(iter(self._arrays.values()))
            self.count = len(first)
            self.frames = min(array.shape[1] for array in self._arrays.values()) if frames else None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yields float32 arrays by input name, of at most `batch_size` samples; the last batch may be smaller."""
        if self._stream is None:
            yield from in_batches(self._arrays, batch_size)
            return
        empty = True
        for element in _elements(self._stream):
            inputs = element[0] if isinstance(element, tuple) else element
            yield from in_batches(self._checked(inputs), batch_size)
            empty = False
        if empty:
            raise ValueError(f"`{self._argument}` is empty: it yielded no batch. A generator can be used only once.")

    def _checked(self, data: Any) -> Batch:
        return as_arrays(
            data, self._graph, argument=self._argument, frames=self._with_frames, merge_frames=self._merge_frames
        )


def as_arrays(data: Any, graph: Graph, *, argument: str, frames: bool = False, merge_frames: bool = False) -> Batch:
    """Checks data that is an array, or one array per input; see `InputData`.

    Returns:
        One array per input name, in its own dtype.
    """
    inputs = inputs_of(graph)
    if data is None:
        raise ValueError(f"`{argument}` is None; expected {_describe(inputs, frames)}.")
    parts = by_input_name(data, graph, argument)
    arrays = {node.name: _as_array(parts[node.name], node, argument) for node in inputs}
    for node in inputs:
        array = arrays[node.name]
        if merge_frames and array.ndim == len(node.shape) + 2 and array.shape[2:] == node.shape:
            arrays[node.name] = array.reshape(-1, *node.shape)
        _check_shape(arrays[node.name], node, argument, frames)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"`{argument}` has another number of samples in each input. Received: {counts}")
    if 0 in counts.values():
        raise ValueError(f"`{argument}` is empty: it has 0 samples. Expected {_describe(inputs, frames)}.")
    for name, array in arrays.items():
        _check_finite(array, name, argument)
    return arrays


def in_structure(arrays: dict[str, Any], graph: Graph) -> Any:
    """Returns arrays by input name in the structure of the source's inputs: the other way round than `by_input_name`."""
    return keras.tree.map_structure(lambda name: arrays[name], graph.input_structure)


def by_input_name(data: Any, graph: Graph, argument: str) -> dict[str, Any]:
    """Returns the parts of `data`, which has the structure of the source's inputs, by input name.

    A dict may stand in for a list of inputs, with the inputs' names as keys.
    """
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
        return {structure[key]: data[key] for key in structure}
    if len(names) == 1:
        wrapped = isinstance(data, (list, tuple)) and len(data) == 1 and len(getattr(data[0], "shape", ())) > 1
        return {names[0]: data[0] if wrapped else data}
    if not isinstance(data, (list, tuple)) or len(data) != len(names):
        received = f"{len(data)} entries" if isinstance(data, (list, tuple)) else type(data).__name__
        raise ValueError(
            f"`{argument}` must have one array per input: a list of {len(names)} arrays or a dict with the keys "
            f"{names}. Received: {received}"
        )
    return dict(zip(names, data, strict=True))


def check_static_shapes(tensors: dict[str, Any], graph: Graph, *, frames: bool) -> None:
    """Raises if tensors whose shapes are known do not fit the inputs; the batch axis may be of unknown size."""
    for node in inputs_of(graph):
        shape = getattr(tensors[node.name], "shape", None)
        if shape is None:
            continue
        if getattr(shape, "rank", 0) is None:
            raise ValueError(
                f"Input '{node.name}' has no known number of axes. Expected {_describe([node], frames)}. Of a dataset, "
                "batch it (`.batch(n)`) and say its shape (`tf.ensure_shape`)."
            )
        expected = (None, *([None] if frames else []), *node.shape)
        sizes = tuple(shape)
        fits = len(sizes) == len(expected) and all(
            None in (size, wanted) or size == wanted for size, wanted in zip(sizes, expected, strict=True)
        )
        if not fits:
            raise ValueError(
                f"Input '{node.name}' has the wrong shape. Expected {_describe([node], frames)}. Received shape: {sizes}"
            )


def _elements(stream: Any) -> Iterator[Any]:
    if isinstance(stream, keras.utils.PyDataset):
        return (stream[index] for index in range(len(stream)))
    return iter(stream)


def is_stream(data: Any) -> bool:
    """Whether data comes batch by batch."""
    if isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)):
        return True
    is_array = isinstance(data, (str, bytes, list, tuple, dict)) or hasattr(data, "__array__")
    return isinstance(data, Iterable) and not is_array


def in_batches(arrays: Batch, batch_size: int) -> Iterator[Batch]:
    """Yields float32 arrays of at most `batch_size` samples; the last batch may be smaller."""
    count = len(next(iter(arrays.values())))
    for start in range(0, count, batch_size):
        yield {name: np.asarray(array[start : start + batch_size], dtype=np.float32) for name, array in arrays.items()}


def _as_array(part: Any, node: InputNode, argument: str) -> np.ndarray:
    if isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part):
        raise ValueError(
            f"`{argument}` for input '{node.name}' is masked in places. Expected values everywhere: `x.filled(value)`."
        )
    try:
        array = np.asarray(part)
    except ValueError as error:
        hint = " Labels do not belong here: pass the inputs only." if isinstance(part, tuple) else ""
        raise ValueError(f"`{argument}` for input '{node.name}' is not a rectangular array: {error}.{hint}") from error
    if array.dtype.kind not in "fiub":
        if array.dtype.name in ("bfloat16",):
            return array.astype(np.float32)
        raise TypeError(
            f"`{argument}` for input '{node.name}' must hold real numbers (float, int or bool). "
            f"Received dtype: {array.dtype}"
        )
    return array


def _check_shape(array: np.ndarray, node: InputNode, argument: str, frames: bool) -> None:
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
        large = np.abs(chunk) > _LARGEST
        if large.any():
            sample = start + int(np.argwhere(large)[0][0])
            raise ValueError(
                f"`{argument}` holds values beyond float32's range for input '{name}', first in sample {sample}: up to "
                f"{np.abs(chunk).max():.3g}. Expected values scaled as the model expects them."
            )


def _describe(inputs: list[InputNode], frames: bool) -> str:
    axes = "samples, timesteps" if frames else "samples"
    parts = [f"an array [{axes}, {', '.join(map(str, node.shape))}]" for node in inputs]
    return parts[0] if len(parts) == 1 else "one array per input: " + "; ".join(parts)
