"""Lets a calibrated network learn from its source."""

from typing import Any

from snn_toolbox_tf.calibration import ActivationStatistics, raise_thresholds
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.distillation import distill
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.simulation.inputs import InputOptions


def learn(
    source: Graph, graph: Graph, statistics: ActivationStatistics, options: ConversionOptions, timesteps: int
) -> dict[str, Any]:
    """Trains a network by gradient; returns what the record says of it.

    Args:
        source: The source's graph.
        graph: The calibrated graph, changed in place.
        statistics: Of the calibration data.
        options: Of the conversion.
        timesteps: T.
    """
    settings = options.gradient
    if settings is None:
        raise ValueError("Nothing says how to learn. Expected options with `calibration='gradient'`.")
    outcome = distill(
        source,
        graph,
        statistics.reservoir,
        settings,
        timesteps=timesteps,
        input_options=InputOptions(options.input, options.seed),
    )
    raise_thresholds(graph, statistics.largest)
    return {
        "calibration": "gradient",
        "calibrated_timesteps": timesteps,
        "epochs": outcome.epochs,
        "learning_rate": outcome.learning_rate,
        "agreement_before": outcome.before.decisions,
        "agreement": outcome.after.decisions,
    }
