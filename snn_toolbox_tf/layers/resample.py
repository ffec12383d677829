"""`Resample`: interpolation (or averaging) along the spatial axes, as one matrix per axis."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="SnnToolbox")
class Resample(keras.layers.Layer):
    """Multiplies each spatial axis by a matrix, channel by channel.

    Every separable resampling is this: bilinear and bicubic up-sampling, resizing, adaptive average pooling. For two axes
    `y[p, q, c] = sum over i, j of rows[p, i] columns[q, j] x[i, j, c]`.

    Args:
        sizes: Number of outputs along each spatial axis.

    Input: float tensor `[batch, *spatial, channels]` with as many spatial axes as there are sizes, three at most.
    Output: float tensor `[batch, *sizes, channels]`.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> layer = snn.layers.Resample(sizes=[1])
        >>> layer.build((None, 2, 1))
        >>> layer.matrices[0].assign([[0.5, 0.5]]) is not None
        True
        >>> float(layer(keras.ops.reshape([1.0, 3.0], (1, 2, 1)))[0, 0, 0])
        2.0
    """

    def __init__(self, sizes: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = [int(size) for size in sizes]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates one matrix `[outputs, inputs]` per axis: `matrix_0`, `matrix_1`, ..."""
        for axis, size in enumerate(self.sizes):
            shape = (size, input_shape[axis + 1])
            weight = self.add_weight(name=f"matrix_{axis}", shape=shape, initializer="zeros", trainable=False)
            setattr(self, f"matrix_{axis}", weight)
        self.built = True

    @property
    def matrices(self) -> list[Any]:
        """The matrices, `[outputs, inputs]` per axis."""
        return [getattr(self, f"matrix_{axis}") for axis in range(len(self.sizes))]

    def call(self, inputs: Any) -> Any:
        """Returns the resampled inputs."""
        outputs = inputs
        for axis, matrix in enumerate(self.matrices):
            spatial = "hwd"[: len(self.sizes)]
            old = spatial[axis]
            outputs = keras.ops.einsum(f"p{old},b{spatial}c->b{spatial.replace(old, 'p')}c", matrix, outputs)
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape with the new sizes."""
        return (input_shape[0], *self.sizes, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "sizes": self.sizes}
