"""Models that are broken, or that Keras itself gets wrong: the error says which of these it is."""

import warnings

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.conversion import verification

L = keras.layers


def test_a_negative_variance_is_named(rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization(name="bn"), L.ReLU(), L.Dense(2)])
    model.get_layer("bn").moving_variance.assign(-np.ones(3))
    with pytest.raises(ValueError, match=r"negative moving variance in: 'bn', so that it gives NaN"):
        snn.convert_keras(model, rng.random((8, 4)))


@pytest.mark.parametrize("size", [1e20, 3e38])
def test_weights_whose_activations_overflow(mlp, x_mlp, size):
    mlp.set_weights([np.full(weight.shape, size) for weight in mlp.get_weights()])
    with pytest.raises(ValueError, match=r"activations of model 'mlp' are not finite.*did the training converge"):
        snn.convert_keras(mlp, x_mlp)


def test_a_source_whose_outputs_are_nan(mlp, x_mlp, monkeypatch):
    monkeypatch.setattr(verification.SourceFunction, "__call__", lambda self, batch: np.full((1, 3), np.nan))
    with pytest.raises(ValueError, match=r"Model 'mlp' gives NaN or infinite outputs"):
        snn.convert_keras(mlp, x_mlp)


#: Layers with as many channels as the last axis has elements: there Keras adds the bias along that axis.
CHANNELS_FIRST = {
    "SeparableConv2D": (lambda **kwargs: L.SeparableConv2D(4, 3, padding="same", **kwargs), (3, 4, 4)),
    "DepthwiseConv2D": (lambda **kwargs: L.DepthwiseConv2D(3, padding="same", **kwargs), (4, 4, 4)),
    "Conv2DTranspose": (lambda **kwargs: L.Conv2DTranspose(8, 2, strides=2, **kwargs), (3, 4, 4)),
    "Conv3D": (lambda **kwargs: L.Conv3D(4, 3, padding="same", **kwargs), (3, 4, 4, 4)),
}


def channels_first(name, nested=False):
    make, shape = CHANNELS_FIRST[name]
    layer = make(data_format="channels_first", name="wrong")
    model = keras.Sequential([keras.Input(shape), layer, L.ReLU(), L.Flatten(), L.Dense(2)])
    layer.bias.assign(1.0 + np.arange(layer.bias.shape[0]))
    x = np.random.default_rng(0).random((4, *shape), dtype=np.float32)
    return keras.Sequential([keras.Input(shape), model]) if nested else model, x, layer


def adds_bias_along_the_last_axis(layer, x):
    """Whether this Keras does, in a traced call on zeros."""
    added = keras.Sequential([keras.Input(x.shape[1:]), layer]).predict(0 * x, verbose=0)
    return not np.array_equal(added[0].std(axis=tuple(range(1, added.ndim - 1))), np.zeros(added.shape[1]))


@pytest.mark.parametrize("nested", [False, True], ids=["", "nested"])
@pytest.mark.parametrize("name", CHANNELS_FIRST)
def test_faults_of_keras_are_told_from_those_of_this_package(name, nested):
    model, x, layer = channels_first(name, nested)
    try:
        wrong = adds_bias_along_the_last_axis(layer, x)
    except Exception:
        pytest.skip("TensorFlow has no kernel for this layer on this machine: XLA runs it")
    if not wrong:
        snn.convert_keras(model, x, threshold_rule="percentile")
        return
    with pytest.raises(snn.ConversionError, match=r"The reason is likely Keras.*: 'wrong'\. Use channels last"):
        snn.convert_keras(model, x, threshold_rule="percentile")


@pytest.mark.parametrize("name", ["a b", "<script>alert(1)", "größe", "a$b"])
def test_names_that_tensorflow_refuses(x_mlp, name):
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, "relu", name=name), L.Dense(2)], name="odd")
    with pytest.raises(
        ValueError, match=r"Model 'odd' has names that TensorFlow refuses: '.*'\. Expected letters, digits"
    ):
        snn.convert_keras(model, x_mlp)
    assert not snn.check(model).ok
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, "relu"), L.Dense(2)], name=name)
    with pytest.raises(ValueError, match="names that TensorFlow refuses"):
        snn.convert_keras(model, x_mlp)


def test_names_may_begin_with_an_underscore(x_mlp):
    layers = [L.Dense(4, "relu", name="_hidden"), L.Dense(2, "softmax", name="_out")]
    model_snn = snn.convert_keras(keras.Sequential([keras.Input((6,)), *layers]), x_mlp, threshold_rule="percentile")
    np.testing.assert_allclose(
        model_snn.predict(x_mlp, verbose=0), model_snn.simulate(x_mlp, outputs="last").outputs[0], atol=1e-6
    )


@pytest.mark.long
def test_names_of_inputs_and_files_are_text_in_reports(tmp_path, x_mlp):
    evil = "<img src=x onerror=alert(1)>"
    inputs = keras.Input((6,), name=evil)
    model = keras.Model(inputs, L.Dense(3, "softmax", name="classes")(L.Dense(4, "relu")(inputs)))
    model.save(tmp_path / "<script>alert(1)<script>.keras")
    np.savez(tmp_path / "x_norm.npz", x_mlp)
    np.savez(tmp_path / "x_test.npz", x_mlp)
    settings = snn.Settings().replace(
        path_wd=str(tmp_path), filename_ann="<script>alert(1)<script>", duration=4, runlabel="<b>$x$"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page = snn.run(settings).report.read_text()
        settings = settings.replace(runlabel="<i>", plot_vars=[])
        swept = snn.sweep(settings, "v_thresh", [0.5, 1]).folder / "report.html"
    for text in (page, swept.read_text()):
        assert "<script" not in text
        assert evil not in text
        assert "<b>$x$" not in text
    assert "&lt;script&gt;alert(1)" in page
