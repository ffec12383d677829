"""`QuantizationClipFloorShift`: a clipped ReLU in steps, which a few timesteps of spikes give exactly."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_positive_integer
from snn_toolbox_tf.layers.threshold_relu import ThresholdReLU

#: Half a step: rounds to nearest.
SHIFT = 0.5


def clip_floor_shift(inputs: tf.Tensor, threshold: tf.Tensor, levels: int, shift: float = SHIFT) -> tf.Tensor:
    """Returns `theta / L * clip(floor(x L / theta + shift), 0, L)`; the floor passes gradients straight through.

    The clip stands inside of the floor. That gives the same values, and the gradients of the paper without more ado.
    """
    steps = tf.clip_by_value(inputs * (levels / threshold) + shift, 0.0, float(levels))
    return threshold / levels * tf.grad_pass_through(tf.floor)(steps)


@keras.saving.register_keras_serializable(package="SnnToolbox")
class QuantizationClipFloorShift(ThresholdReLU):
    """The quantization clip-floor-shift activation (QCFS): a `ThresholdReLU` in L steps, with a threshold that is trained.

        y = theta / L * clip(floor(x * L / theta + 1/2), 0, L)

    Integrate-and-fire neurons of threshold theta that start at theta/2, and that receive all their input before they fire,
    give just that in L timesteps. So a network that was trained with L levels is, converted, the same function at T = L in
    `simulate(schedule="layer_synchronous")`; step by step it comes near to it, with few timesteps more. After Bu et al.
    (2022, arXiv 2303.04347).

    Gradients pass the floor straight through, as in the paper: with respect to x they are 1 for
    -theta / 2L < x < theta - theta / 2L and else 0; with respect to theta (y - x) / theta there, 0 below, and 1 above.

    Args:
        levels: L, the number of steps above 0, and of timesteps for which the network is trained.
        threshold: Initial theta > 0: one number, or one per channel.
        per_channel: Whether each channel has a theta of its own; so it is if `threshold` has several values.
        axis: Channel axis, counted with the batch axis.
        **kwargs: Of any Keras layer. With `trainable=False`, theta is fixed.

    Input and output: float tensor `[batch, ...]`.

    Attributes:
        threshold: theta, a weight of shape `[channels]` or `[1]`; None before the layer is built.

    Raises:
        ValueError: If `levels` is no positive integer, a threshold is not positive, or there are not as many as channels.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> layer = snn.layers.QuantizationClipFloorShift(levels=4, threshold=2.0)
        >>> [float(value) for value in layer(keras.ops.reshape([-1.0, 0.2, 0.3, 1.1, 3.0], (1, 5)))[0]]
        [0.0, 0.0, 0.5, 1.0, 2.0]
    """

    def __init__(
        self,
        levels: int = 8,
        threshold: float | Sequence[float] = 1.0,
        per_channel: bool = False,
        axis: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold=threshold, per_channel=per_channel, axis=axis, **kwargs)
        self.levels = check_positive_integer(levels, "levels")
        #: Is another one while networks are compared: see `shifted`.
        self.shift: float | None = SHIFT

    def call(self, inputs: Any) -> Any:
        """Returns the inputs in steps."""
        if self.shift is None:
            return super().call(inputs)
        threshold = keras.ops.cast(self.broadcast_threshold(), inputs.dtype)
        return clip_floor_shift(inputs, threshold, self.levels, self.shift)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the trained thresholds are a weight."""
        return {**super().get_config(), "levels": self.levels}


@contextmanager
def shifted(layers: Iterable[keras.layers.Layer], shift: float | None) -> Iterator[None]:
    """For what is run or traced inside: the steps of every `QuantizationClipFloorShift` among the layers are elsewhere.

    Args:
        layers: The layers; those of other classes do not mind.
        shift: In place of 1/2; None: without steps, like a `ThresholdReLU`.
    """
    quantised = [layer for layer in layers if isinstance(layer, QuantizationClipFloorShift)]
    before = [layer.shift for layer in quantised]
    for layer in quantised:
        layer.shift = shift
    try:
        yield
    finally:
        for layer, value in zip(quantised, before, strict=True):
            layer.shift = value
