"""Checks that a conversion kept the function, and that this machine's sums are exact on the grid."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.foundation.errors import ConversionError
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.parse.source_model import flat_layers

TOLERANCE = 1e-4
#: However much a network amplifies rounding: above this it would be no check.
LARGEST_TOLERANCE = 1e-2
GRID_TOLERANCE = 1e-2
#: Of what the steps of quantised ReLUs do to the outputs.
STEPS_TOLERANCE = 0.25
#: Of these steps while networks are compared: no fraction of small numbers.
OTHER_SHIFT = (3 - 5**0.5) / 2


def check_same_function(source: SourceFunction, network: Network, inputs: dict[str, np.ndarray]) -> float:
    """Compares a network with its source's weights, run as an ANN, with its source.

    Args:
        source: The source model.
        network: The network.
        inputs: An array `[batch, ...]` per input.

    Quantised ReLUs are compared twice: without their steps, which turn the last bit of a sum that lies on one into a whole
    step; and with them, see `_check_steps`.

    Returns:
        max |difference| / max |output|, the largest over all outputs; without steps.

    Raises:
        ValueError: If the source does not run, or its outputs are not finite.
        ConversionError: If it is 1e-4 or more, in float64 as well, and more than rounding explains: what a relative change
            of the input by 1e-6 (8 times float32's precision) does to the source's own output.
    """
    if not any(node.levels for node in network.graph.of_type(Population)):
        return _check_same_function(source, network, inputs)
    error = _check_same_function(source.with_shift(None), network, inputs)
    _check_steps(source, network, inputs)
    return error


def _check_same_function(source: SourceFunction, network: Network, inputs: dict[str, np.ndarray]) -> float:
    name = source.model.name
    try:
        expected = source(inputs)
    except (tf.errors.InvalidArgumentError, ValueError) as failure:
        raise ValueError(
            f"Model '{name}' does not run in a graph of TensorFlow, as `predict` runs it: {_last_line(failure)}. Expected a "
            f"model whose `predict` works. {_fault_of_graphs(source.model)}"
        ) from failure
    if not all(np.isfinite(np.asarray(output)).all() for output in keras.tree.flatten(expected)):
        raise ValueError(
            f"Model '{name}' gives NaN or infinite outputs on ordinary data. Expected weights for which float32 "
            "suffices: the training diverged, or the file is damaged."
        )
    error = relative_error(network.decoded_ann_outputs(inputs, shift=None), expected)
    if not error < TOLERANCE:
        # The network may round what its source does not: it takes a clip apart into sums.
        exact = Network(network.graph_with_weights(), dtype="float64")
        error = min(error, relative_error(exact.decoded_ann_outputs(inputs, shift=None), expected))
    if not error < TOLERANCE and not error < min(_effect_of_rounding(source, inputs, expected), LARGEST_TOLERANCE):
        samples = len(next(iter(inputs.values())))
        raise ConversionError(
            f"The graph of model '{name}' differs from its source by {error:.2e} of the largest output on {samples} "
            f"samples, expected less than {TOLERANCE:g}. {_explanation(source.model)}"
        )
    return error


def _explanation(model: keras.Model) -> str:
    """Says what may be the reason: a fault of Keras's own, or one of this package."""
    suspects = [layer.name for layer in flat_layers(model) if _adds_bias_along_the_wrong_axis(layer)]
    if suspects:
        return (
            "The reason is likely Keras, which adds the bias of channels-first layers along the last axis where that has "
            f"as many elements as there are channels: {', '.join(map(repr, suspects))}. Use channels last, or another "
            "number of filters."
        )
    return _fault_of_graphs(model) or "Please report this model's architecture."


def _fault_of_graphs(model: keras.Model) -> str:
    """Says which fault of TensorFlow's graphs may be the reason; nothing if none is known of these layers."""
    layers = flat_layers(model)
    padding = [repr(layer.name) for layer in layers if type(layer).__name__ == "ZeroPadding3D"]
    if not padding or not any(_pads_itself(layer) for layer in layers):
        return ""
    return (
        "The reason is likely TensorFlow, which in graphs forgets padding='same' of a Conv3D that stands behind a "
        f"ZeroPadding3D ({', '.join(padding)}). Pad in one of the two only, or set the "
        "environment variable TF_ENABLE_ONEDNN_OPTS=0."
    )


def _pads_itself(layer: Any) -> bool:
    return type(layer).__name__ == "Conv3D" and layer.padding == "same"


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "[[{{" not in line]
    return lines[-1] if lines else type(error).__name__


def _adds_bias_along_the_wrong_axis(layer: Any) -> bool:
    config = layer.get_config()
    kind = type(layer).__name__
    affected = kind.startswith(("SeparableConv", "DepthwiseConv")) or kind.endswith("Transpose") or kind == "Conv3D"
    if not affected or config.get("data_format") != "channels_first" or not config.get("use_bias"):
        return False
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        # A layer with several calls, or inside a wrapper, has no one output to tell.
        return True
    return shape[-1] == shape[1]


def _check_steps(source: SourceFunction, network: Network, inputs: dict[str, np.ndarray]) -> None:
    """Compares the steps of quantised ReLUs, where the network is its source's function without them.

    Rounding moves sums that lie on a step. That these are few, the steps stand elsewhere for this, in both networks: where
    sums of a few whole steps do not come. Other steps than the source's move all neurons instead, and change the outputs
    about as much as the source's own do.

    Raises:
        ConversionError: If the network's steps are not those of its source.
    """
    expected = source.with_shift(OTHER_SHIFT)(inputs)
    without_steps = source.with_shift(None)(inputs)
    difference = _mean_difference(network.decoded_ann_outputs(inputs, shift=OTHER_SHIFT), expected)
    allowed = max(TOLERANCE, STEPS_TOLERANCE * _mean_difference(without_steps, expected))
    if not difference < allowed:
        raise ConversionError(
            f"The quantised ReLUs of model '{source.model.name}' have other steps in the converted network: its outputs "
            f"differ by {difference:.2e} of the largest on average, expected less than {allowed:.2e}. Please report this "
            "model's architecture."
        )


def _effect_of_rounding(source: SourceFunction, inputs: dict[str, np.ndarray], expected: Any) -> float:
    """Returns how much a relative change of the input by 1e-6 changes the source's output: deep networks amplify it."""
    generator = np.random.default_rng(0)
    changed = {
        name: array * (1.0 + 1e-6 * generator.choice([-1.0, 1.0], array.shape)).astype(np.float32)
        for name, array in inputs.items()
    }
    return relative_error(source(changed), expected)


def check_grid(expected: Any, normalized: Network, values: dict[str, Any]) -> float:
    """Compares the normalised network on its grid, run as an ANN, with what it gave before.

    Args:
        expected: The outputs of the network with its source's weights, without steps of quantised ReLUs.
        normalized: The normalised network.
        values: What its nodes give on the same inputs, likewise.

    Returns:
        max |difference| / max |output|: the error that the grid makes.

    Raises:
        ConversionError: If it is 1e-2 or more.
    """
    outputs = normalized.decode([values[readout.node] for readout in normalized.graph.readouts])
    error = relative_error(outputs, expected)
    if not error < GRID_TOLERANCE:
        raise ConversionError(
            f"The grid of network '{normalized.graph.name}' changes its outputs by {error:.2e} of the largest, expected "
            f"less than {GRID_TOLERANCE:g}. Is the calibration data scaled as the model expects? If it is: "
            "`form='unnormalized'` runs without a grid. Please report this model's architecture."
        )
    return error


def relative_error(actual: Any, expected: Any) -> float:
    """Returns max |difference| / max |expected|, the largest over all outputs."""
    return max(float(error.max()) for error in _differences(actual, expected))


def _mean_difference(actual: Any, expected: Any) -> float:
    return max(float(error.mean()) for error in _differences(actual, expected))


def _differences(actual: Any, expected: Any) -> Iterator[np.ndarray]:
    """Yields |difference| / max |expected| for every output."""
    for ours, theirs in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
        yield np.abs(ours - theirs) / max(np.abs(theirs).max(), 1e-30)


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
