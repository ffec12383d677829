"""The architectures people use: keras.applications and others, untrained but alive."""

import keras
import numpy as np

from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.parse import parse

L = keras.layers

#: Names in keras.applications, with the smallest input of 64 x 64 or more that they take.
APPLICATIONS = {
    "VGG16": 64, "VGG19": 64, "ResNet50": 64, "ResNet101": 64, "ResNet152": 64, "ResNet50V2": 64, "ResNet101V2": 64,
    "ResNet152V2": 64, "MobileNet": 64, "MobileNetV2": 64, "DenseNet121": 64, "DenseNet169": 64, "DenseNet201": 64,
    "InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 75, "NASNetMobile": 64,
}  # fmt: skip

#: Of so many samples batch norms have their statistics: fewer leave deep networks, which end in 2 x 2 pixels, chaotic.
STATISTICS_SAMPLES = 64


def application(name):
    """Returns a model of keras.applications with seeded weights, 10 outputs without softmax, and no download.

    Deep random networks with batch norm are chaotic: they amplify a rounding error from block to block. Training does not
    leave them so; here the last batch norm of each residual branch gets a gamma of 0.2 instead.
    """
    keras.utils.set_random_seed(0)
    build, shape = getattr(keras.applications, name), (APPLICATIONS[name], APPLICATIONS[name], 3)
    model = build(weights=None, input_shape=shape, classes=10, classifier_activation=None)
    graph = parse(model).graph
    for node in graph.of_type(Synapse):
        if node.layer.class_name == "Add":
            layers = [model.get_layer(graph[name].origin) for name in _residual_branch(graph, node)]
            norm = next((layer for layer in layers if isinstance(layer, L.BatchNormalization)), None)
            gamma = None if norm is None else norm.gamma
            if gamma is not None:
                gamma.assign(0.2 * np.ones(gamma.shape))
    return model


def _residual_branch(graph, node):
    """Names of the branch that is added to a shortcut, last to first: the one with more convolutions; none if none has."""
    branches = []
    for name in node.inputs:
        branch = []
        # Where ways part, or meet, a branch begins.
        while graph.readers(name) == 1 and len(graph[name].inputs) == 1:
            branch.append(name)
            (name,) = graph[name].inputs
        branches.append(branch)
    # A separable convolution is two nodes of one origin.
    counts = [
        len({graph[name].origin for name in branch if "Conv" in graph[name].layer.class_name}) for branch in branches
    ]
    return branches[int(np.argmax(counts))] if max(counts) > min(counts) else []


def audio_cnn():
    """One-dimensional convolutions over a waveform."""
    inputs = keras.Input((256, 1))
    x = inputs
    for filters in (8, 16, 32):
        x = L.ReLU()(L.BatchNormalization()(L.Conv1D(filters, 9, padding="same")(x)))
        x = L.MaxPooling1D(4)(x)
    return keras.Model(inputs, L.Dense(5, "softmax")(L.GlobalAveragePooling1D()(x)), name="audio_cnn")


def volume_cnn():
    """Three-dimensional convolutions."""
    inputs = keras.Input((8, 8, 8, 1))
    x = L.Conv3D(8, 3, padding="same", activation="relu")(inputs)
    x = L.ReLU()(L.BatchNormalization()(L.Conv3D(16, 3, strides=2)(x)))
    return keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling3D()(x)), name="volume_cnn")


def unet():
    """Skip connections and transposed convolutions; the output is an image (regression)."""
    inputs = keras.Input((16, 16, 2))
    down, x = [], inputs
    for filters in (8, 16):
        x = L.Conv2D(filters, 3, padding="same", activation="relu")(x)
        down.append(x)
        x = L.MaxPooling2D(2)(x)
    x = L.Conv2D(32, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((16, 8), reversed(down), strict=True):
        x = L.Conv2DTranspose(filters, 2, strides=2, activation="relu")(x)
        x = L.Conv2D(filters, 3, padding="same", activation="relu")(L.Concatenate()([x, skip]))
    return keras.Model(inputs, L.Conv2D(1, 1)(x), name="unet")


def two_in_two_out():
    """Two inputs that meet, two outputs."""
    image, numbers = keras.Input((12, 12, 1), name="image"), keras.Input((6,), name="numbers")
    x = L.Flatten()(L.Conv2D(4, 3, strides=2, activation="relu")(image))
    y = L.Dense(16, "relu")(numbers)
    z = L.Dense(24, "relu")(L.Concatenate()([x, y]))
    outputs = [L.Dense(3, "softmax", name="kind")(z), L.Dense(1, name="size")(z)]
    return keras.Model([image, numbers], outputs, name="two_in_two_out")


def mlp():
    """Dense layers with batch norm."""
    inputs = x = keras.Input((40,))
    for units in (64, 32):
        x = L.ReLU()(L.BatchNormalization()(L.Dense(units)(x)))
    return keras.Model(inputs, L.Dense(4)(x), name="mlp")


OWN = {builder.__name__: builder for builder in (audio_cnn, volume_cnn, unet, two_in_two_out, mlp)}


def data_for(model, samples, seed=0):
    """Random input, like images scaled to unit variance."""
    generator = np.random.default_rng(seed)
    arrays = [generator.normal(size=(samples, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
    return arrays if len(arrays) > 1 else arrays[0]


def bring_to_life(model, x):
    """Sets the statistics of batch norms from data, so that activations neither vanish nor explode."""
    momenta = {}
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            momenta[layer] = layer.momentum
            layer.momentum = 0.0
    model(x, training=True)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    return model


def alive(name):
    """Returns a model by name, with seeded weights, and the data that its batch norms have their statistics from."""
    keras.utils.set_random_seed(0)
    model = application(name) if name in APPLICATIONS else OWN[name]()
    x = data_for(model, STATISTICS_SAMPLES, seed=1)
    return bring_to_life(model, x), x
