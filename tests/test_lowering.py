"""Layers that no single node stands for: EinsumDense, interpolation, constants per element, TimeDistributed."""

import inspect

import keras
import numpy as np
import pytest
from conftest import mostly_slow
from convergence import assert_converges

import snn_toolbox_tf as snn
from snn_toolbox_tf.conversion.verification import check_same_function
from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.synapses import family_of

L = keras.layers
KERAS = tuple(map(int, keras.__version__.split(".")[:2]))


def model_around(layer, shape):
    """The layer between two hidden ReLUs."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = L.Reshape(shape)(L.Dense(int(np.prod(shape)), "relu", bias_initializer="normal")(inputs))
    x = L.ReLU(name="behind")(layer(x))
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))


def data(samples=16):
    return np.random.default_rng(0).normal(size=(samples, 8)).astype(np.float32)


EQUATIONS = {
    "last axis": ("abc,cd->abd", (4, 5), "d", (4, 3)),
    "any axes": ("...x,xy->...y", 5, "y", (3, 3, 2)),
    "weights the other way": ("abc,dc->abd", (4, 5), None, (4, 3)),
    "axis in the middle": ("abc,bd->adc", (5, 3), "d", (4, 3)),
    "two axes at once": ("abcd,bde->ace", (3, 6), "ce", (2, 3, 4)),
    "one axis to two": ("abc,cde->abde", (4, 2, 3), "de", (4, 5)),
    "heads to one": ("abhd,hdo->abo", (4, 5), "o", (4, 2, 3)),
    "weights of their own at each place": ("abc,bcd->abd", (4, 5), "bd", (4, 3)),
    "all contracted": ("abc,bc->a", (), None, (4, 3)),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", EQUATIONS)
def test_einsum_dense_converges(name):
    equation, output, bias, shape = EQUATIONS[name]
    if name == "any axes" and KERAS < (3, 7):
        pytest.skip("this Keras computes something else than the equation says")
    layer = L.EinsumDense(equation, output, bias_axes=bias, activation="relu", bias_initializer="normal")
    if output == ():
        inputs = keras.Input((8,))
        hidden = L.Reshape(shape)(L.Dense(12, "relu")(inputs))
        model = keras.Model(inputs, L.EinsumDense("abc,bcd->ad", 3)(hidden))
    else:
        model = model_around(layer, shape)
    assert_converges(model, data())


def test_einsum_dense_whose_shape_keras_mistakes_is_refused():
    """Keras reverses the axes of '...' when it infers the shape; what follows would be built for the wrong one."""
    model = model_around(L.EinsumDense("...x,xy->...y", 5, name="einsum"), (2, 3, 2))
    with pytest.raises(snn.UnsupportedModelError, match=r"'einsum'.*'\.\.\.' stands for axes of different sizes"):
        snn.convert_keras(model)


RESAMPLING = {
    "bilinear": (lambda: L.UpSampling2D(2, interpolation="bilinear"), (4, 3, 2)),
    "bicubic": (lambda: L.UpSampling2D((2, 3), interpolation="bicubic"), (4, 3, 2)),
    "lanczos3": (lambda: L.UpSampling2D(2, interpolation="lanczos3"), (4, 3, 2)),
    "nearest": (lambda: L.UpSampling2D(2), (4, 3, 2)),
    "larger": (lambda: L.Resizing(7, 5), (4, 3, 2)),
    "smaller": (lambda: L.Resizing(3, 4, interpolation="bicubic", antialias=True), (6, 7, 2)),
    "resized to the nearest": (lambda: L.Resizing(6, 9, interpolation="nearest"), (3, 3, 2)),
    "cropped first": (lambda: L.Resizing(3, 3, crop_to_aspect_ratio=True), (4, 8, 2)),
    "cropped": (lambda: L.CenterCrop(3, 2), (4, 5, 2)),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", RESAMPLING)
def test_interpolation_converges(name):
    make, shape = RESAMPLING[name]
    if name == "smaller" and "antialias" not in inspect.signature(L.Resizing).parameters:
        pytest.skip("this Keras has no antialiasing")
    assert_converges(model_around(make(), shape), data())


@pytest.mark.skipif(not hasattr(L, "AdaptiveAveragePooling1D"), reason="this Keras has no adaptive pooling")
@pytest.mark.parametrize(
    ("dimensions", "size", "shape"), [(1, 3, (7, 2)), (2, (3, 2), (5, 4, 2)), (3, 2, (3, 3, 5, 2))]
)
def test_adaptive_averages_converge(dimensions, size, shape):
    layer = getattr(L, f"AdaptiveAveragePooling{dimensions}D")(size)
    assert_converges(model_around(layer, shape), data())


@pytest.mark.parametrize("name", ["bilinear", "larger", "cropped"])
def test_interpolation_of_channels_first_keeps_the_function(name):
    """Keras cannot run all of these itself on the CPU, so the outcome is that of the layer channels last."""
    last, shape = RESAMPLING[name][0](), RESAMPLING[name][1]
    config = {**last.get_config(), "data_format": "channels_first", "name": "first"}
    first = type(last).from_config(config)
    inputs = keras.Input((2, *shape[:2]))
    graph = parse(keras.Model(inputs, L.ReLU()(first(L.ReLU()(inputs))))).graph
    layers = [node.layer.class_name for node in graph.of_type(Synapse)]
    assert layers == (["Cropping2D"] if name == "cropped" else ["Permute", "Resample", "Permute"])


def test_halving_weights_stay_on_the_grid_without_float64():
    """Bilinear up-sampling by 2 has weights of 1/4 and 3/4: exact in float32, no rounding behind it."""
    model = model_around(L.UpSampling2D(2, interpolation="bilinear"), (4, 3, 2))
    graph = snn.convert_keras(model, data()).network.graph
    (resample,) = [node for node in graph.of_type(Synapse) if node.layer.class_name == "Resample"]
    assert resample.dtype == "float32"
    assert not any(
        "RoundToGrid" in reader.layer.class_name
        for reader in graph.consumers(resample.name)
        if hasattr(reader, "layer")
    )


def test_an_interpolation_counts_its_connections():
    graph = parse(model_around(L.UpSampling2D(2, interpolation="bilinear"), (2, 1, 1))).graph
    (node,) = [node for node in graph.of_type(Synapse) if node.layer.class_name == "Resample"]
    # Of 4 rows, 3 read each of the 2 (the outermost row copies its neighbour); 2 columns copy the only one.
    np.testing.assert_array_equal(family_of(node).fan_out(node, (2, 1, 1))[:, 0, 0], [3 * 2, 3 * 2])


@pytest.mark.long
def test_constants_of_every_shape_are_taken():
    normalization = L.Normalization(axis=(1, 2, 3))
    normalization.adapt(np.random.default_rng(1).normal(1.0, 2.0, (50, 4, 3, 2)).astype(np.float32))
    assert_converges(model_around(normalization, (4, 3, 2)), data())
    rows = L.Normalization(axis=1, mean=np.arange(4.0), variance=np.full(4, 4.0), invert=True)
    assert_converges(model_around(rows, (4, 3, 2)), data())
    grid = np.random.default_rng(2).normal(size=(4, 3, 1)).tolist()
    assert_converges(model_around(L.Rescaling(grid, offset=0.1), (4, 3, 2)), data())


def frames(layer):
    return lambda: L.TimeDistributed(layer)


def small_cnn():
    image = keras.Input((6, 5, 2))
    x = L.BatchNormalization(name="norm")(L.Conv2D(3, 3, padding="same", name="conv")(image))
    x = L.ReLU(name="relu")(x)
    x = L.MaxPooling2D(2, name="pool")(x)
    x = L.SeparableConv2D(4, 2, activation="relu", name="separable")(x)
    return keras.Model(image, L.Dense(3, name="dense")(L.Flatten(name="flat")(x)), name="cnn")


IMAGES, SERIES, VECTORS = (3, 6, 5, 2), (3, 7, 2), (3, 4)
DISTRIBUTED = {
    "Dense": (lambda: L.Dense(5, "relu"), VECTORS),
    "BatchNormalization": (lambda: L.BatchNormalization(axis=1), IMAGES),
    "Rescaling": (lambda: L.Rescaling(2.0, -0.5), IMAGES),
    "PReLU": (lambda: L.PReLU(alpha_initializer="normal", shared_axes=[1]), IMAGES),
    "LeakyReLU": (lambda: L.LeakyReLU(), SERIES),
    "Flatten": (lambda: L.Flatten(), IMAGES),
    "Reshape": (lambda: L.Reshape((-1, 2, 5)), IMAGES),
    "Permute": (lambda: L.Permute((3, 1, 2)), IMAGES),
    "RepeatVector": (lambda: L.RepeatVector(3), VECTORS),
    "Conv1D": (lambda: L.Conv1D(4, 3, strides=2, padding="same", bias_initializer="normal"), SERIES),
    "Conv1D causal": (lambda: L.Conv1D(4, 3, padding="causal", bias_initializer="normal"), SERIES),
    "Conv2D": (lambda: L.Conv2D(4, (3, 2), strides=(1, 2), activation="relu"), IMAGES),
    "Conv2D with groups": (lambda: L.Conv2D(4, 3, groups=2, bias_initializer="normal"), IMAGES),
    "Conv2D dilated": (lambda: L.Conv2D(4, 2, dilation_rate=2), IMAGES),
    "Conv2D channels first": (lambda: L.Conv2D(4, 2, data_format="channels_first"), (3, 2, 6, 5)),
    "DepthwiseConv1D": (lambda: L.DepthwiseConv1D(3, depth_multiplier=2, bias_initializer="normal"), SERIES),
    "DepthwiseConv2D": (lambda: L.DepthwiseConv2D(3, strides=2, depth_multiplier=2), IMAGES),
    "SeparableConv1D": (lambda: L.SeparableConv1D(5, 3), SERIES),
    "SeparableConv2D": (lambda: L.SeparableConv2D(5, 3, bias_initializer="normal"), IMAGES),
    "Conv1DTranspose": (lambda: L.Conv1DTranspose(3, 2, strides=2), SERIES),
    "Conv2DTranspose": (lambda: L.Conv2DTranspose(3, 2, strides=2, output_padding=1), IMAGES),
    "AveragePooling2D": (lambda: L.AveragePooling2D(2), IMAGES),
    "MaxPooling1D": (lambda: L.MaxPooling1D(3, strides=1, padding="same"), SERIES),
    "MaxPooling2D": (lambda: L.MaxPooling2D(2), IMAGES),
    "GlobalAveragePooling2D": (lambda: L.GlobalAveragePooling2D(keepdims=True), IMAGES),
    "GlobalMaxPooling1D": (lambda: L.GlobalMaxPooling1D(), SERIES),
    "ZeroPadding2D": (lambda: L.ZeroPadding2D(((1, 0), (2, 1))), IMAGES),
    "Cropping2D": (lambda: L.Cropping2D(1), IMAGES),
    "UpSampling2D": (lambda: L.UpSampling2D(2), IMAGES),
    "Resizing": (lambda: L.Resizing(4, 7), IMAGES),
    "EinsumDense": (lambda: L.EinsumDense("abc,bd->adc", (3, 2), bias_axes="d"), SERIES),
    "MaxPooling3D": (lambda: L.MaxPooling3D(2), (2, 4, 4, 2, 2)),
    "a model": (small_cnn, IMAGES),
    "a model in a model": (
        lambda: keras.Sequential([keras.Input(IMAGES[1:]), small_cnn(), L.Dense(4, "relu")]), IMAGES
    ),
    "a wrapper in a wrapper": (lambda: L.TimeDistributed(L.Dense(3, "relu")), SERIES),
    "with operators": (lambda: _with_operators(), SERIES),
}  # fmt: skip


def _with_operators():
    inputs = keras.Input((7, 2))
    return keras.Model(inputs, keras.ops.concatenate([inputs[:, 1:4], 1.0 - inputs[:, ::3]], axis=1))


def distributed(name):
    make, shape = DISTRIBUTED[name]
    if name == "Conv2DTranspose" and KERAS < (3, 7):
        pytest.skip("this Keras infers another shape than it computes")
    return model_around(L.TimeDistributed(make()), shape)


@pytest.mark.few(14)
@pytest.mark.parametrize("name", DISTRIBUTED)
def test_time_distributed_keeps_the_function(name):
    model = distributed(name)
    graph = to_spiking(parse(model).graph)
    assert check_same_function(SourceFunction(model, graph), Network(graph), {graph.input_structure: data()}) < 1e-5
    assert snn.check(model).ok


#: Each becomes other layers than it is when alone.
OTHERWISE = ["PReLU", "Conv1D causal", "Conv2D with groups", "SeparableConv1D", "MaxPooling1D", "a model in a model"]


@pytest.mark.few(2)
@pytest.mark.parametrize("name", mostly_slow(DISTRIBUTED, OTHERWISE))
def test_time_distributed_converges(name):
    assert_converges(distributed(name), data())


def test_the_parts_of_a_distributed_model_are_named():
    model = model_around(L.TimeDistributed(small_cnn(), name="frames"), IMAGES)
    rows = {row.name: row.becomes for row in snn.check(model).rows}
    assert rows["frames.relu"] == "population"
    assert rows["frames.conv"] == "synapse"
    assert rows["frames.norm"] == "removed"
    assert "frames" not in rows
    single = model_around(L.TimeDistributed(L.Dense(3, "relu", name="inner"), name="steps"), VECTORS)
    rows = {row.name: row.becomes for row in snn.check(single).rows}
    assert (rows["steps"], rows["steps_relu"]) == ("synapse", "population")


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: L.Conv3D(2, 1), r"'steps' \(Conv3D\): TimeDistributed applies it at every position"),
        (lambda: L.LayerNormalization(), r"'steps' \(LayerNormalization\): it normalises each sample"),
        (lambda: L.Dense(3, "gelu"), r"'steps_gelu' \(Activation gelu\): a spiking population stands for ReLU"),
    ],
)
def test_what_cannot_be_distributed_is_refused(layer, reason):
    with pytest.raises(snn.UnsupportedModelError, match=f"{reason}.*remedy"):
        snn.convert_keras(model_around(L.TimeDistributed(layer(), name="steps"), (2, 3, 3, 3, 2)))
