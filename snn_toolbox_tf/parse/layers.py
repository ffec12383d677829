"""Each kind of Keras layer as nodes: one function per kind, and the table of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from snn_toolbox_tf.activations import ACTIVATION_LAYERS
from snn_toolbox_tf.graph import LayerSpec, Synapse
from snn_toolbox_tf.layers import QuantizationClipFloorShift, ThresholdReLU
from snn_toolbox_tf.parse import refusals
from snn_toolbox_tf.parse.broadcasting import broadcast
from snn_toolbox_tf.parse.einsum import lower_einsum_dense
from snn_toolbox_tf.parse.place import Place, as_float64
from snn_toolbox_tf.parse.recurrent import lower_bidirectional, lower_recurrent
from snn_toolbox_tf.parse.registered import lower_registered
from snn_toolbox_tf.parse.resampling import lower_resampling
from snn_toolbox_tf.parse.specs import function_spec, is_keras_layer, spec_of, weights_of
from snn_toolbox_tf.parse.trained_rectifiers import lower_trained_rectifier
from snn_toolbox_tf.synapses import FAMILIES, MAX_POOLING, registered_name, scale_spec

#: Layers that do nothing at inference.
INACTIVE = {
    "Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout",
    "GaussianNoise", "ActivityRegularization", "RandomBrightness", "RandomContrast", "RandomFlip",
    "RandomRotation", "RandomTranslation", "RandomZoom", "RandomColorDegeneration", "RandomColorJitter",
    "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness", "RandomShear", "AugMix", "CutMix",
    "MixUp", "RandAugment",
}  # fmt: skip


def lower_layer(place: Place, layer: Any) -> str | list[str]:
    """Adds the nodes of a layer's call, without its own activation (`HAVE_THEIRS` aside); returns the last one's name.

    Of a layer with several outputs, one name for each.
    """
    class_name = type(layer).__name__
    if registered_name(layer) is not None:
        return lower_registered(place, layer)
    if type(layer) in (ThresholdReLU, QuantizationClipFloorShift):
        return lower_trained_rectifier(place, layer)
    if _is_scaled_sum(layer):
        return _scaled_sum(place, layer)
    if not is_keras_layer(layer):
        return place.refuse(f"{type(layer).__module__}.{class_name}", refusals.UNKNOWN_LAYER)
    if class_name in INACTIVE:
        return place.inputs[0]
    if class_name in SPECIAL:
        lowered = SPECIAL[class_name](place, layer)
        if lowered is not None:
            return lowered
    elif class_name in ACTIVATION_LAYERS:
        return place.activation(LayerSpec(class_name, layer.get_config(), weights_of(layer)))
    elif class_name in MAX_POOLING.class_names:
        return place.max_pool(LayerSpec(class_name, layer.get_config()))
    elif class_name in FAMILIES:
        return place.synapse(spec_of(layer))
    return place.refuse(class_name, refusals.REFUSALS.get(class_name, refusals.UNKNOWN_LAYER))


def _activation(place: Place, layer: Any) -> str:
    spec = function_spec(layer.activation)
    return place.inputs[0] if spec.config.get("activation") == "linear" else place.activation(spec)


def _batch_normalization(place: Place, layer: Any) -> str:
    """A Scale, which knows mean and variance of what it puts out: beta and gamma^2."""
    weights = weights_of(layer)
    size = weights["moving_mean"].size
    gamma, beta = weights.get("gamma", np.ones(size)), weights.get("beta", np.zeros(size))
    factor = gamma / np.sqrt(weights["moving_variance"] + layer.get_config()["epsilon"])
    offset = beta - weights["moving_mean"] * factor
    layer = scale_spec(factor, offset, place.channel_axis % len(place.shape) + 1)
    moments = (beta, gamma**2)
    return place.add(Synapse(place.name, place.inputs, place.shape, place.channel_axis, layer=layer, moments=moments))


def _joined(place: Place, class_name: str, spec: LayerSpec) -> str:
    """Adds a sum or a difference of tensors, whose shapes may differ."""
    terms = [broadcast(place.graph, source, place.name, place.shape) for source in place.inputs]
    if None in terms:
        return place.refuse(class_name, refusals.BROADCASTING)
    return place.join(spec, [name for name in terms if name is not None])


def _sum(place: Place, layer: Any) -> str:
    return _joined(place, type(layer).__name__, spec_of(layer))


def _average(place: Place, layer: Any) -> str:
    total = _joined(place, "Average", LayerSpec("Add", {}))
    if isinstance(place.graph[total], Synapse):
        name = place.graph.unique_name(f"{place.name}_scale")
        mean = dataclasses.replace(place, name=name, inputs=[total], origin=place.origin or place.name)
        return mean.synapse(scale_spec(np.full(1, 1.0 / len(place.inputs)), None, -1))
    return total


#: What a separable convolution says of its second part only.
_POINTWISE_ONLY = ("filters", "pointwise_initializer", "pointwise_regularizer", "pointwise_constraint")


def _separable_convolution(place: Place, layer: Any) -> str:
    """A depthwise and a pointwise convolution."""
    config, weights = layer.get_config(), weights_of(layer)
    dimensions = type(layer).__name__.removeprefix("SeparableConv")
    shape = list(place.shape)
    shape[place.channel_axis] = weights["pointwise_kernel"].shape[-2]
    depthwise = {key: value for key, value in config.items() if key not in _POINTWISE_ONLY}
    depthwise |= {"use_bias": False, "activation": "linear"}
    first = dataclasses.replace(
        place,
        name=place.graph.unique_name(f"{place.name}_depthwise"),
        shape=tuple(shape),
        origin=place.origin or place.name,
    ).synapse(LayerSpec(f"DepthwiseConv{dimensions}", depthwise, {"kernel": weights["depthwise_kernel"]}))
    pointwise = {
        "filters": config["filters"],
        "kernel_size": 1,
        "data_format": config["data_format"],
        "use_bias": config["use_bias"],
        "activation": "linear",
    }
    arrays = {"kernel": weights["pointwise_kernel"]}
    if "bias" in weights:
        arrays["bias"] = weights["bias"]
    return dataclasses.replace(place, inputs=[first]).synapse(LayerSpec(f"Conv{dimensions}", pointwise, arrays))


def _rescaling(place: Place, layer: Any) -> str | None:
    return place.affine(layer.scale, layer.offset)


def _normalization(place: Place, layer: Any) -> str | None:
    # Keras guards against a vanishing variance with its epsilon, 1e-7.
    deviation, mean = np.maximum(np.sqrt(as_float64(layer.variance)), 1e-7), as_float64(layer.mean)
    if layer.get_config().get("invert"):
        return place.affine(deviation, mean)
    return place.affine(1.0 / deviation, -mean / deviation)


def _up_sampling(place: Place, layer: Any) -> str | None:
    if layer.get_config().get("interpolation", "nearest") == "nearest":
        return place.synapse(spec_of(layer))
    return _resampling(place, layer)


def _resampling(place: Place, layer: Any) -> str | None:
    config = layer.get_config()
    like = type(layer).from_config({**config, "data_format": "channels_last", "name": None, "dtype": "float32"})
    return lower_resampling(place, like, channels_first=config.get("data_format") == "channels_first")


def _center_crop(place: Place, layer: Any) -> str | None:
    config = layer.get_config()
    first = config.get("data_format") == "channels_first"
    sizes = place.source.shape[1:] if first else place.source.shape[:2]
    free = [size - wanted for size, wanted in zip(sizes, (config["height"], config["width"]), strict=True)]
    if min(free) < 0:
        return None
    cropping = {"cropping": [[rest // 2, rest - rest // 2] for rest in free], "data_format": config.get("data_format")}
    return place.synapse(LayerSpec("Cropping2D", cropping))


def _is_scaled_sum(layer: Any) -> bool:
    """Whether a layer is the one that Keras's InceptionResNetV2 brings along: `a + scale * b`."""
    own = type(layer).__module__.endswith("applications.inception_resnet_v2")
    return own and type(layer).__name__ == "CustomScaleLayer"


def _scaled_sum(place: Place, layer: Any) -> str:
    first, second = place.inputs
    scale = as_float64(float(layer.get_config()["scale"])).reshape(1)
    return place.join(LayerSpec("Add", {}), [first, place.sequence(second).affine(scale).node.name])


#: Layers that one spec does not describe. None is returned where such a layer has no place; its refusal says why.
SPECIAL: dict[str, Callable[[Place, Any], str | list[str] | None]] = {
    "Activation": _activation,
    "Add": _sum,
    "Subtract": _sum,
    "Average": _average,
    "Concatenate": lambda place, layer: place.join(spec_of(layer), place.inputs),
    "BatchNormalization": _batch_normalization,
    "SeparableConv1D": _separable_convolution,
    "SeparableConv2D": _separable_convolution,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "EinsumDense": lower_einsum_dense,
    "UpSampling2D": _up_sampling,
    "Resizing": _resampling,
    "AdaptiveAveragePooling1D": _resampling,
    "AdaptiveAveragePooling2D": _resampling,
    "AdaptiveAveragePooling3D": _resampling,
    "CenterCrop": _center_crop,
    "SimpleRNN": lower_recurrent,
    "RNN": lower_recurrent,
    "Bidirectional": lower_bidirectional,
}

#: Layers whose functions above add their activations as well.
HAVE_THEIRS = {"SimpleRNN"}
