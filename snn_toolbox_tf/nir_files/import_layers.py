"""What becomes of each layer of a NIR file."""

from collections.abc import Callable
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Node, Synapse
from snn_toolbox_tf.nir_files.graph_builder import CannotImportError, GraphBuilder

_CHECK = "Check the shapes with which the file was written"


class LayerImporter:
    """Adds layers to a graph.

    Args:
        builder: The graph.
    """

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self._kinds: dict[str, Callable[[str, Any, str, dict[str, Any]], str]] = {
            "Affine": self._linear,
            "Linear": self._linear,
            "Conv1d": self._convolution,
            "Conv2d": self._convolution,
            "AvgPool2d": self._pool,
            "SumPool2d": self._pool,
            "Flatten": self._flatten,
            "Scale": self._scale,
        }

    def knows(self, node: Any) -> bool:
        """Whether a NIR node is a layer."""
        return type(node).__name__ in self._kinds

    def add(self, name: str, node: Any, source: str, notes: dict[str, Any]) -> str:
        """Adds a layer; returns the name of its last node.

        Args:
            name: What it shall be called.
            node: The NIR node.
            source: The node that it reads.
            notes: Its metadata, if this package wrote it.

        Raises:
            CannotImportError: If no synapse does the same, or it does not fit what it reads.
        """
        return self._kinds[type(node).__name__](name, node, source, notes)

    def _linear(self, name: str, node: Any, source: str, notes: dict[str, Any]) -> str:
        weight, shape = np.asarray(node.weight), self._builder.nir_shape(source)
        if weight.ndim != 2 or shape != weight.shape[1:]:
            raise CannotImportError(
                f"its weights {weight.shape} want a vector of {weight.shape[-1]} values, and it reads {shape}", _CHECK
            )
        weights = {"kernel": weight.T}
        if (bias := getattr(node, "bias", None)) is not None:
            weights["bias"] = _bias(bias, len(weight))
        sequence = self._builder.sequence(name, source)
        config = {"units": len(weight), "use_bias": "bias" in weights}
        sequence.synapse("Dense", config, (len(weight),), weights)
        _take_notes(sequence.node, notes)
        return sequence.end()

    def _convolution(self, name: str, node: Any, source: str, notes: dict[str, Any]) -> str:
        weight, shape = np.asarray(node.weight), self._builder.nir_shape(source)
        dimensions, groups = int(type(node).__name__[4]), int(np.ravel(node.groups)[0])
        if weight.ndim != dimensions + 2 or len(shape) != dimensions + 1 or shape[0] != weight.shape[1] * groups:
            raise CannotImportError(
                f"its weights {weight.shape} in {groups} groups want {weight.shape[1] * groups} channels of {dimensions}-d "
                f"data, and it reads {shape}",
                _CHECK,
            )
        strides, dilations = _numbers(node.stride, dimensions), _numbers(node.dilation, dimensions)
        reach = [dilation * (taps - 1) + 1 for dilation, taps in zip(dilations, weight.shape[2:], strict=True)]
        padding = _padding(node.padding, reach, strides)
        sequence = self._builder.sequence(name, source)
        # A 'same' of Keras has as many zeros on both sides where strides are 1 and windows odd.
        is_same = set(strides) == {1} and all(2 * zeros == size - 1 for zeros, size in zip(padding, reach, strict=True))
        sizes = _outputs(shape[1:], reach, strides, padding)
        if not is_same:
            self._pad(sequence, shape, padding)
        config = {
            "filters": len(weight),
            "kernel_size": list(weight.shape[2:]),
            "strides": strides,
            "padding": "same" if is_same else "valid",
            "dilation_rate": dilations,
            "groups": groups,
            "use_bias": True,
            "data_format": self._builder.data_format,
        }
        weights = {"kernel": np.moveaxis(weight, (0, 1), (-1, -2)), "bias": _bias(node.bias, len(weight))}
        self._layer(sequence, f"Conv{dimensions}D", config, (len(weight), *sizes), weights)
        _take_notes(sequence.node, notes)
        return sequence.end()

    def _pool(self, name: str, node: Any, source: str, notes: dict[str, Any]) -> str:
        shape = self._builder.nir_shape(source)
        if len(shape) != 3:
            raise CannotImportError(f"it pools images, and reads {shape}", _CHECK)
        size, strides, padding = (_numbers(value, 2) for value in (node.kernel_size, node.stride, node.padding))
        if type(node).__name__ == "SumPool2d" and len(set(strides)) > 1:
            raise CannotImportError(f"it has strides {strides}, and TensorFlow wants equal ones", "Use equal strides")
        sequence = self._builder.sequence(name, source)
        self._pad(sequence, shape, padding)
        shape = (shape[0], *_outputs(shape[1:], size, strides, padding))
        config: dict[str, Any] = {"strides": strides, "padding": "valid", "data_format": self._builder.data_format}
        if type(node).__name__ == "AvgPool2d":
            self._layer(sequence, "AveragePooling2D", {**config, "pool_size": size}, shape)
        else:
            # Sums are exact on the grid, a mean times the size of the window need not be.
            weights = {"kernel": np.ones((*size, shape[0], 1), np.float32)}
            config |= {"kernel_size": size, "depth_multiplier": 1, "use_bias": False}
            self._layer(sequence, "DepthwiseConv2D", config, shape, weights)
        _take_notes(sequence.node, notes)
        return sequence.end()

    def _flatten(self, name: str, node: Any, source: str, notes: dict[str, Any]) -> str:
        shape = self._builder.nir_shape(source)
        first, last = (int(np.ravel(dim)[0]) for dim in (node.start_dim, node.end_dim))
        if not all(-len(shape) <= dim < len(shape) for dim in (first, last)) or first % len(shape) > last % len(shape):
            raise CannotImportError(f"it flattens dimensions {first} to {last} of {shape}", _CHECK)
        first, last = first % len(shape), last % len(shape)
        flat = (*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])
        sequence = self._builder.sequence(name, source)
        rank = len(shape)
        if self._builder.data_format == "channels_last":
            sequence.permute([rank - 1, *range(rank - 1)])
        sequence.reshape(flat, channel_axis=0)
        if self._builder.data_format == "channels_last" and len(flat) > 1:
            sequence.permute([*range(1, len(flat)), 0])
        return sequence.end()

    def _scale(self, name: str, node: Any, source: str, notes: dict[str, Any]) -> str:
        sequence = self._builder.sequence(name, source)
        factor = self._builder.array(node.scale, source)
        like = self._builder.graph[source]
        sequence.affine(factor.reshape((1,) * len(like.shape)) if factor.ndim == 0 else factor)
        for added in self._builder.graph.of_type(Synapse):
            if added.layer.class_name == "Scale" and added.origin == sequence.node.origin:
                _take_notes(added, notes)
        return sequence.end()

    def _pad(self, sequence: Any, shape: tuple[int, ...], padding: list[int]) -> None:
        if any(padding):
            sizes = tuple(size + 2 * zeros for size, zeros in zip(shape[1:], padding, strict=True))
            pairs: Any = [[zeros, zeros] for zeros in padding]
            config = {"padding": pairs if len(pairs) > 1 else pairs[0], "data_format": self._builder.data_format}
            self._layer(sequence, f"ZeroPadding{len(padding)}D", config, (shape[0], *sizes))

    def _layer(
        self,
        sequence: Any,
        class_name: str,
        config: dict[str, Any],
        shape: tuple[int, ...],
        weights: dict[str, np.ndarray] | None = None,
    ) -> None:
        axis = self._builder.channel_axis(len(shape))
        sequence.synapse(class_name, config, self._builder.shape(shape), weights, channel_axis=axis)


def _take_notes(node: Node, notes: dict[str, Any]) -> None:
    """Puts a layer on the grid that it had."""
    if not isinstance(node, Synapse):
        return
    if notes.get("dtype") == "float64":
        node.dtype = "float64"
    if "expected" in notes:
        node.expected = float(notes["expected"])
    names = {"weight_bits": ("kernel", "factor"), "bias_bits": ("bias", "offset")}
    for key, wanted in names.items():
        for name in wanted:
            if key in notes and name in node.layer.weights:
                bits = np.ravel(notes[key]).astype(np.int64)
                fits = bits.size in (1, node.layer.weights[name].shape[-1])
                node.layer.fractional_bits[name] = bits if fits else bits.max(keepdims=True)
                _check_grid(node, name)


def _check_grid(node: Synapse, name: str) -> None:
    """Raises if weights are not on their grid, on which sums are exact."""
    bits = node.layer.fractional_bits[name]
    steps = node.layer.weights[name].astype(np.float64) * 2.0**bits
    if (steps != np.round(steps)).any():
        raise ValueError(
            f"the {name} of '{node.origin}' was changed: it holds values that are no multiples of 2^-{bits.max()}, as its "
            "metadata says"
        )


def _bias(bias: Any, size: int) -> np.ndarray:
    array = np.asarray(bias)
    if array.size not in (1, size):
        raise CannotImportError(f"it has a bias of shape {array.shape} for {size} outputs", _CHECK)
    return np.broadcast_to(array.reshape(-1), (size,))


def _numbers(value: Any, count: int) -> list[int]:
    """Returns one number per axis for one for all, or one per axis."""
    array = np.ravel(value)
    if array.size not in (1, count) or array.dtype.kind not in "iu":
        raise CannotImportError(f"it has {value!r} where a whole number per axis belongs, of {count} axes", _CHECK)
    return [int(number) for number in np.broadcast_to(array, (count,))]


def _padding(value: Any, reach: list[int], strides: list[int]) -> list[int]:
    """Returns how many zeros stand on either side of each axis."""
    if not isinstance(value, (bytes, str)):
        return _numbers(value, len(reach))
    text = value.decode() if isinstance(value, bytes) else value
    if text == "valid":
        return [0] * len(reach)
    if text != "same":
        raise CannotImportError(f"it has padding {text!r}", "Expected 'same', 'valid' or numbers")
    if set(strides) != {1} or any(size % 2 == 0 for size in reach):
        raise CannotImportError(
            f"it has padding 'same' with strides {strides} and a window that reaches over {reach}: unequal padding is not "
            "the same everywhere",
            "Write the padding as numbers, with strides 1 and odd windows for 'same'",
        )
    return [(size - 1) // 2 for size in reach]


def _outputs(sizes: tuple[int, ...], reach: list[int], strides: list[int], padding: list[int]) -> list[int]:
    outputs = [
        (size + 2 * zeros - window) // stride + 1
        for size, window, stride, zeros in zip(sizes, reach, strides, padding, strict=True)
    ]
    if min(outputs) < 1:
        raise CannotImportError(
            f"its window reaches over {reach}, and it reads {tuple(sizes)} with padding {padding}", _CHECK
        )
    return outputs
