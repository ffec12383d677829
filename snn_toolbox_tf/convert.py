"""`convert_keras`: the whole way from a Keras model to a spiking one."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf import calibration, compilation, data, verification
from snn_toolbox_tf.calibration.from_data import observe_random_input, random_input
from snn_toolbox_tf.calibration.histogram import PositiveHistogram
from snn_toolbox_tf.calibration.thresholds import set_neuron_parameters
from snn_toolbox_tf.checks import check_name, check_positive_integer, check_seed
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.ops import RESETS
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import MAX_POOLINGS, to_balanced
from snn_toolbox_tf.passes.grid import observed, quantize
from snn_toolbox_tf.passes.normalize import normalize
from snn_toolbox_tf.simulation.encoding import INPUT_MODES

FORMS = ("normalized", "balanced")
DEFAULT_PERCENTILE = 99.9


def convert_keras(
    model: keras.Model,
    calibration_data: Any = None,
    *,
    timesteps: int = 32,
    percentile: float | None = None,
    per_channel: bool = True,
    max_rate: float = 1.0,
    threshold_scale: float = 1.0,
    v0: float = 0.5,
    reset: str = "subtract",
    input: str = "analog",
    form: str = "normalized",
    max_pooling: str = "accumulated",
    seed: int = 0,
    block_length: int | None = None,
    name: str | None = None,
) -> SpikingModel:
    """Converts a trained Keras model into a spiking neural network.

    Args:
        model: A built Sequential or Functional model with ReLU nonlinearities. It is not changed.
        calibration_data: Samples like those that the network will see, from which thresholds are taken: arrays in the
            structure of the model's inputs, or batches of them (a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            generator). A few hundred samples do. Without it, thresholds come from batch-norm statistics, or from the
            weights alone (Diehl et al. 2015), and are much worse.
        timesteps: T of `predict` and `evaluate`.
        percentile: theta is this percentile of the positive activations (Rueckauer et al. 2017), in (0, 100]. 99.9 if None.
            It is at least 2^-10 of the largest current that can come in one timestep, which matters to channels that are
            hardly ever positive.
        per_channel: One threshold per channel, or one per population.
        max_rate: Firing rate that an activation at the percentile shall have, in (0, 1]: headroom for larger ones.
        threshold_scale: Every theta is multiplied by it: more than 1 leaves headroom, less clips more activations and needs
            fewer timesteps.
        v0: Initial membrane potential in units of the threshold; 0.5 (theta/2) rounds rates to nearest.
        reset: "subtract" (soft reset) or "zero" (hard reset).
        input: "analog", "poisson" or "frames", see `SpikingModel`.
        form: "normalized" (thresholds 1, spikes 0 or 1, parameters on a grid that makes spikes reproducible) or "balanced"
            (the source's own weights, spikes of height theta), for inspection.
        max_pooling: What max pooling passes on: "accumulated", the growth of the largest accumulated current, which is exact
            in the limit of many timesteps; or "winner_take_all", the spikes of the neuron that fires most (Rueckauer et al.
            2017), which needs a population in front of each pooling.
        seed: Seed of Poisson input, and of the random input that verifies a conversion without calibration data.
        block_length: K, the number of timesteps that each synapse handles at once; None: by batch size and caches.
        name: Name of the spiking model; the source's with "_snn" if None.

    Returns:
        A `SpikingModel` with the source's loss and metrics, if it was compiled.

    Raises:
        TypeError: If `model` is not a Keras model or the data is not numeric.
        UnsupportedModelError: If the model holds what cannot be converted; the message lists all of it.
        ValueError: If an argument or the calibration data is not usable.
        ConversionError: If the converted graph, run as an ANN, does not give the source's outputs.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((64, 4), "float32")
        >>> model_snn = snn.convert_keras(model, x, timesteps=64)
        >>> model_snn.predict(x, verbose=0).shape
        (64, 3)
    """
    _check_arguments(percentile, per_channel, max_rate, threshold_scale, v0)
    check_name(reset, RESETS, "reset")
    check_name(input, INPUT_MODES, "input")
    check_name(form, FORMS, "form")
    check_name(max_pooling, MAX_POOLINGS, "max_pooling")
    check_positive_integer(timesteps, "timesteps")
    if block_length is not None:
        check_positive_integer(block_length, "block_length")
    check_seed(seed)
    graph = to_balanced(parse(model), max_pooling)
    network = Network(graph)
    if calibration_data is None:
        statistics = observe_random_input(network, seed)
    else:
        samples = data.Samples(calibration_data, graph, argument="calibration_data", merge_frames=input == "frames")
        statistics = calibration.observe_activations(network, samples)
    # Random input as well: calibration data that is all alike would prove little.
    pass_error = max(
        verification.check_same_function(model, network, inputs)
        for inputs in (statistics.first_batch, random_input(network, seed))
    )

    share = DEFAULT_PERCENTILE if percentile is None else float(percentile)
    if calibration_data is None:
        _warn_no_calibration_data(model.name)
        thresholds = calibration.thresholds_from_model(graph, share, max_rate=max_rate)
    else:
        _warn_of_silent_populations(statistics.histograms)
        _warn_of_zeros([node.name for node in inputs_of(graph) if not statistics.largest[node.name].any()])
        thresholds = calibration.percentile_thresholds(statistics, share, per_channel=per_channel, max_rate=max_rate)
        for node in inputs_of(graph):
            node.magnitude = float(statistics.largest[node.name].max()) or 1.0
    calibration.apply_thresholds(graph, {name: theta * threshold_scale for name, theta in thresholds.items()})
    calibration.raise_thresholds(graph, statistics.largest)
    set_neuron_parameters(graph, v0=float(v0), reset=reset)

    conversion = {
        "percentile": share,
        "per_channel": per_channel,
        "max_rate": max_rate,
        "threshold_scale": threshold_scale,
        "v0": v0,
        "reset": reset,
        "form": form,
        "max_pooling": max_pooling,
        "calibration_samples": 0 if calibration_data is None else statistics.samples,
        "pass_error": pass_error,
        "grid_error": 0.0,
        "thresholds": _thresholds_of(graph),
    }
    if form == "normalized":
        graph = graph.copy()
        scale = normalize(graph)
        quantize(graph, observed(graph, statistics.largest, scale), clip=calibration_data is not None)
    model_snn = SpikingModel(
        graph,
        timesteps=timesteps,
        input=input,
        seed=seed,
        block_length=block_length,
        conversion=conversion,
        name=name or f"{model.name}_snn",
    )
    if form == "normalized":
        conversion["grid_error"] = verification.check_grid(network, model_snn.network, statistics.first_batch)
        conversion["platform_exceptions"] = verification.platform_exceptions()
    model_snn.conversion.update(conversion)
    compilation.take_over(model, model_snn)
    return model_snn


def _check_arguments(
    percentile: Any,
    per_channel: Any,
    max_rate: Any,
    threshold_scale: Any,
    v0: Any,
) -> None:
    def number(value: Any) -> bool:
        real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        return real and math.isfinite(value)

    if percentile is not None and not (number(percentile) and 0 < percentile <= 100):
        raise ValueError(
            f"Expected `percentile` to be in (0, 100], for example 99.9. Received: percentile={percentile!r}"
        )
    if percentile is not None and percentile < 1:
        warnings.warn(
            f"percentile={percentile!r} is in percent: {100 * (1 - percentile / 100):g} % of the activations will saturate. "
            f"Did you mean {100 * percentile:g}?",
            stacklevel=3,
        )
    if not isinstance(per_channel, (bool, np.bool_)):
        raise ValueError(f"Expected `per_channel` to be True or False. Received: per_channel={per_channel!r}")
    if not (number(max_rate) and 0 < max_rate <= 1):
        raise ValueError(f"Expected `max_rate` to be in (0, 1], spikes per timestep. Received: max_rate={max_rate!r}")
    if not (number(threshold_scale) and threshold_scale > 0):
        raise ValueError(
            f"Expected `threshold_scale` to be a positive number. Received: threshold_scale={threshold_scale!r}"
        )
    if not (number(v0) and -1 <= v0 <= 1):
        raise ValueError(f"Expected `v0` to be in [-1, 1], in units of the threshold. Received: v0={v0!r}")


def _warn_of_silent_populations(histograms: Mapping[str, PositiveHistogram]) -> None:
    silent = [name for name, histogram in histograms.items() if not histogram.total.any()]
    if silent:
        warnings.warn(
            f"The calibration data drives no neuron of {', '.join(silent)}: their thresholds are arbitrary. "
            "Is it scaled as the model expects?",
            stacklevel=3,
        )


def _warn_of_zeros(inputs: list[str]) -> None:
    if inputs:
        warnings.warn(
            f"The calibration data for {', '.join(map(repr, inputs))} is all zeros, so that thresholds come from biases "
            "alone. Expected samples like those that the network will see.",
            stacklevel=3,
        )


def _warn_no_calibration_data(name: str) -> None:
    warnings.warn(
        f"No `calibration_data` was given for model '{name}': thresholds are estimated from batch-norm statistics and "
        "weights, which costs accuracy or many timesteps. Pass a few hundred typical samples, "
        "`convert_keras(model, calibration_data=x)`.",
        stacklevel=3,
    )


def _thresholds_of(graph: Graph) -> dict[str, Any]:
    return {node.name: node.threshold.tolist() for node in graph.of_type(Population)}
