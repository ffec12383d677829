"""`ConstantCurrent`: what drives a neuron that fires at a constant rate."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="SnnToolbox")
class ConstantCurrent(keras.layers.Layer):
    """The same current for every sample, whatever the input: a drive from outside.

    Args:
        current: The current of a timestep.

    Input: tensor `[batch, ...]`, of which the number of samples counts. Output: `[batch, 1]`.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> snn.layers.ConstantCurrent(0.25)(keras.ops.ones((2, 3, 3))).numpy().tolist()
        [[0.25], [0.25]]
    """

    def __init__(self, current: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.current = float(current)

    def call(self, inputs: Any) -> Any:
        """Returns the current of every sample."""
        return keras.ops.full((keras.ops.shape(inputs)[0], 1), self.current, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns one element a sample."""
        return (input_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "current": self.current}
