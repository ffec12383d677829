"""Layers of Keras 1 as layers of Keras 2: what was called otherwise, as tables."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from snn_toolbox_tf.model_files.origin import RefusedLayerError

_DATA_FORMATS = {"th": "channels_first", "tf": "channels_last"}

#: What matters to training only, or is said elsewhere.
_WITHOUT_EFFECT = {
    "init", "inner_init", "beta_init", "gamma_init", "weights", "momentum", "input_dim", "input_length", "input_dtype",
    "consume_less", "create_input_layer", "name", "trainable", "batch_input_shape", "sparse", "cache_enabled",
    "custom_output_shape", "node_indices", "tensor_indices", "output_mask", "output_mask_type", "arguments",
    "output_shape_type", "mode_type",
}  # fmt: skip
_ENDINGS_WITHOUT_EFFECT = ("_regularizer", "_constraint")
_Options = Mapping[str, str | tuple[str, ...]]
_REMEDY = "Replace the layer in the Keras that wrote the file, and train anew"


@dataclasses.dataclass(frozen=True)
class Old:
    """How a layer of Keras 1 is written in Keras 2.

    Attributes:
        class_name: Its class in Keras 2.
        options: Options by their names in Keras 2: the name in Keras 1, or several whose values are listed.
        fixed: Options by their names in Keras 1 that must have one value, and why no other.
    """

    class_name: str
    options: _Options
    fixed: Mapping[str, tuple[Any, str]] = dataclasses.field(default_factory=dict)


def _same(*names: str) -> dict[str, str | tuple[str, ...]]:
    return {name: name for name in names}


_ACTIVE: _Options = {"activation": "activation", "use_bias": "bias"}
_CONVOLUTION: _Options = {**_ACTIVE, "filters": "nb_filter", "padding": "border_mode"}
_CONVOLUTION_1D: _Options = {**_CONVOLUTION, "kernel_size": "filter_length", "strides": "subsample_length"}
_IMAGE: _Options = {"data_format": "dim_ordering"}
_CONVOLUTION_2D: _Options = {**_CONVOLUTION, **_IMAGE, "kernel_size": ("nb_row", "nb_col"), "strides": "subsample"}
_CONVOLUTION_3D: _Options = {
    **_CONVOLUTION_2D,
    "kernel_size": ("kernel_dim1", "kernel_dim2", "kernel_dim3"),
}
_POOLING_1D: _Options = {"pool_size": "pool_length", "strides": "stride", "padding": "border_mode"}
_POOLING: _Options = {**_IMAGE, **_same("pool_size", "strides"), "padding": "border_mode"}
_RATE: _Options = {"rate": "p"}

OLD_LAYERS: dict[str, Old] = {
    "InputLayer": Old("InputLayer", {}),
    "Dense": Old("Dense", {**_ACTIVE, "units": "output_dim"}),
    "TimeDistributedDense": Old("Dense", {**_ACTIVE, "units": "output_dim"}),
    "Activation": Old("Activation", _same("activation")),
    "Dropout": Old("Dropout", _RATE),
    "SpatialDropout1D": Old("SpatialDropout1D", _RATE),
    "SpatialDropout2D": Old("SpatialDropout2D", {**_RATE, **_IMAGE}),
    "SpatialDropout3D": Old("SpatialDropout3D", {**_RATE, **_IMAGE}),
    "GaussianDropout": Old("GaussianDropout", _RATE),
    "GaussianNoise": Old("GaussianNoise", {"stddev": "sigma"}),
    "ActivityRegularization": Old("ActivityRegularization", _same("l1", "l2")),
    "Flatten": Old("Flatten", {}),
    "Reshape": Old("Reshape", _same("target_shape")),
    "Permute": Old("Permute", _same("dims")),
    "RepeatVector": Old("RepeatVector", _same("n")),
    "Masking": Old("Masking", _same("mask_value")),
    "Convolution1D": Old("Conv1D", _CONVOLUTION_1D),
    "AtrousConvolution1D": Old("Conv1D", {**_CONVOLUTION_1D, "dilation_rate": "atrous_rate"}),
    "Convolution2D": Old("Conv2D", _CONVOLUTION_2D),
    "AtrousConvolution2D": Old("Conv2D", {**_CONVOLUTION_2D, "dilation_rate": "atrous_rate"}),
    "Convolution3D": Old("Conv3D", _CONVOLUTION_3D),
    "SeparableConvolution2D": Old("SeparableConv2D", {**_CONVOLUTION_2D, **_same("depth_multiplier")}),
    "Deconvolution2D": Old("Conv2DTranspose", {**_CONVOLUTION_2D, "old_output_shape": "output_shape"}),
    "MaxPooling1D": Old("MaxPooling1D", _POOLING_1D),
    "AveragePooling1D": Old("AveragePooling1D", _POOLING_1D),
    **{name: Old(name, _POOLING) for name in ("MaxPooling2D", "AveragePooling2D", "MaxPooling3D", "AveragePooling3D")},
    **{f"Global{kind}Pooling1D": Old(f"Global{kind}Pooling1D", {}) for kind in ("Max", "Average")},
    **{
        f"Global{kind}Pooling{number}D": Old(f"Global{kind}Pooling{number}D", _IMAGE)
        for kind in ("Max", "Average")
        for number in (2, 3)
    },
    "UpSampling1D": Old("UpSampling1D", {"size": "length"}),
    "UpSampling2D": Old("UpSampling2D", {**_IMAGE, **_same("size")}),
    "UpSampling3D": Old("UpSampling3D", {**_IMAGE, **_same("size")}),
    "ZeroPadding1D": Old("ZeroPadding1D", _same("padding")),
    "ZeroPadding2D": Old("ZeroPadding2D", {**_IMAGE, **_same("padding")}),
    "ZeroPadding3D": Old("ZeroPadding3D", {**_IMAGE, **_same("padding")}),
    "Cropping1D": Old("Cropping1D", _same("cropping")),
    "Cropping2D": Old("Cropping2D", {**_IMAGE, **_same("cropping")}),
    "Cropping3D": Old("Cropping3D", {**_IMAGE, **_same("cropping")}),
    "BatchNormalization": Old(
        "BatchNormalization",
        _same("axis", "epsilon", "momentum"),
        {"mode": (0, "in this mode it normalizes by the statistics of its input, not by those of training")},
    ),
    "LeakyReLU": Old("LeakyReLU", _same("alpha")),
    "PReLU": Old("PReLU", _same("shared_axes")),
    "ELU": Old("ELU", _same("alpha")),
    "ThresholdedReLU": Old("ThresholdedReLU", _same("theta")),
    "SimpleRNN": Old(
        "SimpleRNN",
        {
            **_same("activation", "return_sequences", "go_backwards", "stateful", "unroll"),
            "units": "output_dim",
            "dropout": "dropout_W",
            "recurrent_dropout": "dropout_U",
        },
    ),
    "TimeDistributed": Old("TimeDistributed", _same("layer")),
}
_MERGED = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot"}


def from_keras1(class_name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns class and configuration in Keras 2 of a layer of Keras 1.

    Raises:
        RefusedLayerError: If it had an option that Keras 2 had not.
    """
    kept: dict[str, Any] = {
        key: config[key] for key in ("name", "trainable", "batch_input_shape", "input_dtype") if key in config
    }
    if class_name == "Merge":
        return _merged(kept, config)
    if class_name not in OLD_LAYERS:
        # Its name says why it is refused, where all refusals are.
        return class_name, config
    old = OLD_LAYERS[class_name]
    for key, (value, reason) in old.fixed.items():
        if config.get(key, value) != value:
            raise RefusedLayerError(f"it has {key}={config[key]}: {reason}", _REMEDY)
    known = {key for keys in old.options.values() for key in ([keys] if isinstance(keys, str) else keys)}
    unknown = [
        f"{key}={value!r}"
        for key, value in config.items()
        if key not in known | set(old.fixed) | _WITHOUT_EFFECT and not key.endswith(_ENDINGS_WITHOUT_EFFECT) and value
    ]
    if unknown:
        raise RefusedLayerError(f"{', '.join(unknown)} is not known of this layer in Keras 1", _REMEDY)
    options: dict[str, Any] = {}
    for new, keys in old.options.items():
        if isinstance(keys, tuple):
            options[new] = [config[key] for key in keys]
        elif keys in config:
            options[new] = _VALUES.get(new, lambda value: value)(config[keys])
    if class_name == "BatchNormalization" and "gamma_regularizer" not in config:
        raise RefusedLayerError(
            "it comes from one of the first releases of Keras 1, some of which stored the standard deviation and some the "
            "variance",
            "Load and save the model with Keras 1.2",
        )
    return old.class_name, kept | options


def _data_format(dim_ordering: str) -> str:
    if dim_ordering not in _DATA_FORMATS:
        raise RefusedLayerError(f"dim_ordering={dim_ordering!r} is neither 'th' nor 'tf'", _REMEDY)
    return _DATA_FORMATS[dim_ordering]


def _padding(value: Any) -> Any:
    """Both the mode of a convolution and the amounts of ZeroPadding2D, which Keras 1 also took in a row."""
    if isinstance(value, list) and len(value) == 4:
        return [value[:2], value[2:]]
    return value


_VALUES: dict[str, Callable[[Any], Any]] = {"data_format": _data_format, "padding": _padding}


def _merged(kept: dict[str, Any], config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    mode = config.get("mode", "sum")
    if config.get("mode_type", "raw") != "raw" or mode not in _MERGED:
        raise RefusedLayerError(
            f"it merges with mode={mode!r}; expected one of {', '.join(_MERGED)}",
            "A function in a file is not run. Replace it by layers in the Keras that wrote the file",
        )
    options = {}
    if mode == "concat":
        options = {"axis": config.get("concat_axis", -1)}
    if mode == "dot":
        options = {"axes": config.get("dot_axes", -1)}
    return _MERGED[mode], kept | options
