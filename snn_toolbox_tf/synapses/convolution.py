"""Convolutions: plain, grouped, depthwise and transposed."""

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import LayerSpec
from snn_toolbox_tf.synapses.family import WeightedFamily


class ConvolutionFamily(WeightedFamily):
    """A kernel `[*window, inputs / groups, outputs]`."""

    class_names = ("Conv1D", "Conv2D", "Conv3D")
    #: Dimensions for which there is a layer of one dimension more.
    dimensions_to_extend = (1, 2)

    def along_inputs(self, spec: LayerSpec, values: np.ndarray) -> np.ndarray:
        """An output channel reads the inputs of its own group only."""
        groups, outputs = spec.config.get("groups", 1), spec.weights[self.kernel].shape[-1]
        return np.repeat(values.reshape(groups, -1), outputs // groups, axis=0).T

    def columns(self, spec: LayerSpec, inputs: tf.Tensor) -> tf.Tensor | None:
        """The patches under the window, in one or two dimensions."""
        padding, dimensions = spec.config.get("padding", "valid"), len(inputs.shape) - 2
        if spec.config.get("groups", 1) != 1 or padding not in ("same", "valid") or dimensions > 2:
            return None
        image = inputs if dimensions == 2 else inputs[:, tf.newaxis]
        sizes, strides, rates = (
            [1, *([1] * (2 - dimensions)), *np.broadcast_to(spec.config.get(key, 1), dimensions).tolist(), 1]
            for key in ("kernel_size", "strides", "dilation_rate")
        )
        patches = tf.image.extract_patches(image, sizes, strides, rates, padding.upper())
        return tf.reshape(patches, [-1, patches.shape[-1]])

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """A convolution of one dimension more, with a window of size 1 along the new axis."""
        dimensions = len(shape) - 1
        config = dict(spec.config)
        dilated = any(rate > 1 for rate in np.ravel(config.get("dilation_rate", 1)))
        plain = not dilated and config.get("groups", 1) == 1 and config.get("padding") != "causal"
        if not plain or dimensions not in self.dimensions_to_extend:
            # TensorFlow has no kernel for it.
            return None
        for key, value in (("kernel_size", 1), ("strides", 1), ("dilation_rate", 1), ("output_padding", 0)):
            if config.get(key) is not None:
                config[key] = [value, *np.broadcast_to(config[key], dimensions).tolist()]
        weights = {**spec.weights, self.kernel: spec.weights[self.kernel][np.newaxis]}
        return LayerSpec(spec.class_name.replace(f"{dimensions}D", f"{dimensions + 1}D"), config, weights)

    def with_more_channels(self, spec: LayerSpec, times: int) -> LayerSpec | None:
        """As groups: an output channel reads the inputs of its own group."""
        if spec.class_name == "Conv3D":
            return None
        weights = {**spec.weights, self.kernel: np.concatenate([spec.weights[self.kernel]] * times, axis=-1)}
        if self.bias in weights:
            weights[self.bias] = np.tile(weights[self.bias], times)
        groups, filters = spec.config.get("groups", 1) * times, spec.config["filters"] * times
        return LayerSpec(spec.class_name, {**spec.config, "groups": groups, "filters": filters}, weights)


class DepthwiseConvolutionFamily(WeightedFamily):
    """A kernel `[*window, inputs, multiplier]`: output channel = input channel * multiplier + index."""

    class_names = ("DepthwiseConv1D", "DepthwiseConv2D")

    def along_outputs(self, spec: LayerSpec, name: str, values: np.ndarray) -> np.ndarray:
        """Output channels are the last two axes together."""
        if values.size == 1 or name != self.kernel:
            return values
        return values.reshape(spec.weights[name].shape[-2:])

    def with_more_channels(self, spec: LayerSpec, times: int) -> LayerSpec | None:
        """Its channels are alone already."""
        weights = {**spec.weights, self.kernel: np.concatenate([spec.weights[self.kernel]] * times, axis=-2)}
        if self.bias in weights:
            weights[self.bias] = np.tile(weights[self.bias], times)
        return LayerSpec(spec.class_name, spec.config, weights)


class TransposedConvolutionFamily(ConvolutionFamily):
    """A kernel `[*window, outputs, inputs]`."""

    class_names = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")

    def along_outputs(self, spec: LayerSpec, name: str, values: np.ndarray) -> np.ndarray:
        """Outputs come before inputs."""
        return values if values.size == 1 or name != self.kernel else values[:, np.newaxis]

    def along_inputs(self, spec: LayerSpec, values: np.ndarray) -> np.ndarray:
        """Inputs are the last axis."""
        return values

    def columns(self, spec: LayerSpec, inputs: tf.Tensor) -> tf.Tensor | None:
        """Outputs read through different parts of the kernel."""
        return None

    def with_more_channels(self, spec: LayerSpec, times: int) -> LayerSpec | None:
        """Keras has no transposed convolution in groups."""
        return None
