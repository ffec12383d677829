"""Synapses that read spikes: what windows they have, and the reference, a dense convolution."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.ops.bits import unpack_bits


@dataclasses.dataclass(frozen=True)
class ConvolutionWindow:
    """The windows of a convolution over two axes.

    Attributes:
        strides: Steps from one window to the next (rows, columns).
        dilations: Steps from one tap of a window to the next.
        padding: "valid" or "same", as Keras and TensorFlow mean it; or how many zeros stand before and behind each axis,
            `((top, bottom), (left, right))`.
        groups: Into how many groups the channels are divided, each of which is convolved for itself.
    """

    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: str | tuple[tuple[int, int], tuple[int, int]] = "valid"
    groups: int = 1

    def __post_init__(self) -> None:
        zeros = () if isinstance(self.padding, str) else tuple(number for pair in self.padding for number in pair)
        known = self.padding in ("valid", "same") or (len(zeros) == 4 and min(zeros) >= 0)
        if not known or min(*self.strides, *self.dilations, self.groups) < 1:
            raise ValueError(
                "Expected strides, dilations and groups of at least 1, and `padding` 'valid', 'same' or numbers of zeros "
                f"((top, bottom), (left, right)). Received: {self}"
            )

    def output_size(self, input_size: Sequence[int], window: Sequence[int]) -> list[int]:
        """Returns the number of windows of a size along both axes."""
        sizes: list[int] = []
        for axis, (size, taps) in enumerate(zip(input_size, window, strict=True)):
            stride, reach = self.strides[axis], (taps - 1) * self.dilations[axis] + 1
            if self.padding == "same":
                sizes.append(-(-size // stride))
            else:
                sizes.append(max(0, -(-(size + sum(self.zeros(axis, size, taps)) - reach + 1) // stride)))
        return sizes

    def zeros(self, axis: int, size: int, taps: int) -> tuple[int, int]:
        """Returns how many zeros stand before and behind an axis of some size."""
        if self.padding == "valid":
            return 0, 0
        if self.padding != "same":
            return self.padding[axis]  # type: ignore[return-value]
        stride, reach = self.strides[axis], (taps - 1) * self.dilations[axis] + 1
        missing = max(0, (-(-size // stride) - 1) * stride + reach - size)
        return missing // 2, missing - missing // 2


@dataclasses.dataclass(frozen=True, eq=False)
class SpikeSynapse:
    """What makes a current of spikes.

    Attributes:
        input_shape: Shape of a sample of what it reads: rows, columns, inputs.
        kernel: float32 `[window rows, window columns, inputs / groups, outputs]`; None: spikes are the current.
        bias: float32 `[outputs]`, or None.
        window: Strides, dilations, padding and groups.
        moved: int32, where each element of what it reads stands in a sample's spikes, counted row by row; -1 for a zero.
            None: it reads the spikes as they are.
    """

    input_shape: tuple[int, int, int]
    kernel: tf.Tensor | None = None
    bias: tf.Tensor | None = None
    window: ConvolutionWindow = dataclasses.field(default_factory=ConvolutionWindow)
    moved: np.ndarray | None = None

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Shape of a sample's current: rows, columns, outputs."""
        if self.kernel is None:
            return self.input_shape
        rows, columns = self.window.output_size(self.input_shape[:2], self.kernel.shape[:2])
        return rows, columns, self.kernel.shape[3]


def reference(spikes: tf.Tensor, synapse: SpikeSynapse) -> tf.Tensor:
    """Multiplies every input, also those that are silent; see `ops.spike_convolution`."""
    size = synapse.input_shape
    if spikes.dtype == tf.uint8:
        spikes = unpack_bits(spikes)
    flat = tf.reshape(spikes, [-1, math.prod(spikes.shape[1:])])
    if synapse.moved is None:
        flat = flat[:, : math.prod(size)]
    else:
        # What comes from nowhere is taken from a zero in front.
        flat = tf.gather(tf.pad(flat, [(0, 0), (1, 0)]), synapse.moved + 1, axis=1)
    spikes = tf.reshape(flat, [-1, *size])
    kernel, window = synapse.kernel, synapse.window
    if kernel is None:
        return spikes
    zeros = [window.zeros(axis, size[axis], kernel.shape[axis]) for axis in (0, 1)]
    spikes = tf.pad(spikes, [(0, 0), *zeros, (0, 0)])
    parts = zip(tf.split(spikes, window.groups, -1), tf.split(kernel, window.groups, -1), strict=True)
    current = tf.concat(
        [
            tf.nn.conv2d(part, taps, window.strides, "VALID", dilations=window.dilations, name="spike_convolution")
            for part, taps in parts
        ],
        axis=-1,
    )
    return current if synapse.bias is None else tf.nn.bias_add(current, synapse.bias)
