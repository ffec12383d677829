"""Where a weighted layer's kernel keeps its input and output channels, and what can be multiplied into it."""

import numpy as np

from snn_toolbox_tf.graph import LayerSpec


def scale_spec(factor: np.ndarray, offset: np.ndarray | None, axis: int) -> LayerSpec:
    """Returns a `Scale` layer.

    Args:
        factor: One factor for all, or one per channel.
        offset: Likewise, or None.
        axis: The channels' axis, counted with the batch axis.
    """
    weights = {"factor": np.array(np.atleast_1d(factor), dtype=np.float64)}
    if offset is not None:
        weights["offset"] = np.array(np.broadcast_to(offset, weights["factor"].shape), dtype=np.float64)
    config = {"axis": axis, "channels": int(weights["factor"].size), "use_offset": offset is not None}
    return LayerSpec("Scale", config, weights)


def per_channel(scale: np.ndarray, shape: tuple[int, ...], axis: int = -1) -> np.ndarray | None:
    """Returns a scale as a vector along one axis (or of size 1), or None if it varies along another axis."""
    if scale.size == 1:
        return scale.reshape(1)
    if scale.size == scale.shape[axis]:
        return scale.reshape(-1)
    rest = np.moveaxis(np.broadcast_to(scale, shape), axis, -1).reshape(-1, shape[axis])
    return rest[0] if (rest == rest[0]).all() else None


def bias_name(layer: LayerSpec) -> str:
    """Returns the name of the weight that is added."""
    return "offset" if layer.class_name == "Scale" else "bias"


def kernel_name(layer: LayerSpec) -> str:
    """Returns the name of the weight that multiplies."""
    return "factor" if layer.class_name == "Scale" else "kernel"


def weight_names(layer: LayerSpec) -> list[str]:
    """Returns the names of a weighted layer's weights, also where the spec does not hold them."""
    used = layer.config.get("use_offset" if layer.class_name == "Scale" else "use_bias")
    return [kernel_name(layer), bias_name(layer)] if used else [kernel_name(layer)]


def scale_output(layer: LayerSpec, factor: np.ndarray) -> None:
    """Multiplies a weighted layer's output by one factor for all, or one per output channel; the bias too."""
    factor = np.asarray(factor, dtype=np.float64).reshape(-1)
    name = kernel_name(layer)
    layer.weights[name] = layer.weights[name] * along_outputs(layer, name, factor)
    if bias_name(layer) in layer.weights:
        layer.weights[bias_name(layer)] = layer.weights[bias_name(layer)] * factor
    _sync_channels(layer)


def scale_input(layer: LayerSpec, factor: np.ndarray) -> None:
    """Multiplies a weighted layer's input by one factor for all, or one per input channel; the bias stays."""
    factor = np.asarray(factor, dtype=np.float64).reshape(-1)
    name = kernel_name(layer)
    kernel = layer.weights[name]
    if factor.size == 1 or layer.class_name == "Scale":
        kernel = kernel * factor
    elif "Depthwise" in layer.class_name:
        kernel = kernel * factor[:, np.newaxis]
    elif layer.class_name.endswith("Transpose"):
        kernel = kernel * factor
    else:
        kernel = _along_grouped_inputs(kernel, factor, layer.config.get("groups", 1))
    layer.weights[name] = kernel
    _sync_channels(layer)


def add_bias(layer: LayerSpec, offset: np.ndarray, channels: int) -> None:
    """Adds an offset (one for all, or one per output channel) to a weighted layer's output."""
    name = bias_name(layer)
    shape = layer.weights["factor"].shape if layer.class_name == "Scale" and offset.size == 1 else (channels,)
    layer.weights[name] = layer.weights.get(name, 0.0) + np.broadcast_to(offset, shape).astype(np.float64)
    layer.config["use_offset" if layer.class_name == "Scale" else "use_bias"] = True
    _sync_channels(layer)


def _sync_channels(layer: LayerSpec) -> None:
    """A `Scale` with one factor for all becomes one per channel when it takes up a factor per channel."""
    if layer.class_name != "Scale":
        return
    sizes = [array.size for array in layer.weights.values()]
    layer.config["channels"] = max(sizes)
    for name, array in layer.weights.items():
        layer.weights[name] = np.broadcast_to(array, (max(sizes),)).astype(np.float64)


def along_outputs(layer: LayerSpec, name: str, values: np.ndarray) -> np.ndarray:
    """Returns one value for all, or one per output channel, in a shape that broadcasts against the weight `name`."""
    if values.size == 1 or name != kernel_name(layer):
        return values
    if "Depthwise" in layer.class_name:
        # Output channel = input channel * multiplier + index: the last two axes together.
        return values.reshape(layer.weights[name].shape[-2:])
    return values[:, np.newaxis] if layer.class_name.endswith("Transpose") else values


def _along_grouped_inputs(kernel: np.ndarray, factor: np.ndarray, groups: int) -> np.ndarray:
    """Kernel [..., inputs / groups, outputs]: output channel o reads the inputs of its group only."""
    outputs = kernel.shape[-1]
    per_group = factor.reshape(groups, -1)
    of_output = np.repeat(per_group, outputs // groups, axis=0)
    return kernel * of_output.T
