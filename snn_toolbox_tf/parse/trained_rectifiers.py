"""ReLUs of this package that have their upper bound as a weight."""

import dataclasses

from snn_toolbox_tf.graph import LayerSpec, Refusal, sample_axis
from snn_toolbox_tf.layers import ThresholdReLU
from snn_toolbox_tf.parse.place import Place, as_float64

_NOT_POSITIVE = Refusal(
    "a threshold of it is not positive, so that no spike could stand for what it gives",
    "set its weight `threshold` to positive numbers, or train it again from such",
)


def lower_trained_rectifier(place: Place, layer: ThresholdReLU) -> str:
    """Adds the nonlinearity, with its thresholds. Where there are several, the layer knows which axis counts channels."""
    threshold = as_float64(layer.threshold)
    if not (threshold > 0).all():
        return place.refuse(type(layer).__name__, _NOT_POSITIVE)
    if threshold.size > 1:
        place = dataclasses.replace(place, channel_axis=sample_axis(layer.axis, len(place.shape)))
    return place.activation(LayerSpec(type(layer).__name__, layer.get_config(), {"threshold": threshold}))
