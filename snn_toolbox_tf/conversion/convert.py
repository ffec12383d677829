"""`convert_keras`: the whole way from a Keras model to a spiking one, as a table of contents."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf import calibration
from snn_toolbox_tf.calibration import ThresholdRule
from snn_toolbox_tf.conversion import verification
from snn_toolbox_tf.conversion.final_form import put_on_grid
from snn_toolbox_tf.conversion.latency import check_no_rate_options, convert_to_latency, latency_code
from snn_toolbox_tf.conversion.learning import learn
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.conversion.populations import Calibrator
from snn_toolbox_tf.conversion.requirements import check_requirements
from snn_toolbox_tf.conversion.weight_bits import reduce_weights, thresholds_in_source_units
from snn_toolbox_tf.distillation import GradientCalibration
from snn_toolbox_tf.foundation.argument_checks import check_model_name
from snn_toolbox_tf.foundation.telling import Tell, tell_nobody
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.latency import LatencyCode, LatencyModel
from snn_toolbox_tf.model import DEFAULT_TIMESTEPS, ConversionRecord, SpikingModel, take_over_compilation
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import InputData
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.neurons import Neuron
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.synapses import is_recurrent, window_count
from snn_toolbox_tf.tasks import state_tasks


def convert_keras(
    model: keras.Model,
    calibration_data: Any = None,
    *,
    timesteps: int | str = DEFAULT_TIMESTEPS,
    tolerance: float | None = None,
    threshold_rule: str | ThresholdRule | None = None,
    corrections: Sequence[str] | None = None,
    percentile: float | None = None,
    per_channel: bool | None = None,
    threshold_scale: float | None = None,
    v0: float | None = None,
    population_starts: Mapping[str, int] | None = None,
    reset: str = "subtract",
    signed_spikes: bool = False,
    schedule: str = "step",
    input: str = "analog",
    form: str = "normalized",
    max_pooling: str = "accumulated",
    softmax: str = "decoded",
    bias: str = "current",
    bias_rate: float = 1.0,
    seed: int = 0,
    block_length: int | None = None,
    engine: str = "auto",
    calibration: str | GradientCalibration = "automatic",
    code: str | LatencyCode = "rate",
    timesteps_per_window: int | None = None,
    task: str | Mapping[str, str] = "auto",
    neuron: Neuron | Mapping[str, Neuron] | None = None,
    dt: float | None = None,
    weight_bits: int | str | None = None,
    name: str | None = None,
) -> SpikingModel | LatencyModel:
    """Converts a trained Keras model into a spiking neural network.

    Unless one of `threshold_rule`, `corrections`, `percentile`, `per_channel`, `threshold_scale`, `v0` and
    `population_starts` is given, thresholds and corrections are found: several ways are tried on one part of the calibration
    data, and the network whose decisions agree most with the source's on another part is taken.
    `print(model_snn.conversion)` tells of it, and `model_snn.conversion.trials` of what was tried. The neurons remain
    integrate-and-fire neurons with soft reset, weights are not changed, and labels are not used. With `reset="zero"` or
    `input="frames"` nothing is searched.

    Args:
        model: A built Sequential or Functional model with ReLU nonlinearities. It is not changed.
        calibration_data: Samples like those that the network will see, from which thresholds are taken: arrays in the
            structure of the model's inputs, or batches of them (a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            generator). A few hundred samples do. Without it, thresholds come from batch-norm statistics, or from the
            weights alone (Diehl et al. 2015), and are much worse.
        timesteps: T of `predict` and `evaluate`, for which thresholds and corrections are made; or "auto": the smallest T,
            up to 256, with which the decisions of no more than the share `tolerance` of samples differ from the source's.
        tolerance: See `timesteps`, with "auto" only; 0.01 if None. Of masks, the share of pixels counts; of numbers, their
            relative error.
        threshold_rule: How thresholds follow from the activations that calibration data cause: "percentile" (Rueckauer et
            al. 2017), "maximum" (Diehl et al. 2015), "mean_square_error" (for T timesteps; Li et al. 2021),
            "local_threshold_balancing" (Bu et al. 2025), or a function of your own of the statistics, see
            `snn_toolbox_tf.calibration.threshold_rules`.
        corrections: Names of corrections that are made one after the other, population after population, on the spikes that
            calibration data really cause: "shift", "biases", "thresholds", "initial_potentials", "neuron_potentials",
            "gains", "timed_biases", see `snn_toolbox_tf.corrections.steps`.
        percentile: theta is this percentile of the positive activations, in (0, 100]. 99.9 if None. It is at least 2^-10 of
            the largest current that can come in one timestep, which matters to channels that are hardly ever positive.
        per_channel: One threshold per channel, or one per population.
        threshold_scale: Every theta that was not trained is multiplied by it: more than 1 leaves headroom, less clips more
            activations and needs fewer timesteps.
        v0: Initial membrane potential in units of the threshold; 0.5 (theta/2) rounds rates to nearest. Neurons that stand
            for a `QuantizationClipFloorShift` start at theta/2, as they were trained to.
        population_starts: Numbers of timesteps by name of a population, for example `{"conv2_relu": 4}`: so long its neurons
            only integrate and do not fire, because their input settles meanwhile. The timesteps count in T, of which fewer
            are left to fire in. Not together with what is found on spikes, which assumes that all fire from the first
            timestep on: `corrections`, `timesteps="auto"`, `calibration="gradient"`.
        reset: "subtract" (soft reset) or "zero" (hard reset).
        signed_spikes: Whether a neuron may take spikes back, with spikes of -1, when inhibition comes late (Wang et al.
            2022): more accurate at few timesteps, for hardware with signed spikes (Loihi 2, whose spikes are graded).
        schedule: "step" (every population fires at every timestep) or "layer_synchronous" (each integrates all T timesteps
            before it fires: no transient, at a latency of T timesteps per layer).
        input: "analog", "poisson" or "frames", see `SpikingModel`.
        form: "normalized" (thresholds 1, spikes 0 or 1, parameters on a grid that makes spikes reproducible) or
            "unnormalized" (the source's own weights, spikes of height theta), for inspection.
        max_pooling: What max pooling passes on: "accumulated", the growth of the largest accumulated current, which is exact
            in the limit of many timesteps; or "winner_take_all", the spikes of the neuron that fires most (Rueckauer et al.
            2017), or "lateral_inhibition", those of the neuron that fires first and inhibits the others from then on. These
            two need a population in front of each pooling.
        softmax: What a softmax at an output becomes: "decoded", applied to the time-averaged current; or "spiking": at each
            timestep one output neuron spikes, drawn by the softmax of the potentials (Rueckauer et al. 2017), and the
            output is the share of its spikes.
        bias: "current", a bias current at every timestep; or "neuron", for hardware that has none: one neuron that fires at
            a constant rate feeds all biases through weights. With real-valued input, the biases of layers that depend on it
            alone remain a part of that current.
        bias_rate: With `bias="neuron"`, the spikes per timestep of that neuron, 1 / k with an integer k.
        seed: Seed of Poisson input, and of the random input that verifies a conversion without calibration data.
        block_length: K, the number of timesteps that each synapse handles at once; None: by batch size and caches.
        engine: What runs synapses that read spikes alone: "dense", their Keras layers; "event", native kernels that work
            only where there are spikes; "auto", what is faster. Spikes do not depend on it.
        calibration: "automatic", without gradients; or "gradient", after which the network learns from its source, on the
            calibration data, for this number of timesteps (or a `GradientCalibration`, which says how). It takes minutes.
        code: What spikes say: "rate", their number; or "latency", the time of the one spike that a neuron has (or a
            `LatencyCode`, which says more). Latency code is exact in continuous time. Of the arguments above, only `seed`
            has a meaning for it.
        timesteps_per_window: With code="latency", the number of timesteps of each window; None: continuous time.
        task: What outputs stand for: "classes", "regression", "segmentation", "boxes", or these by name of an output. It
            decides in what the spiking network has to agree with its source: in decisions, or in numbers. "auto": the
            source's loss and the last activation decide; linear outputs of a source without a loss are taken for logits.
        neuron: What neurons do, a value of `snn_toolbox_tf.neurons`, or a dict of them by name of a population;
            integrate-and-fire neurons if None. Thresholds leave room for refractory periods, a constant current makes up
            for a leak, and thresholds, initial potentials, gains and biases are found on the spikes of these neurons.
        dt: Length of a timestep in ms, in place of the neurons' own.
        weight_bits: Bits of each weight, for hardware with integer weights: every weight of an output channel is a scale
            times a whole number of so many bits (8: from -127 to 127), "ternary" (2 bits: -1, 0, 1) or "binary" (1 bit: -1,
            1). Thresholds and corrections are found for these weights, against the source's activations; all neurons of a
            population share one threshold. Needs `calibration_data`. None: weights are not rounded to few bits.
        name: Name of the spiking model; the source's with "_snn" if None.

    Returns:
        A `SpikingModel` with the source's loss and metrics, if it was compiled; for latency code a `LatencyModel`.

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
    options = ConversionOptions(
        timesteps=timesteps,
        tolerance=tolerance,
        threshold_rule=threshold_rule,
        corrections=corrections,
        percentile=percentile,
        per_channel=per_channel,
        threshold_scale=threshold_scale,
        v0=v0,
        population_starts=population_starts,
        reset=reset,
        signed_spikes=signed_spikes,
        schedule=schedule,
        input=input,
        form=form,
        max_pooling=max_pooling,
        softmax=softmax,
        bias=bias,
        bias_rate=bias_rate,
        seed=seed,
        block_length=block_length,
        engine=engine,
        calibration=calibration,
        task=task,
        neuron=neuron,
        dt=dt,
        weight_bits=weight_bits,
    )
    if name is not None:
        check_model_name(name)
    chosen = latency_code(code, timesteps_per_window)
    if chosen is not None:
        check_no_rate_options(options)
        return convert_to_latency(model, calibration_data, chosen, seed=options.seed, task=options.task, name=name)
    graph = to_spiking(parse(model).graph, options.max_pooling)
    return convert_graph(model, graph, calibration_data, options, name=name)


def convert_graph(
    model: keras.Model,
    graph: Graph,
    calibration_data: Any,
    options: ConversionOptions,
    *,
    name: str | None = None,
    tell: Tell = tell_nobody,
) -> SpikingModel:
    """Does what `convert_keras` does for a model whose graph has been parsed and put through the passes already.

    Args:
        model: The source.
        graph: Its graph; it is changed.
        calibration_data: As for `convert_keras`.
        options: The other arguments of `convert_keras`, checked.
        name: Name of the spiking model.
        tell: Is told how a long calibration proceeds.
    """
    calibrated = calibration_data is not None
    state_tasks(graph, options.task, model)
    check_requirements(options, graph, samples=None if calibrated else 0)
    network = Network(graph)
    if calibrated:
        frames = options.input == "frames"
        data = InputData(calibration_data, graph, argument="calibration_data", merge_frames=frames)
        statistics = calibration.observe_activations(network, data)
        check_requirements(options, graph, samples=statistics.samples)
    else:
        statistics = calibration.observe_random_input(network, options.seed)
    source = SourceFunction(model, graph)
    # Random input as well: calibration data that is all alike would prove little.
    random_input = calibration.random_input(network, options.seed)
    pass_error = max(
        verification.check_same_function(source, network, inputs) for inputs in (statistics.first_batch, random_input)
    )
    ann_outputs = network.decoded_ann_outputs(statistics.first_batch, shift=None)
    source_graph = None if options.gradient is None else graph.copy()
    reduced = None if options.bits is None else reduce_weights(graph, statistics, options, options.bits)
    seen = statistics
    if reduced is not None:
        network, seen = reduced.network, reduced.statistics
    calibrator = Calibrator(network, seen, options, tell, reduced)
    populations = calibrator.from_data() if calibrated else calibrator.without_data()
    recorded = populations.recorded
    for node in graph.of_type(Population):
        node.start = options.starts.get(node.shared_name, 0)
    if options.gradient is not None and source_graph is not None:
        input_options = InputOptions(options.input, options.seed)
        recorded = recorded | learn(
            source_graph, graph, statistics, options.gradient, populations.timesteps, input_options, tell
        )
    if populations.weights_changed or options.gradient is not None:
        ann_outputs = Network(graph).decoded_ann_outputs(statistics.first_batch, shift=None)
    record = ConversionRecord(
        **options.recorded(),
        **recorded,
        timesteps=populations.timesteps,
        windows=window_count(graph, options.schedule) if is_recurrent(graph) else 1,
        readout_start=max(readout.start for readout in graph.readouts),
        calibration_samples=statistics.samples if calibrated else 0,
        thresholds=thresholds_in_source_units(graph, reduced),
        pass_error=pass_error,
    )
    put_on_grid(graph, options, seen.largest)
    model_snn = SpikingModel(
        graph,
        timesteps=populations.timesteps,
        input=options.input,
        seed=options.seed,
        block_length=options.block_length,
        engine=options.engine,
        schedule=options.schedule,
        conversion=record,
        name=name or f"{model.name}_snn",
    )
    if options.form == "normalized":
        values = model_snn.network.run_as_ann(statistics.first_batch, shift=None)
        error = verification.check_grid(ann_outputs, model_snn.network, values)
        for node in graph.of_type(Population):
            node.expected_rate = float(np.clip(np.asarray(values[node.name]) / node.threshold, 0.0, 1.0).mean())
        exceptions = tuple(verification.platform_exceptions())
        model_snn.conversion = dataclasses.replace(record, grid_error=error, platform_exceptions=exceptions)
    take_over_compilation(model, model_snn)
    return model_snn
