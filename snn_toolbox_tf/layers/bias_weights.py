"""`BiasWeights`: from one neuron to all neurons of a layer."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="SnnToolbox")
class BiasWeights(keras.layers.Layer):
    """Connects one neuron with every neuron of a layer, with one weight per channel.

    Args:
        shape: Shape of the layer's output without the batch axis.
        channels: Number of weights: that of channels, or 1 for all.
        axis: The channels' axis, counted with the batch axis.

    Input: float tensor `[batch, 1]`. Output: `[batch, *shape]`.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> layer = snn.layers.BiasWeights(shape=(2, 3), channels=3)
        >>> layer.build((None, 1))
        >>> _ = layer.kernel.assign([1.0, 2.0, 3.0])
        >>> layer(keras.ops.ones((1, 1))).numpy().tolist()
        [[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]]
    """

    def __init__(self, shape: tuple[int, ...], channels: int, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.channels = channels
        self.axis = axis

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights `kernel`, of shape [channels], zeros."""
        self.kernel = self.add_weight(name="kernel", shape=(self.channels,), initializer="zeros")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Returns the weights of all neurons times the input."""
        sizes = [1] * (len(self.shape) + 1)
        spikes = keras.ops.reshape(inputs, [-1, *sizes[1:]])
        sizes[self.axis] = self.channels
        charges = spikes * keras.ops.reshape(self.kernel, sizes)
        return keras.ops.broadcast_to(charges, [keras.ops.shape(inputs)[0], *self.shape])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the layer's shape."""
        return (input_shape[0], *self.shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"shape": list(self.shape), "channels": self.channels, "axis": self.axis}
        return {**super().get_config(), **config}
