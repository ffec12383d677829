"""`with_trainable_thresholds`: a model whose ReLUs have thresholds that are trained, to be fine-tuned as an ANN."""

import warnings
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf import calibration
from snn_toolbox_tf.activations import rectifier_of
from snn_toolbox_tf.foundation.argument_checks import (
    check_model_name,
    check_one_of,
    check_percentile,
    check_positive_integer,
)
from snn_toolbox_tf.foundation.errors import UnsupportedModelError
from snn_toolbox_tf.graph import Activation, Graph, Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import InputData
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.training.replace_rectifiers import Replacement, replace_rectifiers

ACTIVATIONS = ("quantization_clip_floor_shift", "threshold_relu")


def with_trainable_thresholds(
    model: keras.Model,
    calibration_data: Any,
    *,
    activation: str = "quantization_clip_floor_shift",
    levels: int = 8,
    percentile: float = 99.9,
    per_channel: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Returns a model with the same weights, in which every inner ReLU has a threshold that is trained.

    Train it like any Keras model, for a few epochs with a small learning rate, and convert it: `convert_keras` takes the
    trained thresholds. Replaced are ReLUs as layers, as `activation="relu"` and as functions of `keras.ops`, with an upper
    bound (ReLU6) or without. What is an output of the model stays, and so do rectifiers with a slope below zero.

    Args:
        model: A trained Sequential or Functional model that can be converted. It is not changed.
        calibration_data: Samples like those that the network will see, as for `convert_keras`.
        activation: "quantization_clip_floor_shift", `snn_toolbox_tf.layers.QuantizationClipFloorShift`, for which a few
            timesteps are enough; or "threshold_relu", `snn_toolbox_tf.layers.ThresholdReLU`, which does not depend on the
            number of timesteps.
        levels: L, the number of timesteps to train for; a threshold ReLU has none.
        percentile: Each theta begins as this percentile of the positive activations that calibration data cause, in
            (0, 100]; a threshold that has been trained before, as it is.
        per_channel: Whether each channel has a theta of its own.
        name: Name of the new model; the source's if None.

    Returns:
        A Functional model with new layers, not compiled. A ReLU that was part of a layer follows it as a layer of its own,
        `<layer>_relu`.

    Raises:
        TypeError: If `model` is not a Keras model or the data is not numeric.
        UnsupportedModelError: If the model cannot be converted, or has no inner ReLU.
        ValueError: If an argument or the calibration data is not usable.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> hidden = keras.layers.Dense(8, "relu", name="hidden")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((64, 4), "float32")
        >>> tuned = snn.with_trainable_thresholds(model, x, levels=4)
        >>> tuned.compile("adam", "mse")
        >>> history = tuned.fit(x, model.predict(x, verbose=0), epochs=2, verbose=0)
        >>> model_snn = snn.convert_keras(tuned, x, timesteps=4)
        >>> bool(model_snn.thresholds()["hidden_relu"] == tuned.get_layer("hidden_relu").threshold[0])
        True
    """
    check_one_of(activation, ACTIVATIONS, "activation")
    check_positive_integer(levels, "levels")
    check_percentile(percentile)
    if not isinstance(per_channel, bool):
        raise ValueError(f"Expected `per_channel` to be True or False. Received: per_channel={per_channel!r}")
    if name is not None:
        check_model_name(name)
    parsed = parse(model)
    sources = {origin.name: origin.source for origin in parsed.origins}
    # The channel axis of every ReLU, by the part of the source that it is.
    # Those of recurrent layers keep them: nothing can stand inside such a layer.
    relus = [node for node in parsed.graph.of_type(Activation) if _is_relu(node) and not node.tied]
    axes = {node.origin: node.channel_axis - len(node.shape) for node in relus}
    # In front of any pooling: there a ReLU stays where it is, as it does in the new model.
    graph = to_spiking(parsed.graph, "winner_take_all")
    populations = [node for node in graph.of_type(Population) if node.origin in axes]
    if not populations:
        raise UnsupportedModelError(
            f"Model '{model.name}' has no inner ReLU that a threshold could be given to. Expected ReLUs, with or without an "
            "upper bound; rectifiers with a slope below zero keep it, and outputs stay as they are."
        )
    _find_thresholds(graph, {node.name for node in populations}, calibration_data, percentile, per_channel=per_channel)
    replacements: dict[int, Replacement] = {}
    for node in populations:
        source, theta = sources[node.origin], node.threshold.reshape(-1)
        # A layer that is called several times has one threshold: the largest.
        if id(source) in replacements:
            theta = np.maximum(theta, replacements[id(source)].threshold)
        replacements[id(source)] = Replacement(theta, axes[node.origin])
    return replace_rectifiers(model, replacements, levels if activation == ACTIVATIONS[0] else None, name or model.name)


def _find_thresholds(
    graph: Graph, names: set[str], calibration_data: Any, percentile: float, *, per_channel: bool
) -> None:
    """Writes thresholds into the graph; those of the named populations will be used."""
    data = InputData(calibration_data, graph, argument="calibration_data")
    statistics = calibration.observe_activations(Network(graph), data)
    silent = [name for name in statistics.silent_populations if name in names]
    if silent:
        warnings.warn(
            f"The calibration data drives no neuron of {', '.join(silent)}: their thresholds begin "
            "at 1. Is it scaled as the model expects?",
            stacklevel=3,
        )
    rule = calibration.threshold_rule("percentile", calibration.RuleSettings(percentile))
    found = calibration.thresholds_from_data(statistics, rule, per_channel=per_channel)
    calibration.apply_thresholds(graph, found)


def _is_relu(node: Activation) -> bool:
    rectifier = rectifier_of(node.layer)
    return rectifier is not None and rectifier.plain
