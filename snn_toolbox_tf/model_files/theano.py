"""What Keras computed otherwise on Theano: it padded on both sides alike, and its convolutions turned kernels around."""

from typing import Any

import numpy as np

from snn_toolbox_tf.model_files.origin import RefusedLayerError

#: Depthwise kernels are not among them: Keras itself turned those around.
TURNED = {"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose"}
_PADDED = {
    "Conv1D": "ZeroPadding1D",
    "Conv2D": "ZeroPadding2D",
    "DepthwiseConv2D": "ZeroPadding2D",
    "Conv3D": "ZeroPadding3D",
}
_REMEDY = "Replace it by a padding layer and padding='valid' in the Keras that wrote the file"


def turned_around(kernel: np.ndarray) -> np.ndarray:
    """Returns a kernel with all its spatial axes reversed."""
    return np.flip(kernel, axis=tuple(range(kernel.ndim - 2)))


def explicit_padding(class_name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Returns class and configuration of the padding that belongs in front of a layer; None if Keras 3 pads alike.

    With padding='same', Theano puts half a kernel in front of the first value, wherever the stride leads to. TensorFlow puts
    as little there as the last window allows.

    Raises:
        RefusedLayerError: If no padding layer does the same.
    """
    if config.get("padding") != "same":
        return None
    if "Pooling" in class_name:
        sizes, strides = _numbers(config["pool_size"]), _numbers(config.get("strides") or config["pool_size"])
        if all(size == 1 or (size, stride) == (3, 1) for size, stride in zip(sizes, strides, strict=True)):
            return None
        raise RefusedLayerError(
            f"Theano pads pools of {sizes} with strides of {strides} otherwise than Keras 3", _REMEDY
        )
    strides = _numbers(config["strides"])
    dilations = _numbers(config.get("dilation_rate", [1] * len(strides)))
    sizes = [(size - 1) * rate + 1 for size, rate in zip(_numbers(config["kernel_size"]), dilations, strict=True)]
    if all(size == 1 or (size % 2 == 1 and stride == 1) for size, stride in zip(sizes, strides, strict=True)):
        return None
    if class_name not in _PADDED or (len(sizes) == 1 and config.get("data_format") == "channels_first"):
        raise RefusedLayerError(
            f"Theano pads kernels of {sizes} with strides of {strides} otherwise than Keras 3", _REMEDY
        )
    amounts = [[size // 2, (size - 1) // 2] for size in sizes]
    options = {"data_format": config["data_format"]} if len(sizes) > 1 else {}
    return _PADDED[class_name], {
        "name": f"{config['name']}_padding",
        "padding": amounts if len(sizes) > 1 else amounts[0],
        **options,
    }


def _numbers(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)
