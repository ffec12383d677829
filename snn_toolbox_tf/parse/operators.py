"""Operators on Keras tensors, such as `a + b` or `x * 0.5`, as nodes."""

from typing import Any

import keras
import numpy as np

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Activation, Graph, LayerSpec, Node, Synapse, Unsupported
from snn_toolbox_tf.kernels import scale_spec
from snn_toolbox_tf.parse.trace import Call


def operation_node(graph: Graph, call: Call, name: str, inputs: list[str], shape: tuple[int, ...]) -> Node:
    """Returns the node of an operator on Keras tensors, such as `a + b` or `x * 0.5`."""
    class_name = type(call.operation).__name__
    axis = graph[inputs[0]].channel_axis if len(graph[inputs[0]].shape) == len(shape) else -1
    constants = [value for value in call.args if not _has_tensor(value)]
    same_shape = all(graph[source].shape == shape for source in inputs)
    if class_name in ("Add", "Subtract") and len(inputs) == 2 and same_shape:
        return Synapse(name, inputs, shape, axis, layer=LayerSpec(class_name, {}))
    if class_name == "Concatenate":
        return Synapse(name, inputs, shape, axis, layer=LayerSpec("Concatenate", {"axis": call.operation.axis}))
    if class_name in _ACTIVATIONS:
        return Activation(name, inputs, shape, axis, layer=_activation_spec(call.operation))
    if same_shape and len(inputs) == 1 and not call.kwargs:
        constant = np.asarray(constants[0], dtype=np.float64) if constants else np.asarray(1.0)
        reverse = bool(constants) and call.args[0] is constants[0]
        spec = _operator_spec(class_name, constant, reverse, len(shape), axis)
        if spec is not None:
            return Synapse(name, inputs, shape, axis, layer=spec)
    refusal = vocabulary.UNKNOWN_OPERATION
    return Unsupported(name, inputs, shape, axis, class_name=class_name, reason=refusal.reason, remedy=refusal.remedy)


#: Operations that are activation functions, by the names of the functions.
_ACTIVATIONS = {
    "ReLU": "relu", "Relu": "relu", "Relu6": "relu6", "LeakyRelu": "leaky_relu", "HardSigmoid": "hard_sigmoid",
    "HardTanh": "hard_tanh", "SoftShrink": "soft_shrink", "SparseSigmoid": "sparse_sigmoid",
    "HardShrink": "hard_shrink", "Threshold": "threshold", "Softmax": "softmax", "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid", "LogSigmoid": "log_sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign",
    "Exp": "exponential", "Gelu": "gelu", "Silu": "silu", "Elu": "elu", "Selu": "selu", "Celu": "celu",
    "Mish": "mish", "HardSilu": "hard_silu", "SparsePlus": "sparse_plus", "TanhShrink": "tanh_shrink",
    "Squareplus": "squareplus",
}  # fmt: skip


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
    if class_name == "SoftShrink":
        return LayerSpec("Activation", {"activation": "soft_shrink", "lambd": operation.threshold})
    return LayerSpec("Activation", {"activation": _ACTIVATIONS[class_name]})


def _operator_spec(
    class_name: str, constant: np.ndarray, reverse: bool, rank: int, channel_axis: int
) -> LayerSpec | None:
    """Returns `x <operator> constant` (or `constant <operator> x`) as a `Scale`, or None if it is not affine."""
    axes = [index - constant.ndim for index, size in enumerate(constant.shape) if size > 1]
    if len(axes) > 1 or constant.ndim > rank + 1 or (axes and axes[0] == -rank - 1):
        return None
    values = constant.reshape(-1)
    one, zero = np.ones(1), np.zeros(1)
    rules: dict[tuple[str, bool], tuple[np.ndarray, np.ndarray]] = {
        ("Add", False): (one, values),
        ("Add", True): (one, values),
        ("Subtract", False): (one, -values),
        ("Subtract", True): (-one, values),
        ("Multiply", False): (values, zero),
        ("Multiply", True): (values, zero),
        ("Negative", False): (-one, zero),
    }
    if class_name in ("TrueDivide", "Divide") and not reverse and np.all(values != 0):
        rules[class_name, False] = (1.0 / values, zero)
    if (class_name, reverse) not in rules:
        return None
    factor, offset = rules[class_name, reverse]
    factor, offset = np.broadcast_arrays(factor, offset)
    axis = channel_axis + 1 if channel_axis >= 0 else channel_axis
    return scale_spec(factor, offset, axes[0] if axes else axis)


def _has_tensor(value: Any) -> bool:
    return any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(value))
