"""Layers of Keras 2 as layers of Keras 3: what was called otherwise, as tables."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from snn_toolbox_tf.model_files.origin import RefusedLayerError, in_one_line

#: What matters to training only, or is said elsewhere.
_WITHOUT_EFFECT = {
    "trainable", "batch_input_shape", "input_dtype", "old_output_shape", "fused", "virtual_batch_size", "renorm_clipping",
    "renorm_momentum", "synchronized", "input_length", "input_dim", "rng_type",
}  # fmt: skip
_ENDINGS_WITHOUT_EFFECT = ("_initializer", "_regularizer", "_constraint")


@dataclasses.dataclass(frozen=True)
class Step:
    """How a layer of Keras 2 is written in Keras 3.

    Attributes:
        class_name: Its class in Keras 3.
        renamed: Options that have another name in Keras 3.
        fixed: Options that Keras 3 has not any more, with the values that change nothing.
        defaults: Options that early releases did not write, and Keras 3 would take from its own configuration.
    """

    class_name: str
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_CHANNELS_LAST = {"data_format": "channels_last"}
_ONE_GROUP = {"groups": (1, None), "filters": (None,)}


def _of_dimensions(*names: str, **options: Any) -> dict[str, Step]:
    """Entries of layers in one, two and three dimensions, as far as Keras has them."""
    classes = [name.format(number) for name in names for number in (1, 2, 3)]
    return {name: Step(name, defaults=_CHANNELS_LAST, **options) for name in classes if hasattr(keras.layers, name)}


_UNCHANGED = (
    "Dense", "Activation", "Dropout", "Reshape", "Permute", "RepeatVector", "Masking", "ActivityRegularization",
    "GaussianNoise", "GaussianDropout", "AlphaDropout", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
    "Concatenate", "Dot", "LayerNormalization", "UnitNormalization", "GroupNormalization", "Normalization", "Rescaling",
    "ELU", "PReLU", "Softmax", "ReLU", "Embedding", "EinsumDense", "Identity", "ZeroPadding1D", "Cropping1D",
    "UpSampling1D",
)  # fmt: skip
LAYERS: dict[str, Step] = {
    **{name: Step(name) for name in _UNCHANGED},
    **_of_dimensions(
        *("Conv{}D", "MaxPooling{}D", "AveragePooling{}D", "GlobalMaxPooling{}D", "GlobalAveragePooling{}D"),
    ),
    **{
        f"SpatialDropout{number}D": Step(f"SpatialDropout{number}D", fixed={"noise_shape": (None,)})
        for number in (1, 2, 3)
    },
    **_of_dimensions("Conv{}DTranspose", fixed={"groups": (1, None)}),
    **_of_dimensions("DepthwiseConv{}D", fixed=_ONE_GROUP),
    **_of_dimensions("SeparableConv{}D", fixed={"groups": (1, None)}),
    **{
        name: Step(name, defaults=_CHANNELS_LAST)
        for name in (
            *("ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D", "Flatten"),
            *("Resizing", "CenterCrop"),
        )
    },
    **{
        name: Step("BatchNormalization", fixed={"renorm": (False, None), "adjustment": (None,)})
        for name in ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization")
    },
    # How it was computed, and whether time came first.
    "SimpleRNN": Step("SimpleRNN", fixed={"implementation": (0, 1, 2), "time_major": (False,)}),
    "LeakyReLU": Step("LeakyReLU", {"alpha": "negative_slope"}),
    "ThresholdedReLU": Step("ReLU", {"theta": "threshold"}),
    **{f"Random{kind}": Step(f"Random{kind}") for kind in ("Flip", "Rotation", "Zoom", "Translation", "Contrast")},
}

_RECURRENT = (
    "of recurrent layers only SimpleRNN is rebuilt: gates multiply one rate by another, which has no form in spikes",
    "Use SimpleRNN with ReLU in place of it, and train anew",
)
_CODE = (
    "it holds Python code, which is not run from a file",
    "Replace it by layers in the Keras that wrote the file, and save the model again",
)
_GONE = (
    "Keras 3 has no such layer",
    "Rebuild that part from layers that Keras 3 has, and copy the weights",
)
REFUSED: dict[str, tuple[str, str]] = {
    "Lambda": _CODE,
    "TensorFlowOpLayer": _CODE,
    **dict.fromkeys(
        (
            *("RNN", "LSTM", "GRU", "LSTMV1", "GRUV1", "CuDNNLSTM", "CuDNNGRU", "Bidirectional"),
            *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvRecurrent2D"),
        ),
        _RECURRENT,
    ),
    **dict.fromkeys(
        (
            *("LocallyConnected1D", "LocallyConnected2D", "MaxoutDense", "Highway", "SReLU", "ParametricSoftplus"),
            *("SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty"),
        ),
        _GONE,
    ),
}
_NOT_OF_KERAS = (
    "it is none of the layers that are rebuilt",
    "If it is a class of your own, register it with `keras.saving.register_keras_serializable` before reading the file",
)

#: Activations that compute in Keras 3 what they computed before.
_ACTIVATIONS = {
    "linear", "relu", "relu6", "softmax", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "exponential", "gelu",
    "swish", "silu", "mish", "leaky_relu",
}  # fmt: skip


def to_keras3(class_name: str, config: dict[str, Any]) -> keras.layers.Layer:
    """Returns a layer of Keras 2, without weights, as a layer of Keras 3.

    Raises:
        RefusedLayerError: If Keras 3 has none that computes the same.
    """
    if class_name in REFUSED:
        raise RefusedLayerError(*REFUSED[class_name])
    if class_name not in LAYERS:
        own = keras.saving.get_registered_object(class_name)
        if own is None:
            raise RefusedLayerError(*_NOT_OF_KERAS)
        return own.from_config(config)
    step = LAYERS[class_name]
    for key, values in step.fixed.items():
        if config.get(key) not in (*values, None):
            raise RefusedLayerError(f"it has {key}={config[key]!r}, which Keras 3 does not know", _GONE[1])
    kept = {
        step.renamed.get(key, key): _plain(value)
        for key, value in config.items()
        if key not in _WITHOUT_EFFECT and key not in step.fixed and not key.endswith(_ENDINGS_WITHOUT_EFFECT)
    }
    options = {**step.defaults} | {key: _VALUES[key](value) if key in _VALUES else value for key, value in kept.items()}
    try:
        return getattr(keras.layers, step.class_name).from_config(options)
    except (TypeError, ValueError) as error:
        reason = f"Keras 3 does not take its options: {in_one_line(error, 300)}"
        raise RefusedLayerError(reason, _GONE[1]) from error


def _plain(value: Any) -> Any:
    """A number, where Keras wrote it as an array."""
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        value = value["config"]
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _activation(value: Any) -> Any:
    """The name of an activation; a layer's configuration where a layer was used as a function."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value["config"]
    if isinstance(value, dict):
        return to_keras3(value["class_name"], value["config"])
    if value == "hard_sigmoid":
        raise RefusedLayerError(
            "its hard_sigmoid rose by 0.2 per unit, that of Keras 3 rises by 1/6",
            "Take another activation, and train anew",
        )
    if value is None or value in _ACTIVATIONS or keras.saving.get_registered_object(str(value)) is not None:
        return value
    raise RefusedLayerError(
        f"its activation {value!r} is not known",
        "If it is a function of your own, register it with `keras.saving.register_keras_serializable` before reading the "
        "file",
    )


def _axis(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def dtype_name(value: Any) -> Any:
    """The name of a dtype or of a policy."""
    return value["config"]["name"] if isinstance(value, dict) else value


def _without_slashes(name: str) -> str:
    # Keras 3 puts slashes between the names of nested layers.
    return name.replace("/", "_")


_VALUES = {"activation": _activation, "axis": _axis, "dtype": dtype_name, "name": _without_slashes}
