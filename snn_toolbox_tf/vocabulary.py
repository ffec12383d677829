"""What each Keras layer means to a spiking network: data, no logic that depends on a particular model.

Four roles of affine layers matter to the passes that move scales and fractional bits through the graph:

- WEIGHTED layers multiply by weights, so they can take up a factor per input and per output channel;
- CHANNELWISE layers keep channels apart (pooling, padding), so a factor per channel passes through them;
- REARRANGING layers only move values (Flatten, Reshape, Permute, slices);
- SUM and CONCATENATE layers join several inputs.
"""

import dataclasses
import enum
from typing import Any

import keras

from snn_toolbox_tf import layers as own_layers
from snn_toolbox_tf.graph import LayerSpec


class Role(enum.Enum):
    """How an affine layer treats channels."""

    WEIGHTED = "weighted"
    CHANNELWISE = "channelwise"
    REARRANGING = "rearranging"
    SUM = "sum"
    CONCATENATE = "concatenate"
    ROUND = "round"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a layer has no place in a spiking network, and what to do about it."""

    reason: str
    remedy: str


def _spatial(prefix: str, dimensions: tuple[int, ...] = (1, 2, 3)) -> list[str]:
    return [f"{prefix}{number}D" for number in dimensions]


ROLES: dict[str, Role] = {
    **dict.fromkeys(["Dense", "Scale"], Role.WEIGHTED),
    **dict.fromkeys(_spatial("Conv") + _spatial("DepthwiseConv", (1, 2)), Role.WEIGHTED),
    **dict.fromkeys([f"Conv{number}DTranspose" for number in (1, 2, 3)], Role.WEIGHTED),
    **dict.fromkeys(_spatial("AveragePooling") + _spatial("GlobalAveragePooling"), Role.CHANNELWISE),
    **dict.fromkeys(_spatial("ZeroPadding") + _spatial("Cropping") + _spatial("UpSampling"), Role.CHANNELWISE),
    **dict.fromkeys(["RepeatVector", "Resample"], Role.CHANNELWISE),
    **dict.fromkeys(["Flatten", "Reshape", "Permute", "Select"], Role.REARRANGING),
    **dict.fromkeys(["Add", "Subtract"], Role.SUM),
    "Concatenate": Role.CONCATENATE,
    "RoundToGrid": Role.ROUND,
}

#: Affine layers that a pass rewrites as layers with a role.
REWRITTEN = {"BatchNormalization", "Average", "SeparableConv1D", "SeparableConv2D"}

#: Layers whose values pass through a ReLU unchanged in either order.
COMMUTES_WITH_RELU = {"Flatten", "Reshape", "Permute", *_spatial("ZeroPadding"), *_spatial("Cropping")}

#: Layers that do nothing at inference.
INACTIVE = {
    "Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout",
    "GaussianNoise", "ActivityRegularization", "RandomBrightness", "RandomContrast", "RandomFlip",
    "RandomRotation", "RandomTranslation", "RandomZoom", "RandomColorDegeneration", "RandomColorJitter",
    "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness", "RandomShear", "AugMix", "CutMix",
    "MixUp", "RandAugment",
}  # fmt: skip

MAX_POOLS = set(_spatial("MaxPooling") + _spatial("GlobalMaxPooling"))

#: Layers that are a nonlinearity and nothing else.
ACTIVATION_LAYERS = {"Activation", "ReLU", "Softmax", "LeakyReLU", "PReLU", "ELU"}

#: Activation functions that jump.
JUMPING_FUNCTIONS = ("hard_shrink", "threshold")

#: How the name of a function begins that is none of Keras's.
CUSTOM_FUNCTION = "custom function"

_RECURRENT = Refusal(
    "it is recurrent: its nonlinearities see their own past outputs",
    "convert the feed-forward part, cut out as a keras.Model of its own",
)
PRODUCT = Refusal(
    "it multiplies or compares two tensors, which is not affine in spikes",
    "retrain without it, or convert the parts before and after it separately",
)
_NORMALIZATION = Refusal(
    "it normalises each sample by its own statistics, which is not affine",
    "retrain with BatchNormalization, which is affine at inference",
)
_ADAPTIVE = Refusal("its windows differ in size from place to place", "use MaxPooling with a fixed pool size")
_LOOKUP = Refusal(
    "it looks up symbols or categories, which spikes cannot carry",
    "apply it to the data, and convert the part of the model behind it",
)
_SIGNAL = Refusal(
    "it computes features of a signal or an image that are not affine",
    "apply it to the data, and convert the part of the model behind it",
)
_CROP = Refusal("its place in the image is drawn at random", "crop the data, or use CenterCrop")
_FOREIGN = Refusal(
    "it runs a model of another framework, whose layers cannot be listed", "rebuild the model from Keras layers"
)
_ABSTRACT = Refusal("it does nothing itself", "use one of the layers that are built on it")
REFUSALS: dict[str, Refusal] = {
    **dict.fromkeys(["LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"], _RECURRENT),
    **dict.fromkeys(["LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells", *_spatial("ConvLSTM")], _RECURRENT),
    **dict.fromkeys(["Multiply", "Maximum", "Minimum", "Dot"], PRODUCT),
    **dict.fromkeys(["Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"], PRODUCT),
    **dict.fromkeys(
        ["LayerNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization"], _NORMALIZATION
    ),
    **dict.fromkeys(_spatial("AdaptiveMaxPooling"), _ADAPTIVE),
    **dict.fromkeys(
        ["Embedding", "ReversibleEmbedding", "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing"], _LOOKUP
    ),
    **dict.fromkeys(["IntegerLookup", "StringLookup", "TextVectorization"], _LOOKUP),
    **dict.fromkeys(["MelSpectrogram", "STFTSpectrogram", "AutoContrast", "Equalization", "Solarization"], _SIGNAL),
    **dict.fromkeys(["ContrastLimitedAdaptiveHistogramEqualization", "MaxNumBoundingBoxes", "Pipeline"], _SIGNAL),
    "RandomCrop": _CROP,
    **dict.fromkeys(["FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"], _FOREIGN),
    **dict.fromkeys(["Layer", "Wrapper"], _ABSTRACT),
    "CenterCrop": Refusal("its input is smaller than its output, so that it would be stretched", "use Resizing"),
    "EinsumDense": Refusal(
        "its equation mixes samples, or sums up axes without weights, or its '...' stands for axes of different sizes, "
        "whose order Keras mistakes",
        "use an equation such as 'abc,cde->abde', or Reshape and Dense",
    ),
    **dict.fromkeys(
        ["Rescaling", "Normalization"],
        Refusal("its constants change the shape of the tensor", "give them a shape that broadcasts against the input"),
    ),
    "Resizing": Refusal(
        "what it adds around the image is no part of an interpolation",
        "use `pad_to_aspect_ratio=False`, or resize the data",
    ),
    "Masking": Refusal("later layers would skip the steps that it masks", "cut the data to one length"),
    "SpectralNormalization": Refusal(
        "it changes the weights of the layer in it", "train with it, then copy the layer's weights into a plain layer"
    ),
    "Lambda": Refusal(
        "what its function does cannot be read from the layer", "express it with Keras layers or operators"
    ),
}
UNKNOWN_LAYER = Refusal(
    "the converter does not know this layer",
    "express it with layers that are affine at inference (Dense, convolutions, pooling, batch normalization, Add, "
    "Concatenate, ...) and ReLU",
)
UNKNOWN_OPERATION = Refusal(
    "the converter does not know this operation",
    "use the Keras layer for it, or one of the operations that the documentation lists",
)
DISTRIBUTED = Refusal(
    "TimeDistributed applies it at every position of an axis, and no layer does that at once",
    "use a convolution of one or two dimensions in it (a transposed one without dilation), pooling, or a Dense",
)
BROADCASTING = Refusal(
    "it adds tensors of different shapes with more than four axes",
    "bring them to one shape first, for example with UpSampling or RepeatVector",
)
NOT_RELU = Refusal(
    "a spiking population stands for ReLU and other piecewise linear rectifiers only",
    "retrain with ReLU; a model's output may have any function of `keras.activations`",
)
JUMPS = Refusal(
    "it jumps at its threshold, and no integrate-and-fire population's rate converges to a jump",
    "use a ReLU with threshold=0, with a bias in front of it",
)


def role(class_name: str) -> Role:
    """Returns the role of an affine layer."""
    return ROLES[class_name]


def layer_class(class_name: str) -> type[keras.layers.Layer]:
    """Returns the class of a layer from `keras.layers`, or from this package."""
    return getattr(own_layers, class_name, None) or getattr(keras.layers, class_name)


def is_keras_layer(operation: Any) -> bool:
    """Whether an operation is one of Keras's own layers, and not a user's subclass of the same name."""
    return type(operation) is getattr(keras.layers, type(operation).__name__, None)


def is_output_nonlinearity(layer: LayerSpec) -> bool:
    """Whether an activation layer may be applied to a decoded readout: it has no weights, and its function is Keras's."""
    if layer.class_name == "Activation":
        return not layer.config["activation"].startswith(CUSTOM_FUNCTION)
    return layer.class_name != "PReLU"
