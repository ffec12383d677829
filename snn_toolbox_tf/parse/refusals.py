"""What has no place in a spiking network: why, and what to do about it."""

from snn_toolbox_tf.graph import Refusal


def _spatial(prefix: str) -> list[str]:
    return [f"{prefix}{number}D" for number in (1, 2, 3)]


GATED = Refusal(
    "it is recurrent with gates, which multiply one rate by another: that is not affine in spikes",
    "retrain with SimpleRNN(activation='relu'), or with Conv1D over time",
)
UNKNOWN_CELL = Refusal(
    "it is recurrent, with a cell that the converter does not know",
    "use SimpleRNN, or RNN with cells of the class SimpleRNNCell; they need activation='relu'",
)
STATEFUL = Refusal(
    "it is stateful: it goes on where another batch has ended, while here every sample starts from a state of zeros",
    "rebuild it with `stateful=False`, and give it whole sequences",
)
STATE_IN_OR_OUT = Refusal(
    "its state is given from outside, or put out as a tensor of its own, or steps of it are masked",
    "rebuild it with `return_state=False`, without `initial_state`, constants and mask, on sequences of one length",
)
PRODUCT_OF_DIRECTIONS = Refusal(
    "it multiplies what two directions give, which is not affine in spikes",
    "retrain with merge_mode='concat', 'sum' or 'ave'",
)
_CELL = Refusal(
    "it is one step of a recurrent layer, called by itself",
    "put it into an RNN layer: RNN(SimpleRNNCell(units, activation='relu'))",
)


def recurrent_activation(name: str) -> Refusal:
    """Why a recurrent layer cannot have this activation."""
    return Refusal(
        f"it is recurrent with activation='{name}', while the rate of a neuron is a ReLU of its current",
        "retrain it with activation='relu'; recurrent_initializer='identity' helps (Le et al. 2015)",
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
    **dict.fromkeys(["LSTM", "GRU", *_spatial("ConvLSTM")], GATED),
    **dict.fromkeys(["SimpleRNNCell", "StackedRNNCells", "LSTMCell", "GRUCell"], _CELL),
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
    "Concatenate, ...) and ReLU; a layer of your own that is affine can be registered with `snn.register_layer`",
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
