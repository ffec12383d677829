"""`Scale`: multiplies each channel by a factor and adds an offset."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="SnnToolbox")
class Scale(keras.layers.Layer):
    """Elementwise affine map: `y = x * factor + offset`, with one factor and offset per channel.

    Everything elementwise and affine in a source network becomes this one layer: batch normalization that cannot be
    folded (`factor = gamma / sqrt(variance + epsilon)`, `offset = beta - mean * factor`; Ioffe & Szegedy 2015,
    algorithm 2), Rescaling, Normalization, multiplication by a constant, and the change of scale on an identity
    shortcut.

    Args:
        axis: The channel axis, counted with the batch axis.
        channels: Number of channels, or 1 for one factor for all. Taken from the input shape if None.
        use_offset: Whether there is an offset.

    Input and output: float tensor `[batch, ...]`.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> layer = snn.layers.Scale()
        >>> layer.build((None, 2))
        >>> _ = layer.factor.assign([2.0, 3.0])
        >>> [float(v) for v in layer(keras.ops.ones((1, 2)))[0]]
        [2.0, 3.0]
    """

    def __init__(self, axis: int = -1, channels: int | None = None, use_offset: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.channels = channels
        self.use_offset = use_offset

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights `factor` (ones) and `offset` (zeros), of shape [channels]."""
        channels = self.channels or input_shape[self.axis]
        self._broadcast_shape: list[int | None] = [1] * len(input_shape)
        self._broadcast_shape[self.axis] = channels
        self.factor = self.add_weight(name="factor", shape=(channels,), initializer="ones")
        self.offset = None
        if self.use_offset:
            self.offset = self.add_weight(name="offset", shape=(channels,), initializer="zeros")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Returns `inputs * factor + offset`."""
        outputs = inputs * self.broadcast_factor()
        if self.offset is not None:
            outputs = outputs + keras.ops.reshape(self.offset, self._broadcast_shape)
        return outputs

    def broadcast_factor(self) -> Any:
        """Returns the factor in a shape that broadcasts against the input."""
        return keras.ops.reshape(self.factor, self._broadcast_shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"axis": self.axis, "channels": self.channels, "use_offset": self.use_offset}
        return {**super().get_config(), **config}
