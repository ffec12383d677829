"""Which layers native kernels run on spikes: each as a convolution over two axes."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.ops import ConvolutionWindow

#: Zeros before and behind both axes.
Margins = tuple[tuple[int, int], tuple[int, int]]
NO_MARGINS: Margins = ((0, 0), (0, 0))
#: Kernel `[window rows, window columns, inputs / groups, outputs]`, and bias.
Weights = tuple[tf.Tensor, tf.Tensor | None]


@dataclasses.dataclass(frozen=True)
class SpikeLayer:
    """A layer as a convolution.

    Attributes:
        node: Its node.
        input_shape: Shape of what it reads: rows, columns, inputs.
        window: Strides, dilations, padding and groups.
        places: int32, where each element of what the convolution reads stands in a sample of what the layer reads, counted
            row by row; -1 for a zero. None: as they stand there.
    """

    node: Synapse
    input_shape: tuple[int, int, int]
    window: ConvolutionWindow
    places: np.ndarray | None = None

    def weights(self, layer: tf.Module) -> Weights:
        """Returns the weights that its Keras layer has."""
        return _KINDS[self.node.layer.class_name].weights(self, layer)


def reads_windows(node: Synapse) -> bool:
    """Whether a layer can read windows that reach beyond its input."""
    kind = _KINDS.get(node.layer.class_name)
    return kind is not None and kind.is_windowed


def spike_layer(node: Synapse, shape: tuple[int, ...], margins: Margins = NO_MARGINS) -> SpikeLayer | None:
    """Returns a layer as a convolution, or None if there is no kernel for it.

    Args:
        node: Its node.
        shape: Shape of a sample of what it reads, without margins.
        margins: Zeros that stand around it.
    """
    kind, config = _KINDS.get(node.layer.class_name), node.layer.config
    plain = (
        node.dtype == "float32"
        and config.get("activation") in (None, "linear")
        and config.get("data_format", "channels_last") == "channels_last"
    )
    return kind.plan(node, shape, margins) if kind is not None and plain else None


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A line of pixels is an image of one row."""
    rows, columns, channels = (1, *shape)[-3:]
    return rows, columns, channels


def _plan_window(node: Synapse, shape: tuple[int, ...], margins: Margins, taps: list[int], groups: int) -> SpikeLayer:
    """Plans a layer of windows over one axis or two; `taps` has the size of a window."""
    config, dimensions = node.layer.config, len(shape) - 1

    def along_axes(key: str, default: int) -> tuple[int, int]:
        value = config.get(key)
        first, second = (1, 1, *np.broadcast_to(default if value is None else value, dimensions).tolist())[-2:]
        return first, second

    # The windows of pooling layers stand side by side unless told otherwise.
    strides = along_axes("strides", 1) if "pool_size" not in config or config.get("strides") else (taps[0], taps[1])
    causal, image = config["padding"] == "causal", _image(shape)
    padding = "valid" if causal else config["padding"]
    window = ConvolutionWindow(strides, along_axes("dilation_rate", 1), padding, groups)
    if causal:
        zeros = [(0, 0), ((taps[1] - 1) * window.dilations[1], 0)]
    else:
        padded = [size + sum(more) for size, more in zip(image, margins, strict=False)]
        # One row stays one, whatever `padding` says.
        zeros = [(0, 0) if taps[axis] == 1 else window.zeros(axis, padded[axis], taps[axis]) for axis in (0, 1)]
    rows, columns = ((more[0] + of[0], more[1] + of[1]) for more, of in zip(margins, zeros, strict=True))
    return SpikeLayer(node, image, dataclasses.replace(window, padding=(rows, columns)))


def _plan_convolution(node: Synapse, shape: tuple[int, ...], margins: Margins) -> SpikeLayer | None:
    config = node.layer.config
    if config["padding"] not in ("valid", "same", "causal"):
        return None
    depthwise = node.layer.class_name.startswith("Depthwise")
    taps = [1, 1, *np.broadcast_to(config["kernel_size"], len(shape) - 1).tolist()][-2:]
    return _plan_window(node, shape, margins, taps, shape[-1] if depthwise else config.get("groups", 1))


def _plan_transposed(node: Synapse, shape: tuple[int, ...], margins: Margins) -> SpikeLayer | None:
    """A transposed convolution turns its kernel around, and finds zeros between its inputs."""
    config, (rows, columns, inputs) = node.layer.config, _image(shape)
    plain = config.get("output_padding") is None and np.all(np.asarray(config.get("dilation_rate", 1)) == 1)
    if not plain:
        return None
    dimensions = len(shape) - 1
    strides = [1, 1, *np.broadcast_to(config["strides"], dimensions).tolist()][-2:]
    taps = [1, 1, *np.broadcast_to(config["kernel_size"], dimensions).tolist()][-2:]
    spread = [(size - 1) * stride + 1 for size, stride in zip((rows, columns), strides, strict=True)]
    places = np.full((*spread, inputs), -1, np.int32)
    places[:: strides[0], :: strides[1]] = np.arange(rows * columns * inputs).reshape(rows, columns, inputs)
    zeros = []
    for length, size, window in zip(spread, _image(node.shape)[:2], taps, strict=True):
        # What the convolution that it transposes would pad in front.
        missing = max(0, length - 1 + window - size) if config["padding"] == "same" else 0
        front = window - 1 - missing // 2
        zeros.append((front, size - length - front + window - 1))
    if min(min(pair) for pair in zeros) < 0:
        return None
    return SpikeLayer(node, (*spread, inputs), ConvolutionWindow(padding=(zeros[0], zeros[1])), places.ravel())


def _plan_dense(node: Synapse, shape: tuple[int, ...], margins: Margins) -> SpikeLayer:
    """Each position of the axes in front of the last one is a column."""
    return SpikeLayer(node, (1, math.prod(shape[:-1]), shape[-1]), ConvolutionWindow())


def _plan_average(node: Synapse, shape: tuple[int, ...], margins: Margins) -> SpikeLayer | None:
    """An average of 2^n spikes is a depthwise convolution, whose weights are exact."""
    config = node.layer.config
    taps = [1, 1, *np.broadcast_to(config["pool_size"], len(shape) - 1).tolist()][-2:]
    number = math.prod(taps)
    if number & (number - 1) or (config["padding"] == "same" and number > 1):
        return None
    return _plan_window(node, shape, margins, taps, shape[-1])


def _plan_global_average(node: Synapse, shape: tuple[int, ...], margins: Margins) -> SpikeLayer | None:
    number = math.prod(shape[:-1])
    if number & (number - 1):
        return None
    return SpikeLayer(node, _image(shape), ConvolutionWindow(groups=shape[-1]))


def _weights(of: SpikeLayer, layer: tf.Module) -> Weights:
    """Kernel and bias, with a window of two axes; a depthwise kernel is one of as many groups as there are inputs."""
    kernel = tf.convert_to_tensor(layer.kernel)
    groups, inputs = of.window.groups, of.input_shape[-1]
    if of.node.layer.class_name.startswith("Depthwise"):
        kernel = tf.reshape(kernel, [*kernel.shape[:-2], 1, -1])
    window = [1, 1, *kernel.shape[:-2]][-2:]
    kernel = tf.reshape(kernel, [*window, inputs // groups, kernel.shape[-1]])
    return kernel, tf.convert_to_tensor(layer.bias) if layer.use_bias else None


def _turned_weights(of: SpikeLayer, layer: tf.Module) -> Weights:
    kernel = tf.convert_to_tensor(layer.kernel)
    kernel = tf.reshape(kernel, [*[1, 1, *kernel.shape[:-2]][-2:], *kernel.shape[-2:]])
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    return turned, tf.convert_to_tensor(layer.bias) if layer.use_bias else None


def _averaging_weights(of: SpikeLayer, layer: tf.Module) -> Weights:
    shape = of.input_shape
    taps = shape[:2] if not hasattr(layer, "pool_size") else [1, *np.atleast_1d(layer.pool_size).tolist()][-2:]
    return tf.fill([*taps, 1, shape[2]], np.float32(1 / math.prod(taps))), None


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A kind of layer that kernels run on spikes."""

    plan: Callable[[Synapse, tuple[int, ...], Margins], SpikeLayer | None]
    weights: Callable[[SpikeLayer, tf.Module], Weights]
    is_windowed: bool = True


_CONVOLUTION = _Kind(_plan_convolution, _weights)
_KINDS = {
    **dict.fromkeys(("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"), _CONVOLUTION),
    **dict.fromkeys(
        ("Conv1DTranspose", "Conv2DTranspose"), _Kind(_plan_transposed, _turned_weights, is_windowed=False)
    ),
    "Dense": _Kind(_plan_dense, _weights, is_windowed=False),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), _Kind(_plan_average, _averaging_weights, False)),
    **dict.fromkeys(
        ("GlobalAveragePooling1D", "GlobalAveragePooling2D"), _Kind(_plan_global_average, _averaging_weights, False)
    ),
}
