"""What in a run's results suggests that something is wrong with it, in words."""

from collections.abc import Iterator

import numpy as np

from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.graph import MaxPool
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.report.record import RunRecord

_OTHER_SCALE = 4.0
_MOSTLY = 0.9
_MANY = 0.1
_POINTS = 0.05
_FEW_SAMPLES = 32


def suspicions(record: RunRecord, model_snn: SpikingModel, samples: TestSamples) -> Iterator[str]:
    """Yields notes for the reader: on the scale of the input, on silent and clipped populations, on accuracy.

    Args:
        record: The run.
        model_snn: The spiking network; it knows the largest input of its calibration data.
        samples: The tested samples.
    """
    yield from _scales(model_snn, samples)
    calibrated = model_snn.conversion.calibration_samples
    if 0 < calibrated < _FEW_SAMPLES:
        yield f"Thresholds come from {calibrated} calibration samples only; a few hundred are usual."
    dead = [population.name for population in record.populations if population.dead >= _MOSTLY]
    if dead:
        yield (
            f"Nearly all neurons of {', '.join(dead)} never spike. Are test and calibration data preprocessed as the model "
            "expects, and are there enough timesteps?"
        )
    clipped = [population.name for population in record.populations if population.clipped >= _MANY]
    if clipped:
        yield (
            f"Many activations of {', '.join(clipped)} are above the threshold, and so clipped. Is the calibration data "
            "like the test data? A higher percentile or v_thresh leaves more room."
        )
    if any(node.rule == "winner_take_all" for node in model_snn.network.graph.of_type(MaxPool)):
        yield (
            "Max pooling passes the spikes of winners (maxpool_type = winner_take_all); layers behind it are counted as "
            "multiply-accumulates at every timestep, although they read spikes."
        )
    for output in record.outputs:
        if output.accuracy is None or output.ann_accuracy is None:
            continue
        below = output.ann_accuracy - float(output.accuracy[-1])
        if below > _POINTS:
            yield (
                f"The SNN's accuracy on '{output.name}' is {100 * below:.1f} points below the ANN's. If it still "
                "rises with timesteps, more of them help; otherwise see the documentation, Debugging."
            )
        classes = len(output.confusion) if output.confusion is not None else None
        if classes and output.top_k == 1 and output.ann_accuracy <= 1.2 / classes and record.samples >= _FEW_SAMPLES:
            yield (
                f"The ANN itself is right on {100 * output.ann_accuracy:.1f} % of the samples, which is chance for "
                f"{classes} classes ('{output.name}'). Is the test data preprocessed as in training, and are the "
                "labels in its order?"
            )


def _scales(model_snn: SpikingModel, samples: TestSamples) -> Iterator[str]:
    if not model_snn.conversion.calibration_samples:
        return
    for node in inputs_of(model_snn.network.graph):
        tested, calibrated = float(np.abs(samples.x[node.name]).max()), node.magnitude
        if tested > _OTHER_SCALE * calibrated or _OTHER_SCALE * tested < calibrated:
            yield (
                f"The largest test input for '{node.name}' is {tested:.3g}, that of the calibration data {calibrated:.3g}: "
                "they are scaled differently. Preprocess both as in training."
            )
