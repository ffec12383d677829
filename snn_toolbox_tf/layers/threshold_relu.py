"""`ThresholdReLU`: a ReLU that saturates at a threshold which is trained."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

#: Training lets no threshold fall below this part of its initial value: it could not come back from 0.
_SMALLEST_PART = 2.0**-10


@keras.saving.register_keras_serializable(package="SnnToolbox")
class ThresholdReLU(keras.layers.Layer):
    """`y = min(max(x, 0), theta)`: what the firing rate of an integrate-and-fire neuron of threshold theta can follow.

    A network that is trained with it has learned its thresholds when it is converted: `convert_keras` takes theta as it is,
    and nothing is clipped that the network was not trained to do without. After Deng & Gu (2021, arXiv 2103.00476).

    The gradient with respect to x is 1 between 0 and theta, and that with respect to theta is 1 above theta. Training keeps
    theta positive, at no less than 2^-10 of its initial value.

    Args:
        threshold: Initial theta > 0: one number, or one per channel.
        per_channel: Whether each channel has a theta of its own; so it is if `threshold` has several values.
        axis: Channel axis, counted with the batch axis.
        **kwargs: Of any Keras layer. With `trainable=False`, theta is fixed.

    Input and output: float tensor `[batch, ...]`.

    Attributes:
        threshold: theta, a weight of shape `[channels]` or `[1]`; None before the layer is built.

    Raises:
        ValueError: If a threshold is not positive, or there are not as many as channels.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> layer = snn.layers.ThresholdReLU(threshold=2.0)
        >>> [float(value) for value in layer(keras.ops.reshape([-1.0, 0.5, 3.0], (1, 3)))[0]]
        [0.0, 0.5, 2.0]
    """

    def __init__(
        self, threshold: float | Sequence[float] = 1.0, per_channel: bool = False, axis: int = -1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        values = np.asarray(threshold, dtype=np.float64)
        if values.ndim > 1 or values.size == 0 or not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(
                f"Layer '{self.name}': expected `threshold` to be a positive number, or one positive number per channel. "
                f"Received: threshold={threshold}"
            )
        self._initial = values
        self.per_channel = bool(per_channel) or values.ndim == 1
        self.axis = axis
        self.threshold: Any = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weight `threshold`."""
        channels = input_shape[self.axis] if self.per_channel else 1
        if channels is None or self._initial.size not in (1, channels):
            raise ValueError(
                f"Layer '{self.name}' has {self._initial.size} threshold(s), expected one, or as many as its input has "
                f"channels on axis {self.axis}, a known number. Set `axis`, or give one `threshold`. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self._broadcast_shape = [1] * len(input_shape)
        self._broadcast_shape[self.axis] = channels
        self.threshold = self.add_weight(
            name="threshold",
            shape=(channels,),
            initializer=lambda shape, dtype: keras.ops.broadcast_to(keras.ops.cast(self._initial, dtype), shape),
            constraint=_AtLeast(_SMALLEST_PART * float(self._initial.min())),
        )
        self.built = True

    def broadcast_threshold(self) -> Any:
        """Returns theta in a shape that broadcasts against the input."""
        return keras.ops.reshape(self.threshold, self._broadcast_shape)

    def call(self, inputs: Any) -> Any:
        """Returns the rectified and clipped inputs."""
        return keras.ops.minimum(keras.ops.relu(inputs), keras.ops.cast(self.broadcast_threshold(), inputs.dtype))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the trained thresholds are a weight."""
        config = {"threshold": self._initial.tolist(), "per_channel": self.per_channel, "axis": self.axis}
        return {**super().get_config(), **config}


class _AtLeast(keras.constraints.Constraint):
    """Keeps weights from falling below a number."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def __call__(self, w: Any) -> Any:
        return keras.ops.maximum(w, keras.ops.cast(self.minimum, w.dtype))

    def get_config(self) -> dict[str, Any]:
        return {"minimum": self.minimum}
