"""`RoundToGrid`: ends a chain of sums on the dyadic grid 2^-bits."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

#: Of values on the grid: 2^64 times what float32 holds exactly, where any neuron fires at every timestep, or never.
_MOST_BITS = 24 + 64
#: Of float32.
_LARGEST_EXPONENT = 127


def straight_through_round(values: tf.Tensor, bits: ArrayLike) -> tf.Tensor:
    """Rounds to the nearest multiple of 2^-bits (ties to even); the gradient passes as if nothing was rounded."""
    unit = tf.constant(np.exp2(np.asarray(bits, np.float64)), dtype=values.dtype)
    return tf.grad_pass_through(lambda values: tf.round(values * unit) / unit)(values)


@keras.saving.register_keras_serializable(package="SnnToolbox")
class RoundToGrid(keras.layers.Layer):
    """Rounds to the nearest multiple of 2^-bits (ties to even) and casts to the layer's dtype.

    Sums of multiples of 2^-bits are exact in float32, in any order, as long as they stay below 2^(24 - bits). That is
    what makes spikes independent of batch size, block length and threads. Gradients pass straight through.

    Args:
        bits: Fractional bits of the grid.

    Input: float tensor of any shape; a float64 input is rounded in float64, before the cast.
    Output: tensor of the same shape, of the layer's dtype.

    Example:
        >>> import numpy as np, snn_toolbox_tf as snn
        >>> layer = snn.layers.RoundToGrid(bits=2)
        >>> [float(v) for v in layer(np.array([0.3, 0.9, -0.6]))]
        [0.25, 1.0, -0.5]
    """

    def __init__(self, bits: int, **kwargs: Any) -> None:
        # Keras would cast a float64 input to float32 before `call`: too early.
        super().__init__(autocast=False, **kwargs)
        self.bits = bits

    def call(self, inputs: Any) -> Any:
        """Returns the rounded inputs, none of them infinite: two infinite currents could cancel to NaN."""
        rounded = straight_through_round(tf.convert_to_tensor(inputs), self.bits)
        largest = 2.0 ** min(_MOST_BITS - self.bits, _LARGEST_EXPONENT)
        return tf.cast(tf.clip_by_value(rounded, -largest, largest), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "bits": self.bits}
