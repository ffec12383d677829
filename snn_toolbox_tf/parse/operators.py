"""Operators and `keras.ops` on Keras tensors, such as `a + b` or `keras.ops.mean(x, axis=1)`, as nodes."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.activations import CUSTOM_FUNCTION
from snn_toolbox_tf.graph import LayerSpec
from snn_toolbox_tf.parse import refusals
from snn_toolbox_tf.parse.broadcasting import broadcast
from snn_toolbox_tf.parse.moving import MOVES, lower_moves
from snn_toolbox_tf.parse.place import Place, as_float64
from snn_toolbox_tf.parse.resampling import lower_resampling
from snn_toolbox_tf.parse.trace import Call

#: Operations that are activation functions, by the names of the functions.
ACTIVATIONS = {
    "ReLU": "relu", "Relu": "relu", "Relu6": "relu6", "LeakyRelu": "leaky_relu", "HardSigmoid": "hard_sigmoid",
    "HardTanh": "hard_tanh", "SoftShrink": "soft_shrink", "SparseSigmoid": "sparse_sigmoid",
    "HardShrink": "hard_shrink", "Threshold": "threshold", "Softmax": "softmax", "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid", "LogSigmoid": "log_sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign",
    "Exp": "exponential", "Gelu": "gelu", "Silu": "silu", "Elu": "elu", "Selu": "selu", "Celu": "celu",
    "Mish": "mish", "HardSilu": "hard_silu", "SparsePlus": "sparse_plus", "TanhShrink": "tanh_shrink",
    "Squareplus": "squareplus",
}  # fmt: skip

#: Operations that leave values as they are.
PASSING = {"Copy", "StopGradient"}

#: Operations of a tensor and a constant.
_WITH_CONSTANTS = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Matmul", "Dot"}

#: Operations of two tensors that are not affine.
PRODUCTS = {
    "Multiply", "Divide", "TrueDivide", "FloorDivide", "Matmul", "Dot", "Einsum", "Tensordot", "Vdot", "Outer", "Cross",
    "Maximum", "Minimum", "Where", "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "Power",
}  # fmt: skip


def lower_operation(place: Place, call: Call) -> str | list[str]:
    """Adds the nodes of an operator, or of a function of `keras.ops`; returns their names, one per output."""
    operation, class_name = call.operation, type(call.operation).__name__
    arguments = list(inspect.signature(operation.call).bind(*call.args, **call.kwargs).arguments.values())
    if class_name in ACTIVATIONS:
        return place.activation(_activation_spec(operation))
    if class_name in ("Concatenate", "Append", "Stack"):
        lowered: str | list[str] | None = _join(place, class_name, operation.axis)
    elif len(place.inputs) == 1:
        lowered = _of_one_tensor(place, operation, class_name, arguments)
    else:
        lowered = _of_two_tensors(place, class_name, arguments)
    if lowered is not None:
        return lowered
    product = len(place.inputs) > 1 and class_name in PRODUCTS
    return place.refuse(class_name, refusals.PRODUCT if product else refusals.UNKNOWN_OPERATION)


def _of_one_tensor(place: Place, operation: Any, class_name: str, arguments: list[Any]) -> str | list[str] | None:
    if class_name in PASSING or (class_name == "Cast" and operation.dtype in ("float32", "float64")):
        return place.inputs[0]
    if class_name in MOVES:
        return lower_moves(place, lambda numbers: operation.call(*_with(arguments, numbers)))
    if class_name in ("Mean", "Sum", "Max", "Amax"):
        return _reduce(place, operation, class_name)
    if class_name in ("AveragePool", "MaxPool"):
        return _pool(place, operation, class_name)
    if class_name == "Resize":
        first = operation.data_format == "channels_first"
        resized = lower_resampling(place, _resize(operation), channels_first=first)
        return resized or place.refuse(class_name, refusals.REFUSALS["Resizing"])
    if class_name == "Clip":
        return _clip(place, operation.x_min, operation.x_max)
    if class_name == "Negative":
        return place.affine(-1.0)
    if class_name not in _WITH_CONSTANTS or len(arguments) != 2:
        return None
    (constant,) = (as_float64(value) for value in arguments if not _is_tensor(value))
    reverse = not _is_tensor(arguments[0])
    if class_name in ("Matmul", "Dot"):
        return None if reverse else _multiply_by_matrix(place, constant)
    return _with_constant(place, class_name, constant, reverse=reverse)


def _of_two_tensors(place: Place, class_name: str, arguments: list[Any]) -> str | None:
    # Of tensors of different rank, an operator would take the batch for another axis.
    ranks = {len(place.graph[source].shape) for source in place.inputs}
    if class_name not in ("Add", "Subtract") or len(arguments) != 2 or len(ranks) > 1:
        return None
    inputs = [broadcast(place.graph, source, place.name, place.shape) for source in place.inputs]
    terms = [name for name in inputs if name is not None]
    if len(terms) < 2:
        return place.refuse(class_name, refusals.BROADCASTING)
    return place.join(LayerSpec(class_name, {}), terms)


def _activation_spec(operation: Any) -> LayerSpec:
    """Returns an activation function that was called on a tensor as the layer for it, with its parameters."""
    class_name = type(operation).__name__
    if class_name == "ReLU":
        keys = ("negative_slope", "max_value", "threshold")
        return LayerSpec("ReLU", {key: getattr(operation, key) for key in keys})
    if class_name == "LeakyRelu":
        return LayerSpec("LeakyReLU", {"negative_slope": operation.negative_slope})
    if class_name == "Softmax":
        return LayerSpec("Softmax", {"axis": operation.axis})
    if class_name == "SoftShrink" and operation.threshold != 0.5:
        return LayerSpec("Activation", {"activation": "soft_shrink", "lambd": operation.threshold})
    name = ACTIVATIONS[class_name]
    known = _is_function(operation, name)
    return LayerSpec("Activation", {"activation": name if known else f"{CUSTOM_FUNCTION} keras.ops.{name}"})


def _is_function(operation: Any, name: str) -> bool:
    """Whether an operation does what Keras's activation function of this name does: it may have other parameters."""
    values = keras.ops.reshape(keras.ops.linspace(-4.0, 4.0, 24), (2, 3, 4))
    try:
        expected = keras.activations.get(name)(values)
    except (TypeError, ValueError):
        # This Keras has none, or one that needs parameters.
        return False
    return np.allclose(as_float64(operation.call(values)), as_float64(expected), atol=1e-6)


def _with_constant(place: Place, class_name: str, value: np.ndarray, *, reverse: bool) -> str | None:
    """Adds `x <operator> value`, or `value <operator> x`."""
    if class_name in ("Maximum", "Minimum") and value.size == 1:
        bound = float(value.reshape(()))
        return _clip(place, bound, None) if class_name == "Maximum" else _clip(place, None, bound)
    rules: dict[tuple[str, bool], Callable[[], tuple[Any, Any]]] = {
        ("Add", False): lambda: (1.0, value),
        ("Add", True): lambda: (1.0, value),
        ("Subtract", False): lambda: (1.0, -value),
        ("Subtract", True): lambda: (-1.0, value),
        ("Multiply", False): lambda: (value, None),
        ("Multiply", True): lambda: (value, None),
        ("Divide", False): lambda: (1.0 / value, None),
        ("TrueDivide", False): lambda: (1.0 / value, None),
    }
    if (class_name, reverse) not in rules or ("Divide" in class_name and not value.all()):
        return None
    return place.affine(*rules[class_name, reverse]())


def _clip(place: Place, minimum: Any, maximum: Any) -> str | None:
    bounds = [None if bound is None else as_float64(bound) for bound in (minimum, maximum)]
    if any(bound is not None and bound.size > 1 for bound in bounds):
        return None
    low, high = (None if bound is None else float(bound.reshape(())) for bound in bounds)
    return place.activation(LayerSpec("Clip", {"minimum": low, "maximum": high}))


def _join(place: Place, class_name: str, axis: int | None) -> str | None:
    """Concatenates, or stacks along a new axis."""
    rank = len(place.shape) + 1
    if axis is None or axis % rank == 0:
        return None
    inputs = place.inputs
    if class_name == "Stack":
        shape = [1 if index + 1 == axis % rank else size for index, size in enumerate(place.shape)]
        sequences = [place.sequence(source).reshape(shape) for source in place.inputs]
        inputs = [sequence.node.name for sequence in sequences]
    return place.join(LayerSpec("Concatenate", {"axis": axis}), inputs)


def _reduce(place: Place, operation: Any, class_name: str) -> str | None:
    """Means, sums and maxima over axes: as global pooling over one axis that holds them all."""
    shape = place.source.shape
    rank, axes = len(shape) + 1, operation.axis
    reduced = sorted({int(axis) % rank for axis in ([axes] if isinstance(axes, int) else axes or [0])})
    if 0 in reduced or getattr(operation, "initial", None) is not None:
        return None
    inner = [axis - 1 for axis in reduced]
    kept = [axis for axis in range(rank - 1) if axis not in inner]
    count, rest = (math.prod(shape[axis] for axis in chosen) for chosen in (inner, kept))
    sequence = place.sequence().permute([*inner, *kept]).reshape((count, rest))
    if class_name in ("Max", "Amax"):
        sequence.max_pool("GlobalMaxPooling1D", {}, (rest,))
    else:
        sequence.synapse("GlobalAveragePooling1D", {}, (rest,))
        if class_name == "Sum":
            sequence.affine(np.full((1,), float(count)))
    return sequence.reshape(place.shape, place.channel_axis).end()


def _pool(place: Place, operation: Any, class_name: str) -> str:
    dimensions = len(place.shape) - 1

    def sizes(value: Any) -> list[int]:
        return [int(size) for size in np.broadcast_to(value, dimensions)]

    config = {"padding": operation.padding, "data_format": operation.data_format}
    config["pool_size"] = sizes(operation.pool_size)
    config["strides"] = sizes(operation.strides or operation.pool_size)
    axis = 0 if operation.data_format == "channels_first" else -1
    here = dataclasses.replace(place, channel_axis=axis)
    layer = LayerSpec(f"{class_name.removesuffix('Pool')}Pooling{dimensions}D", config)
    return here.max_pool(layer) if class_name == "MaxPool" else here.synapse(layer)


def _multiply_by_matrix(place: Place, matrix: np.ndarray) -> str | None:
    if matrix.ndim != 2:
        return None
    config = {"units": matrix.shape[1], "use_bias": False, "activation": "linear"}
    return place.synapse(LayerSpec("Dense", config, {"kernel": matrix}))


def _resize(operation: Any) -> Callable[[np.ndarray], Any]:
    """The same resizing of channels-last images."""
    keys = ("interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_mode", "fill_value")
    options = {key: getattr(operation, key) for key in keys}
    return lambda images: keras.ops.image.resize(images, operation.size, data_format="channels_last", **options)


def _with(arguments: list[Any], numbers: np.ndarray) -> list[Any]:
    return [keras.ops.convert_to_tensor(numbers) if _is_tensor(value) else value for value in arguments]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, keras.KerasTensor)
