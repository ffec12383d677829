"""What in a run's results suggests that something is wrong with it, in words."""

from collections.abc import Iterator

import numpy as np

from snn_toolbox_tf.analysis.diagnosis import FEW_SAMPLES, other_scales
from snn_toolbox_tf.analysis.fidelity import LARGE_ERROR, Fidelity
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.graph import MaxPool
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.report.measures import MEASURES, score_of, score_over_time
from snn_toolbox_tf.report.record import OutputRecord, RunRecord
from snn_toolbox_tf.report.text import number, percent

_MOSTLY = 0.9
_POINTS = 0.05
_AGREEMENT = 0.9
#: An error that is still at so much of what it was at half the timesteps does not fall.
_STANDS = 0.9


def suspicions(record: RunRecord, fidelity: Fidelity, model_snn: SpikingModel, samples: TestSamples) -> Iterator[str]:
    """Yields notes for the reader: outputs that fail with the layer at fault, data of another scale, silent populations.

    Args:
        record: The run.
        fidelity: Where the network departs from the ANN.
        model_snn: The spiking network.
        samples: The tested samples.
    """
    failures = [text for output in record.outputs for text in _failure(record, output)]
    if failures:
        yield " ".join([*failures, *filter(None, [fidelity.diagnosis])])
    largest = {name: float(np.abs(array).max()) for name, array in samples.x.items()}
    yield from map(str, other_scales(model_snn, largest))
    calibrated = model_snn.conversion.calibration_samples
    if 0 < calibrated < FEW_SAMPLES:
        yield f"Thresholds come from {calibrated} calibration samples only; a few hundred are usual."
    dead = [population.name for population in record.populations if population.dead >= _MOSTLY]
    if dead:
        yield (
            f"Nearly all neurons of {', '.join(dead)} never spike. Are test and calibration data preprocessed as the model "
            "expects, and are there enough timesteps?"
        )
    rules = {node.rule for node in model_snn.network.graph.of_type(MaxPool)} - {"accumulated"}
    if rules:
        yield (
            f"Max pooling passes the spikes of winners (maxpool_type = {rules.pop()}); layers behind it are counted as "
            "multiply-accumulates at every timestep, although they read spikes."
        )
    for output in record.outputs:
        yield from _chance(record, output)


def _chance(record: RunRecord, output: OutputRecord) -> Iterator[str]:
    if output.ann_measures.get("r2", 1.0) <= 0 and record.samples >= FEW_SAMPLES:
        yield (
            f"The ANN itself is no better than the mean of the targets (R² = {number(output.ann_measures['r2'], 3)} of "
            f"'{output.name}'). Is the test data preprocessed as in training, and are targets in the units of its outputs?"
        )
    if output.confusion is None or output.ann_accuracy is None or output.top_k > 1 or record.samples < FEW_SAMPLES:
        return
    classes = len(output.confusion)
    if output.ann_accuracy <= 1.2 / classes:
        yield (
            f"The ANN itself is right on {100 * output.ann_accuracy:.1f} % of the samples, which is chance for "
            f"{classes} classes ('{output.name}'). Is the test data preprocessed as in training, and are the "
            "labels in its order?"
        )


def _failure(record: RunRecord, output: OutputRecord) -> Iterator[str]:
    """Yields in what way an output fails: decisions far from the ANN's, or an error that does not fall."""
    error, half = output.relative_error, int(np.searchsorted(record.timesteps, record.timesteps[-1] / 2))
    course = (
        f"{number(error[half], 2)} after {int(record.timesteps[half]):,} timesteps, {number(error[-1], 2)} after "
        f"{int(record.timesteps[-1]):,}"
    )
    far = _distance(output)
    if far:
        yield far
    if half == len(error) - 1:
        return
    if error[-1] > LARGE_ERROR and error[-1] > _STANDS * error[half]:
        yield f"The relative error of '{output.name}' does not fall with more timesteps: {course}."
    elif far:
        yield f"Its relative error still falls: {course}."


def _distance(output: OutputRecord) -> str:
    """Returns how far the decisions are from those of the ANN, if they are far; the output itself if there are none."""
    name = output.name
    if output.accuracy is not None and output.ann_accuracy is not None:
        below = output.ann_accuracy - float(output.accuracy[-1])
        return f"The SNN's accuracy on '{name}' is {100 * below:.1f} points below the ANN's." if below > _POINTS else ""
    found = score_over_time(output)
    if found is not None:
        below, title = found[1] - float(found[0][-1]), MEASURES[score_of(output) or ""].lower
        return f"The SNN's {title} on '{name}' is {number(below, 2)} below the ANN's." if below > _POINTS else ""
    if output.task == "segmentation" and output.agreement is not None:
        share = float(output.agreement[-1])
        shown = f"The SNN decides as the ANN does on {percent(share, 1)} of the pixels only ('{name}')."
        return shown if share < _AGREEMENT else ""
    if output.agreement is not None:
        agreement = float(output.agreement[-1])
        shown = f"The SNN decides as the ANN does on {percent(agreement, 1)} of the samples only ('{name}')."
        return shown if agreement < _AGREEMENT else ""
    error = float(output.relative_error[-1])
    return f"The relative error of '{name}' is {number(error, 2)}." if error > 2 * LARGE_ERROR else ""
