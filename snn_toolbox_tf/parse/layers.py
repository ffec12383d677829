"""Each kind of Keras layer as nodes: one function per kind, and the table of them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import LayerSpec
from snn_toolbox_tf.parse.broadcasting import broadcast
from snn_toolbox_tf.parse.einsum import lower_einsum_dense
from snn_toolbox_tf.parse.place import Place, as_float64
from snn_toolbox_tf.parse.resampling import lower_resampling

_WEIGHT_NAMES = (
    "kernel",
    "bias",
    "depthwise_kernel",
    "pointwise_kernel",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "alpha",
)


def lower_layer(place: Place, layer: Any) -> str:
    """Adds the nodes of a layer's call, without the layer's own activation; returns the name of the last one."""
    class_name = type(layer).__name__
    if _is_scaled_sum(layer):
        return _scaled_sum(place, layer)
    if not vocabulary.is_keras_layer(layer):
        return place.refuse(f"{type(layer).__module__}.{class_name}", vocabulary.UNKNOWN_LAYER)
    if class_name in vocabulary.INACTIVE:
        return place.inputs[0]
    if class_name in _SPECIAL:
        lowered = _SPECIAL[class_name](place, layer)
        if lowered is not None:
            return lowered
    elif class_name in vocabulary.ACTIVATION_LAYERS:
        return place.activation(LayerSpec(class_name, layer.get_config(), weights_of(layer)))
    elif class_name in vocabulary.MAX_POOLS:
        return place.max_pool(LayerSpec(class_name, layer.get_config()))
    elif class_name in vocabulary.ROLES or class_name in vocabulary.REWRITTEN:
        return place.synapse(spec_of(layer))
    return place.refuse(class_name, vocabulary.REFUSALS.get(class_name, vocabulary.UNKNOWN_LAYER))


def spec_of(layer: Any) -> LayerSpec:
    """Returns a layer as data, without its activation."""
    config = layer.get_config()
    if "activation" in config:
        config["activation"] = "linear"
    return LayerSpec(type(layer).__name__, config, weights_of(layer))


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    """Returns a layer's weights by attribute name."""
    weights = {key: getattr(layer, key, None) for key in _WEIGHT_NAMES}
    # The alpha of a PReLU is a weight, that of an ELU a number.
    return {key: as_float64(value) for key, value in weights.items() if hasattr(value, "shape")}


def function_spec(function: Any) -> LayerSpec:
    """Returns an activation function (or a layer in its place) as a layer."""
    if isinstance(function, keras.layers.Layer) and vocabulary.is_keras_layer(function):
        return LayerSpec(type(function).__name__, function.get_config(), weights_of(function))
    name = getattr(function, "__name__", type(function).__name__)
    try:
        known = keras.activations.get(name) is function
    except ValueError:
        known = False
    return LayerSpec("Activation", {"activation": name if known else f"{vocabulary.CUSTOM_FUNCTION} {name}"})


def _activation(place: Place, layer: Any) -> str:
    spec = function_spec(layer.activation)
    return place.inputs[0] if spec.config.get("activation") == "linear" else place.activation(spec)


def _sum(place: Place, layer: Any) -> str | None:
    terms = [broadcast(place.graph, source, place.name, place.shape) for source in place.inputs]
    if None in terms:
        return place.refuse(type(layer).__name__, vocabulary.BROADCASTING)
    inputs = [name for name in terms if name is not None]
    return place.join(spec_of(layer), inputs)


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
    scaled = place.chain_from(second).affine(as_float64(float(layer.get_config()["scale"])).reshape(1)).node.name
    return place.join(LayerSpec("Add", {}), [first, scaled])


#: Layers that one spec does not describe. None is returned where such a layer has no place; its refusal says why.
_SPECIAL: dict[str, Callable[[Place, Any], str | None]] = {
    "Activation": _activation,
    "Add": _sum,
    "Subtract": _sum,
    "Average": _sum,
    "Concatenate": lambda place, layer: place.join(spec_of(layer), place.inputs),
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "EinsumDense": lower_einsum_dense,
    "UpSampling2D": _up_sampling,
    "Resizing": _resampling,
    "AdaptiveAveragePooling1D": _resampling,
    "AdaptiveAveragePooling2D": _resampling,
    "AdaptiveAveragePooling3D": _resampling,
    "CenterCrop": _center_crop,
}
