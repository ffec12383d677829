"""`Clip`: keeps values between two bounds."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="SnnToolbox")
class Clip(keras.layers.Layer):
    """`y = min(max(x, minimum), maximum)`: what `keras.ops.maximum`, `minimum` and `clip` do with constants.

    Args:
        minimum: Lower bound, or None.
        maximum: Upper bound, or None.

    Input and output: float tensor `[batch, ...]`.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> [float(value) for value in snn.layers.Clip(0.0, 6.0)(keras.ops.reshape([-1.0, 3.0, 7.0], (1, 3)))[0]]
        [0.0, 3.0, 6.0]
    """

    def __init__(self, minimum: float | None = None, maximum: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum = minimum
        self.maximum = maximum

    def call(self, inputs: Any) -> Any:
        """Returns the clipped inputs."""
        outputs = inputs if self.minimum is None else keras.ops.maximum(inputs, self.minimum)
        return outputs if self.maximum is None else keras.ops.minimum(outputs, self.maximum)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "minimum": self.minimum, "maximum": self.maximum}
