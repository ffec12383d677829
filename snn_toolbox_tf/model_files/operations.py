"""TensorFlow's functions in models of Keras 2 as functions of Keras 3."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from snn_toolbox_tf.model_files.origin import RefusedLayerError, in_one_line

_REMEDY = "Replace it by a layer in the Keras that wrote the file"


def _joined(values: list[Any], axis: int = -1) -> Any:
    return ops.concatenate(values, axis=axis)


def _clipped(t: Any, clip_value_min: float, clip_value_max: float) -> Any:
    return ops.clip(t, clip_value_min, clip_value_max)


def _leaky(features: Any, alpha: float = 0.2) -> Any:
    return ops.leaky_relu(features, negative_slope=alpha)


def _mean(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return ops.mean(input_tensor, axis=axis, keepdims=keepdims)


def _sum(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return ops.sum(input_tensor, axis=axis, keepdims=keepdims)


def _max(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return ops.max(input_tensor, axis=axis, keepdims=keepdims)


def _reshaped(tensor: Any, shape: list[int]) -> Any:
    return ops.reshape(tensor, shape)


def _transposed(a: Any, perm: list[int] | None = None) -> Any:
    return ops.transpose(a, axes=perm)


def _softmax(logits: Any, axis: int | None = -1) -> Any:
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def _of_two(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """TensorFlow calls both operands by name, x and y; Keras has other names for them."""

    def call(x: Any, y: Any) -> Any:
        return function(x, y)

    return call


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_two(ops.add) for name in ("math.add", "__operators__.add")},
    **{name: _of_two(ops.subtract) for name in ("math.subtract", "__operators__.sub")},
    **{name: _of_two(ops.multiply) for name in ("math.multiply", "__operators__.mul")},
    **{name: _of_two(ops.divide) for name in ("math.divide", "math.truediv", "__operators__.truediv")},
    **{name: _of_two(function) for name, function in (("math.maximum", ops.maximum), ("math.minimum", ops.minimum))},
    "math.sigmoid": ops.sigmoid,
    "nn.sigmoid": ops.sigmoid,
    "math.tanh": ops.tanh,
    "nn.relu": ops.relu,
    "nn.relu6": ops.relu6,
    "nn.leaky_relu": _leaky,
    "nn.softmax": _softmax,
    "clip_by_value": _clipped,
    "math.reduce_mean": _mean,
    "math.reduce_sum": _sum,
    "math.reduce_max": _max,
    "concat": _joined,
    "reshape": _reshaped,
    "transpose": _transposed,
    "compat.v1.transpose": _transposed,
    "math.negative": ops.negative,
}


def call_operation(function: str, name: str, tensor: Any, arguments: dict[str, Any]) -> Any:
    """Returns what a function of TensorFlow makes of a tensor, or of a list of them.

    Args:
        function: Its name, as Keras 2 writes it.
        name: The name of this call; it becomes that of a small model, as Keras would number its own operations without
            regard to the names in the file.
        tensor: Its first argument.
        arguments: The others, by name.

    Raises:
        RefusedLayerError: If the function or an argument is not known.
    """
    if function not in OPERATIONS:
        raise RefusedLayerError(
            f"TensorFlow's function `{function}` is not known here; known are {', '.join(sorted(OPERATIONS))}", _REMEDY
        )
    tensors: list[Any] = []
    inputs: list[Any] = []

    def inside(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        tensors.append(value)
        inputs.append(keras.Input(batch_shape=value.shape, dtype=value.dtype))
        return inputs[-1]

    given = {
        key: value for key, value in arguments.items() if key != "name" and value is not None and value is not False
    }
    first, given = keras.tree.map_structure(inside, (tensor, given))
    try:
        model = keras.Model(inputs, OPERATIONS[function](first, **given), name=name.replace("/", "_"))
    except (TypeError, ValueError) as error:
        raise RefusedLayerError(
            f"`keras.ops` does not take the arguments of TensorFlow's `{function}`: {in_one_line(error, 200)}",
            _REMEDY,
        ) from error
    return model(tensors)
