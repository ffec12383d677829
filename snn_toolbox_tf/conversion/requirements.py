"""What options ask of model and data, said before any work."""

from collections.abc import Mapping

from snn_toolbox_tf.conversion.circuits import check_circuits_of_graph
from snn_toolbox_tf.conversion.neuron_options import population_names, recurrent_names
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.conversion.search import to_be_found
from snn_toolbox_tf.corrections import FEWEST_SAMPLES
from snn_toolbox_tf.distillation.settings import check_samples
from snn_toolbox_tf.foundation.argument_checks import did_you_mean
from snn_toolbox_tf.graph import Graph


def check_requirements(options: ConversionOptions, graph: Graph, *, samples: int | None) -> None:
    """Checks that options go together with what is to be converted.

    Args:
        options: The options.
        graph: The source's graph, with its populations.
        samples: Number of calibration samples, 0 without calibration data; None where they are not counted yet.

    Raises:
        ValueError: If they do not.
    """
    populations = population_names(graph)
    named = [("population_starts", name) for name in options.population_starts or {}]
    named += [("neuron", name) for name in (options.neuron if isinstance(options.neuron, Mapping) else {})]
    for argument, name in named:
        if name not in populations:
            raise ValueError(
                f"`{argument}` names {name!r}, which is no population of model '{graph.name}'. Expected names of "
                f"{populations}.{did_you_mean(name, populations)}"
            )
    check_circuits_of_graph(graph, softmax=options.softmax)
    recurrent = recurrent_names(graph)
    if recurrent and options.gradient is not None:
        raise ValueError(
            f"Model '{graph.name}' is recurrent, and calibration by gradient would give each window of the neurons of "
            f"'{recurrent[0]}' a threshold of its own. Use calibration='automatic'; `fit` trains weights that all "
            f"windows share. Received: calibration={options.calibration!r}"
        )
    if recurrent == populations and options.corrections:
        raise ValueError(
            f"All neurons of model '{graph.name}' ({', '.join(map(repr, recurrent))}) are recurrent: what is fitted to one "
            "window of them does not fit the others. Leave `corrections` out. "
            f"Received: corrections={list(options.corrections)}"
        )
    if samples == 0:
        _check_without_data(options)
    elif samples is not None:
        _check_samples(options, samples)
    if options.timesteps == "auto" and not to_be_found(graph):
        raise ValueError(
            f"All thresholds of model '{graph.name}' were trained, for a number of timesteps. Give a number of "
            "timesteps, for example that of the levels it was trained with. Received: timesteps='auto'"
        )


def _check_samples(options: ConversionOptions, samples: int) -> None:
    if options.gradient is not None:
        check_samples(samples)
    if options.timesteps == "auto" and samples < FEWEST_SAMPLES:
        raise ValueError(
            f"`timesteps='auto'` compares decisions on calibration samples that are held out. Expected at least "
            f"{FEWEST_SAMPLES} samples, better a few hundred. Received: {samples} samples"
        )


def _check_without_data(options: ConversionOptions) -> None:
    if options.gradient is not None:
        raise ValueError(
            "Calibration by gradient learns from samples. Expected `calibration_data`, a thousand typical samples or more, "
            f"without labels. Received: calibration={options.calibration!r}, calibration_data=None"
        )
    if options.bits is not None:
        raise ValueError(
            "Weights of few bits need `calibration_data`, on which thresholds and corrections make up for their rounding. "
            f"Pass a few hundred typical samples, without labels. Received: weight_bits={options.weight_bits!r}, "
            "calibration_data=None"
        )
    if options.timesteps == "auto":
        raise ValueError(
            "`timesteps='auto'` needs `calibration_data`, on which decisions are compared. Pass a few hundred samples, "
            "or a number of timesteps."
        )
    if options.corrections or options.threshold_rule is not None:
        raise ValueError(
            "Threshold rules and corrections look at samples. Expected `calibration_data`, a few hundred typical ones. "
            f"Received: threshold_rule={options.threshold_rule!r}, corrections={options.corrections!r}, "
            "calibration_data=None"
        )
