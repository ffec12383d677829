"""ReLUs of this package that have their upper bound as a weight."""

from snn_toolbox_tf.graph import LayerSpec, Refusal, sample_axis
from snn_toolbox_tf.layers import ThresholdReLU
from snn_toolbox_tf.parse.place import Place, as_float64

_ANOTHER_AXIS = Refusal(
    "its thresholds vary along an axis that does not count channels",
    "set its `axis` to that of the channels, or `per_channel=False`",
)
_NOT_POSITIVE = Refusal(
    "a threshold of it is not positive, so that no spike could stand for what it gives",
    "set its weight `threshold` to positive numbers, or train it again from such",
)


def lower_trained_rectifier(place: Place, layer: ThresholdReLU) -> str:
    """Adds the nonlinearity, with its thresholds."""
    threshold, rank = as_float64(layer.threshold), len(place.shape)
    if threshold.size > 1 and sample_axis(layer.axis, rank) != place.channel_axis % rank:
        return place.refuse(type(layer).__name__, _ANOTHER_AXIS)
    if not (threshold > 0).all():
        return place.refuse(type(layer).__name__, _NOT_POSITIVE)
    return place.activation(LayerSpec(type(layer).__name__, layer.get_config(), {"threshold": threshold}))
