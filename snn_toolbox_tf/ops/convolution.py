"""Convolution of spikes: what windows it has, and the reference, a dense convolution."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ConvolutionWindow:
    """The windows of a convolution over two axes.

    Attributes:
        strides: Steps from one window to the next (rows, columns).
        dilations: Steps from one tap of a window to the next.
        padding: "valid" or "same", as Keras and TensorFlow mean it.
    """

    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: str = "valid"

    def output_size(self, input_size: Sequence[int | None], window: Sequence[int | None]) -> list[int | None]:
        """Returns the number of windows of a size along both axes; None where a size is not known."""
        sizes: list[int | None] = []
        for size, taps, stride, dilation in zip(input_size, window, self.strides, self.dilations, strict=True):
            if size is None or taps is None:
                sizes.append(None)
                continue
            reach = 1 if self.padding == "same" else (taps - 1) * dilation + 1
            sizes.append(max(0, -(-(size - reach + 1) // stride)))
        return sizes


def reference(spikes: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, window: ConvolutionWindow) -> tf.Tensor:
    """Multiplies every input, also those that are silent; see `ops.spike_convolution`."""
    current = tf.nn.conv2d(
        spikes, kernel, window.strides, window.padding.upper(), dilations=window.dilations, name="spike_convolution"
    )
    return current if bias is None else tf.nn.bias_add(current, bias)
