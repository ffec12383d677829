"""Models that others trained, on real data."""

import argparse
import importlib.util
import pathlib
import sys

import keras
import numpy as np
import pytest
from conftest import mostly_slow
from engines import assert_engines_agree
from serving_session import compile_server, serve

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form, inexact_nodes

ROOT = pathlib.Path(__file__).parents[1]


def load_example(name, folder="examples"):
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def mnist(data_dir, part, count):
    with np.load(data_dir / f"mnist_{part}.npz") as file:
        return (file["x"][:count] / 255.0).astype(np.float32), file["y"][:count]


def cifar10(data_dir, name, count):
    with np.load(data_dir / f"cifar10_{name}.npz") as file:
        return file["x"][:count].astype(np.float32), file["y"][:count]


@pytest.fixture(scope="module")
def resnet20(data_dir):
    example = load_example("cifar10_resnet20")
    model = example.build_resnet20()
    example.load_pytorch_weights(model, data_dir / "resnet20_cifar10.npz")
    x, y = example.load_images(data_dir / "cifar10_test.npz", 100)
    x_calibration, _ = example.load_images(data_dir / "cifar10_calib5000.npz", 256)
    return model, snn.convert_keras(model, x_calibration, percentile=99.9), x, y


@pytest.fixture(scope="module")
def lenet5(data_dir):
    model = keras.saving.load_model(data_dir / "models" / "lenet5_mnist.keras")
    x, y = mnist(data_dir, "test", 500)
    x_calibration, _ = mnist(data_dir, "train", 500)
    return model, snn.convert_keras(model, x_calibration[:, None]), x[:, None], y


@pytest.fixture(scope="module")
def mnist_mlp(data_dir):
    keras.utils.set_random_seed(0)
    x, y = mnist(data_dir, "train", 10_000)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(256, "relu"),
            keras.layers.Dense(128, "relu"),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x.reshape(-1, 784), y, epochs=3, batch_size=128, verbose=0)
    x_test, y_test = mnist(data_dir, "test", 500)
    return model, snn.convert_keras(model, x[:500].reshape(-1, 784)), x_test.reshape(-1, 784), y_test


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", mostly_slow(["resnet20", "lenet5", "mnist_mlp"], ["lenet5"]))
def test_no_spike_differs_between_batches_of_1_7_28_and_blocks_of_1_4_32(name, request):
    _, model_snn, x, _ = request.getfixturevalue(name)
    x = x[:28]
    expected = model_snn.simulate(x, timesteps=32, batch_size=28, block_length=4, record=["spikes"])
    for batch_size, block_length in ((1, 32), (7, 1)):
        result = model_snn.simulate(
            x, timesteps=32, batch_size=batch_size, block_length=block_length, record=["spikes"]
        )
        assert sum(int((result.spikes[key] != spikes).sum()) for key, spikes in expected.spikes.items()) == 0
        np.testing.assert_array_equal(result.outputs, expected.outputs)
    assert model_snn.reproducibility_exceptions == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20", "lenet5", "mnist_mlp"])
def test_engines_give_the_same_spikes(name, request):
    _, model_snn, x, _ = request.getfixturevalue(name)
    assert_engines_agree(model_snn, x[:4], ["spikes"], timesteps=16)


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize("name", mostly_slow(["resnet20", "lenet5"], ["lenet5"]))
def test_a_served_network_answers_without_python_what_predict_does(name, request, tmp_path):
    """Bit for bit, in batches of 1, 7 and 64, by the loader of the model server."""
    _, model_snn, x, _ = request.getfixturevalue(name)
    version = snn.export_serving(model_snn, tmp_path / name)
    expected = model_snn.predict(x[:100], verbose=0)
    for batch, outputs in serve(compile_server(tmp_path), version, x[:100], [1, 7, 64]).items():
        np.testing.assert_array_equal(outputs, expected, err_msg=str(batch))


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["resnet20", "lenet5", "mnist_mlp"])
def test_layer_synchronous_run_is_the_closed_form(name, request):
    _, model_snn, x, _ = request.getfixturevalue(name)
    result = model_snn.simulate(x[:8], timesteps=16, schedule="layer_synchronous", record=["spikes"])
    counts, outputs = closed_form(model_snn, x[:8], 16)
    assert set(inexact_nodes(model_snn)) == set()
    for key, expected in counts.items():
        np.testing.assert_array_equal(result.spikes[key].sum(axis=0), expected)
    np.testing.assert_allclose(result.outputs[-1], outputs, atol=1e-4)


def ann_accuracy(model, x, y):
    return float((model.predict(x, verbose=0).argmax(axis=-1) == y).mean())


@pytest.mark.long
def test_resnet20_accuracy(resnet20):
    """100 images: the full table comes from examples/cifar10_resnet20.py."""
    model, model_snn, x, y = resnet20
    result = model_snn.simulate(x, outputs=[8, 32, 64])
    accuracy = result.accuracy(y)
    assert accuracy[0] < accuracy[1]
    assert accuracy[1] > 0.75
    assert accuracy[2] >= ann_accuracy(model, x, y) - 0.05


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["lenet5", "mnist_mlp"])
def test_mnist_accuracy(name, request):
    model, model_snn, x, y = request.getfixturevalue(name)
    accuracy = model_snn.simulate(x, outputs=[64]).accuracy(y)[-1]
    assert accuracy >= ann_accuracy(model, x, y) - 0.01


@pytest.mark.slow
@pytest.mark.parametrize("file", mostly_slow(["cnn_bn_cifar10", "resnet8_cifar10"], ["cnn_bn_cifar10"]))
def test_models_by_others_convert_as_they_are(file, data_dir):
    model = keras.saving.load_model(data_dir / "models" / f"{file}.keras")
    x, _ = cifar10(data_dir, "test", 16)
    x_calibration, _ = cifar10(data_dir, "calib5000", 128)
    if file == "cnn_bn_cifar10":
        x, x_calibration = (array.transpose(0, 3, 1, 2) / 255.0 for array in (x, x_calibration))
    model_snn = snn.convert_keras(model, x_calibration)
    expected = model.predict(x, verbose=0)
    outputs = model_snn.simulate(x, outputs=[8, 64]).outputs
    assert_engines_agree(model_snn, x, ["spikes"], timesteps=16)
    errors = np.abs(outputs - expected).mean(axis=(1, 2))
    assert errors[1] < errors[0] / 2
    assert (outputs[-1].argmax(axis=-1) == expected.argmax(axis=-1)).mean() >= 0.8


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "file", mostly_slow(["vgg16_cifar10.keras", "models/mobilenet_vww96.keras"], ["models/mobilenet_vww96.keras"])
)
@pytest.mark.filterwarnings("ignore:No `calibration_data`")
def test_large_models_convert(file, data_dir):
    model = keras.saving.load_model(data_dir / file)
    model_snn = snn.convert_keras(model, timesteps=2)
    assert model_snn.conversion.pass_error < 1e-5
    x = np.random.default_rng(0).random((2, *model.input_shape[1:])).astype(np.float32)
    assert_engines_agree(model_snn, x, ["spikes"], timesteps=16)
    assert model_snn.predict(np.zeros((1, *model.input_shape[1:])), verbose=0).shape == (1, model.output_shape[-1])
    assert model_snn.reproducibility_exceptions == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ann", "least"),
    [
        ("lenet5_mnist", 98.96, {8: 98.9}),
        ("cnn_bn_cifar10", 81.44, {32: 81.0}),
        # Its channels are few, and it loses most at few timesteps.
        ("resnet8_cifar10", 87.21, {64: 85.5}),
        ("resnet20_cifar10", 91.73, {4: 62.0, 8: 80.0, 16: 88.5}),
    ],
)
def test_accuracy_on_complete_test_sets(name, ann, least, data_dir):
    options = argparse.Namespace(images=10_000, calibration_images=1000, timesteps=list(least))
    for row in load_example("accuracy", "benchmarks").measure(name, data_dir, "automatic", 0, options):
        assert row["ann"] == pytest.approx(ann, abs=0.005)
        assert row["snn"] >= least[row["timesteps"]]
