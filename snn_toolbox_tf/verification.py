"""Checks that a conversion kept the function, and that this machine's sums are exact on the grid."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.network import Network, inputs_of, pack

TOLERANCE = 1e-4
#: However much a network amplifies rounding: above this it would be no check.
LARGEST_TOLERANCE = 1e-2
GRID_TOLERANCE = 1e-2


class ConversionError(RuntimeError):
    """The converted graph does not compute what the source computes: a bug of this package, or of a layer's kernel."""


def check_same_function(model: keras.Model, network: Network, inputs: dict[str, np.ndarray]) -> float:
    """Compares the balanced network, run as an ANN, with its source.

    Args:
        model: The source model.
        network: The balanced network.
        inputs: An array `[batch, ...]` per input.

    Returns:
        max |difference| / max |output|, the largest over all outputs.

    Raises:
        ConversionError: If it is 1e-4 or more, and more than rounding explains: what a relative change of the input by 1e-6
            (8 times float32's precision) does to the source's own output.
    """
    arrays = [tf.constant(inputs[node.name]) for node in inputs_of(network.graph)]
    # Traced, because some channels-first operations of Keras are wrong when run eagerly.
    values = pack(network.graph.input_structure, arrays)
    source = tf.function(lambda values: model(values, training=False), autograph=False).get_concrete_function(values)
    expected = source(values)
    error = _relative(_ann_outputs(network, inputs), expected)
    if not error < TOLERANCE and not error < min(_effect_of_rounding(source, values, expected), LARGEST_TOLERANCE):
        raise ConversionError(
            f"The graph of model '{model.name}' differs from its source by {error:.2e} of the largest output on "
            f"{len(arrays[0])} samples, expected less than {TOLERANCE:g}. Please report this model's architecture."
        )
    return error


def _effect_of_rounding(source: Any, values: Any, expected: Any) -> float:
    """Returns how much a relative change of the input by 1e-6 changes the source's output: deep networks amplify it."""
    generator = np.random.default_rng(0)

    def changed(array: tf.Tensor) -> tf.Tensor:
        return array * tf.constant(1.0 + 1e-6 * generator.choice([-1.0, 1.0], array.shape), array.dtype)

    return _relative(source(keras.tree.map_structure(changed, values)), expected)


def check_grid(balanced: Network, normalized: Network, inputs: dict[str, np.ndarray]) -> float:
    """Compares the normalised network on its grid with the balanced one, both run as ANNs.

    Args:
        balanced: The balanced network.
        normalized: The normalised network.
        inputs: An array `[batch, ...]` per input.

    Returns:
        max |difference| / max |output|: the error that the grid makes.

    Raises:
        ConversionError: If it is 1e-2 or more.
    """
    error = _relative(_ann_outputs(normalized, inputs), _ann_outputs(balanced, inputs))
    if not error < GRID_TOLERANCE:
        raise ConversionError(
            f"The grid of network '{balanced.graph.name}' changes its outputs by {error:.2e} of the largest, expected less "
            f"than {GRID_TOLERANCE:g}. Is the calibration data scaled as the model expects? If it is: "
            "`form='balanced'` runs without a grid. Please report this model's architecture."
        )
    return error


def _ann_outputs(network: Network, inputs: dict[str, np.ndarray]) -> Any:
    values = network.run_as_ann({name: tf.constant(array) for name, array in inputs.items()})
    return network.decode([values[readout.node] for readout in network.graph.readouts])


def _relative(actual: Any, expected: Any) -> float:
    errors = []
    for ours, theirs in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
        errors.append(float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)))
    return max(errors)


def platform_exceptions() -> list[str]:
    """Runs one known convolution and one known product on the grid; returns what is not exact on this machine.

    On x86-64 CPUs nothing is expected. Reduced-precision modes (TF32, bfloat16 fast math) would show here.
    """
    generator = np.random.default_rng(0)
    spikes = generator.integers(0, 2, (2, 8, 8, 32)).astype(np.float32)
    weights = np.round(generator.normal(size=(3, 3, 32, 16)) * 2.0**13)
    grid = tf.constant(weights * 2.0**-13, tf.float32)
    found = []
    convolved = tf.nn.conv2d(spikes, grid, 1, "VALID").numpy()
    patches = np.lib.stride_tricks.sliding_window_view(spikes, (3, 3), axis=(1, 2))
    exact = np.einsum("bxycij,ijco->bxyo", patches.astype(np.int64), weights.astype(np.int64)) * 2.0**-13
    if not np.array_equal(convolved.astype(np.float64), exact):
        found.append("float32 convolutions are not exact on the grid on this machine")
    product = tf.matmul(spikes.reshape(2, -1), tf.reshape(grid, [-1, 16])[:288].numpy().repeat(8, 0)[:2048]).numpy()
    expected = spikes.reshape(2, -1).astype(np.float64) @ (weights.reshape(-1, 16).repeat(8, 0)[:2048] * 2.0**-13)
    if not np.array_equal(product.astype(np.float64), expected):
        found.append("float32 matrix products are not exact on the grid on this machine")
    return found
