"""Lets a calibrated network learn from its source."""

from typing import Any

from snn_toolbox_tf.calibration import ActivationStatistics, raise_thresholds
from snn_toolbox_tf.distillation import GradientCalibration, distill
from snn_toolbox_tf.foundation.telling import Tell
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.simulation.inputs import InputOptions


def learn(
    source: Graph,
    graph: Graph,
    statistics: ActivationStatistics,
    settings: GradientCalibration,
    timesteps: int,
    input_options: InputOptions,
    tell: Tell,
) -> dict[str, Any]:
    """Trains a network by gradient; returns what the record says of it.

    Args:
        source: The source's graph.
        graph: The calibrated graph, changed in place.
        statistics: Of the calibration data.
        settings: How it is trained.
        timesteps: T.
        input_options: How input is encoded.
        tell: Is told of every pass.
    """
    outcome = distill(
        source, graph, statistics.reservoir, settings, timesteps=timesteps, input_options=input_options, tell=tell
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
