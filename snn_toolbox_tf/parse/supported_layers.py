"""What becomes of each layer and operation of Keras, as tables for the documentation."""

import dataclasses
import inspect
import re
from collections.abc import Iterable

import keras

from snn_toolbox_tf.activations import FUNCTIONS
from snn_toolbox_tf.parse import operators, refusals
from snn_toolbox_tf.parse.layers import INACTIVE
from snn_toolbox_tf.synapses import FAMILIES, MAX_POOLING

_RESAMPLING = "becomes a Resample: one matrix per axis"
_REWRITTEN = {
    "BatchNormalization": "becomes a Scale, folded into the layer in front where that is exact",
    "Normalization": "becomes a Scale",
    "Rescaling": "becomes a Scale",
    "Average": "becomes Add and Scale",
    "SeparableConv1D": "becomes a depthwise and a pointwise convolution",
    "SeparableConv2D": "becomes a depthwise and a pointwise convolution",
    "EinsumDense": "becomes a Dense, or a 1x1 convolution with groups, between rearrangements",
    "TimeDistributed": "what it wraps, with one more axis: layers and models; no 3-D and no dilated transposed convolutions",
    "UpSampling2D": "runs on spikes as it is; interpolating, it becomes a Resample: one matrix per axis",
    "Resizing": _RESAMPLING,
    **{f"AdaptiveAveragePooling{number}D": _RESAMPLING for number in (1, 2, 3)},
    "CenterCrop": "becomes a Cropping2D",
}
_PIECEWISE_FUNCTIONS = (*FUNCTIONS, "soft_shrink")
_UNROLLED = "with activation 'relu' or 'relu6': one per step of the sequence, with the same neurons"
_ACTIVATIONS = {
    "ReLU": ("population", "threshold=0 only; with a negative slope two populations"),
    "LeakyReLU": ("population", "two populations, of the current and its negative"),
    "PReLU": ("population", "two populations, of the current and its negative"),
    "Activation": ("population", f"{', '.join(_PIECEWISE_FUNCTIONS)}; others at outputs only"),
    "Softmax": ("readout", "at outputs only: applied to the decoded output"),
    "SimpleRNN": ("population", _UNROLLED),
    "RNN": ("population", f"of SimpleRNNCell, or of several: {_UNROLLED}"),
    "Bidirectional": (
        "population",
        "of SimpleRNN, merged by 'concat', 'sum', 'ave' or not at all: one per direction and step",
    ),
    "ELU": ("readout", "at outputs only: applied to the decoded output"),
}


@dataclasses.dataclass(frozen=True)
class SupportedLayer:
    """What becomes of a layer class.

    Attributes:
        class_name: Name of the class in `keras.layers`.
        becomes: "synapse", "population", "removed", "readout", "input" or "refused"; "unknown" for a class of a newer Keras.
        how: How, or why not.
        remedy: What to do, if it is refused.
    """

    class_name: str
    becomes: str
    how: str
    remedy: str = ""


def support_of(class_name: str) -> SupportedLayer:
    """Returns what becomes of a class of `keras.layers`."""
    if class_name == "InputLayer":
        return SupportedLayer(class_name, "input", "analog, Poisson or frames")
    if class_name in _REWRITTEN:
        return SupportedLayer(class_name, "synapse", _REWRITTEN[class_name])
    if class_name in FAMILIES:
        return SupportedLayer(class_name, "synapse", FAMILIES[class_name].how)
    if class_name in MAX_POOLING.class_names:
        return SupportedLayer(class_name, "synapse", MAX_POOLING.how)
    if class_name in INACTIVE:
        return SupportedLayer(class_name, "removed", "does nothing at inference")
    if class_name in _ACTIVATIONS:
        return SupportedLayer(class_name, *_ACTIVATIONS[class_name])
    if class_name in refusals.REFUSALS:
        refusal = refusals.REFUSALS[class_name]
        return SupportedLayer(class_name, "refused", refusal.reason, refusal.remedy)
    return SupportedLayer(class_name, "unknown", refusals.UNKNOWN_LAYER.reason, refusals.UNKNOWN_LAYER.remedy)


def supported_layers() -> list[SupportedLayer]:
    """Returns what becomes of every class of the installed Keras's `keras.layers`, by name; aliases once."""
    classes = {value.__name__ for _, value in inspect.getmembers(keras.layers, inspect.isclass)}
    layers = {name for name in classes if issubclass(getattr(keras.layers, name, object), keras.layers.Layer)}
    return [support_of(name) for name in sorted(layers)]


def supported_operations() -> list[tuple[str, str]]:
    """Returns what becomes of operators and functions of `keras.ops`: pairs of names and how."""

    def listed(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in sorted(filter(None, map(_function_name, names))))

    piecewise = ", ".join(f"`{name}`" for name in _PIECEWISE_FUNCTIONS)
    return [
        ("`+` and `-` of two tensors", "add currents; of two shapes, each is repeated to that of the sum"),
        ("`+`, `-`, `*`, `/` with constants", "become a Scale: one value, one per channel, or one per element"),
        ("`maximum`, `minimum` with a number, `clip`", "populations"),
        (piecewise, "populations"),
        (listed(operators.MOVES), "move spikes, as long as samples stay apart"),
        ("`concatenate`, `append`, `stack`", "join spikes or currents"),
        ("`mean`, `sum`", "become an average pooling, and a Scale"),
        ("`max`, `amax`", "become a max pooling"),
        ("`average_pool`, `max_pool`, `image.resize`", "as the layers AveragePooling, MaxPooling and Resizing"),
        ("`matmul`, `dot` with a constant matrix", "become a Dense"),
        (listed(operators.PASSING) + ", `cast` to float32", "are removed"),
        ("products, quotients and comparisons of two tensors", "are refused: they are not affine in spikes"),
    ]


def _function_name(class_name: str) -> str | None:
    """The function of `keras.ops` that makes an operation of this class; None if this Keras has none."""
    if class_name == "GetItem":
        return "x[:, 1:, ::2]"
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()
    return name if hasattr(keras.ops, name) else None
