"""A save that fails leaves what was there; and what the other methods of `keras.Model` do to a spiking network."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.atomic_files import replacing_path


@pytest.fixture
def model_snn(mlp, x_mlp):
    return snn.convert_keras(mlp, x_mlp, timesteps=8, threshold_rule="percentile")


class Nameless(keras.metrics.Mean):
    def get_config(self):
        raise NotImplementedError("no configuration")


@pytest.mark.parametrize(
    ("compilation", "message"),
    [
        ({"loss": lambda y, outputs: keras.ops.mean(outputs - y)}, r"a function without a name \(lambda\) is in: loss"),
        ({"loss": "mse", "metrics": [Nameless()]}, r"Keras says: NotImplementedError: no configuration"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is(model_snn, tmp_path, compilation, message):
    model_snn.save(tmp_path / "net.keras")
    before = (tmp_path / "net.keras").read_bytes()
    model_snn.compile("sgd", **compilation)
    with pytest.raises(ValueError, match=rf"is compiled with what no file can hold, so nothing was written. {message}"):
        model_snn.save(tmp_path / "net.keras")
    assert (tmp_path / "net.keras").read_bytes() == before
    assert os.listdir(tmp_path) == ["net.keras"]
    model_snn.compile()
    model_snn.save(tmp_path / "net.keras")


def test_a_layer_whose_configuration_is_no_json_is_named(model_snn, tmp_path):
    model_snn.network.graph["hidden"].layer.config["novelty"] = object()
    with pytest.raises(ValueError, match=r"Layer 'hidden' \(Dense\) cannot be saved, so nothing was written"):
        model_snn.save(tmp_path / "net.keras")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("net.keras", {"zipped": False}, ValueError, "saved as one file, not as a folder"),
        ("gs://bucket/net.keras", {}, ValueError, "saved on this computer: copy the file"),
        ("file/net.keras", {}, NotADirectoryError, "net.keras' cannot be written: a part of that path is a file"),
        ("there.keras", {"overwrite": False}, FileExistsError, "there.keras' exists. Pass `overwrite=True`"),
    ],
)
def test_where_no_file_can_be_saved(model_snn, tmp_path, monkeypatch, name, options, error, message):
    monkeypatch.chdir(tmp_path)
    for there in ("file", "there.keras"):
        (tmp_path / there).write_text("mine")
    with pytest.raises(error, match=message):
        model_snn.save(name, **options)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "mine", "there.keras": "mine"}


def test_where_nothing_can_be_exported(model_snn, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file' exists and is not a SavedModel, so it is not replaced"):
        model_snn.export(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="serving' cannot be written: a part of that path is a file"):
        model_snn.export(tmp_path / "file" / "serving")
    assert (tmp_path / "file").read_text() == "mine"


INTERRUPTED = """
import os, resource, signal, sys, snn_toolbox_tf as snn
folder = sys.argv[1]
model = snn.load_model(folder + "/net.keras")
model.timesteps = 3
# As on a disk that is full after so many bytes.
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))
for write in (lambda: model.save(folder + "/net.keras"), lambda: model.export(folder + "/serving")):
    try:
        write()
    except Exception as error:
        print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(sorted(os.listdir(folder)))
model.layers[-1].save_own_variables = lambda store: os.kill(os.getpid(), signal.SIGKILL)
sys.stdout.flush()
model.save(folder + "/net.keras")
"""


@pytest.mark.long
def test_a_full_disk_and_a_kill_leave_the_old_versions(model_snn, x_mlp, tmp_path):
    model_snn.save(tmp_path / "net.keras")
    model_snn.export(tmp_path / "serving")
    expected = model_snn.predict(x_mlp, verbose=0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == -9, done.stderr
    errors, listed = done.stdout.splitlines()[:-1], done.stdout.splitlines()[-1]
    assert len(errors) == 2, done.stdout
    assert listed == "['net.keras', 'serving']"
    for path, content in before.items():
        assert path.read_bytes() == content, path
    np.testing.assert_array_equal(snn.load_model(tmp_path / "net.keras").predict(x_mlp, verbose=0), expected)
    (left,) = set(os.listdir(tmp_path)) - {"net.keras", "serving"}
    assert left.startswith(".net.keras-")
    model_snn.save(tmp_path / "net.keras")
    assert sorted(os.listdir(tmp_path)) == ["net.keras", "serving"]


def test_a_folder_that_was_moved_away_when_its_writer_was_killed_comes_back(tmp_path):
    left = tmp_path / ".serving-abcd1234"
    (left / "replaced").mkdir(parents=True)
    (left / "replaced" / "model.pb").write_text("old")
    (left / ".lock").touch()
    (tmp_path / ".serving-mine5678").mkdir()
    with pytest.raises(OSError, match="full"), replacing_path(tmp_path / "serving"):
        raise OSError("the disk is full")
    assert (tmp_path / "serving" / "model.pb").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == [".serving-mine5678", "serving"]


def test_writers_that_are_alive_are_left_alone(tmp_path):
    with replacing_path(tmp_path / "a.txt") as first:
        first.write_text("first")
        with replacing_path(tmp_path / "a.txt") as second:
            second.write_text("second")
        assert (tmp_path / "a.txt").read_text() == "second"
    assert (tmp_path / "a.txt").read_text() == "first"
    assert os.listdir(tmp_path) == ["a.txt"]


# Methods of `keras.Model`.


def same(model, x, expected):
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


def test_copies_by_description_have_no_weights_until_they_are_set(model_snn, x_mlp):
    expected = model_snn.predict(x_mlp, verbose=0)
    copies = [
        keras.models.clone_model(model_snn),
        keras.models.model_from_json(model_snn.to_json()),
        snn.SpikingModel.from_config(model_snn.get_config()),
    ]
    for copy in copies:
        assert copy.get_config() == json.loads(json.dumps(model_snn.get_config()))
        assert not any(weight.any() for weight in copy.get_weights())
        copy.set_weights(model_snn.get_weights())
        same(copy, x_mlp, expected)


def test_models_around_it_are_saved_with_it(model_snn, x_mlp, tmp_path):
    inputs = keras.Input((6,))
    for name, model in (
        ("functional", keras.Model(inputs, keras.layers.Softmax()(model_snn(inputs)))),
        ("sequential", keras.Sequential([keras.Input((6,)), model_snn, keras.layers.Softmax()])),
    ):
        model.save(tmp_path / f"{name}.keras")
        same(snn.load_model(tmp_path / f"{name}.keras"), x_mlp, model.predict(x_mlp, verbose=0))
        clone = keras.models.clone_model(model)
        model.save_weights(tmp_path / "a.weights.h5")
        clone.load_weights(tmp_path / "a.weights.h5")
        same(clone, x_mlp, model.predict(x_mlp, verbose=0))


def test_what_keras_functions_write_is_read(model_snn, x_mlp, tmp_path):
    expected = model_snn.predict(x_mlp, verbose=0)
    keras.saving.save_model(model_snn, tmp_path / "folder", zipped=False)
    same(keras.saving.load_model(tmp_path / "folder"), x_mlp, expected)
    keras.saving.save_weights(model_snn, tmp_path / "a.weights.h5")
    model_snn.set_weights([3 * weight for weight in model_snn.get_weights()])
    tripled = model_snn.get_weights()
    keras.saving.save_weights(model_snn, tmp_path / "b.weights.h5")
    keras.saving.load_weights(model_snn, tmp_path / "a.weights.h5")
    np.testing.assert_allclose(model_snn.predict(x_mlp, verbose=0), expected, atol=1e-5)
    keras.saving.load_weights(model_snn, tmp_path / "b.weights.h5")
    for weight, other in zip(model_snn.get_weights(), tripled, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_what_it_tells_of_itself(model_snn):
    lines = []
    model_snn.summary(print_fn=lambda line, **_: lines.append(line))
    assert "hidden_relu" in "".join(lines)
    assert [layer.name for layer in model_snn.layers] == ["hidden", "hidden_grid", "hidden_relu", "logits"]
    assert model_snn.get_layer("logits") is model_snn.get_layer(index=3)
    assert model_snn.count_params() == 6 * 10 + 10 + 10 * 3 + 3
    assert model_snn.compute_output_spec(keras.KerasTensor((None, 6))).shape == (None, 3)


REFUSED = {
    "quantize": (lambda m, path: m.quantize("int8"), ValueError, "cannot be quantized by Keras"),
    "onnx": (lambda m, path: m.export(path, format="onnx"), ValueError, "exports to format='tf_saved_model'"),
    "add_weight": (lambda m, path: m.add_weight(shape=(1,)), ValueError, "takes no further weights"),
    "train_on_batch": (lambda m, path: m.train_on_batch(1), RuntimeError, "is trained by `fit`"),
    "weights in several files": (
        lambda m, path: m.save_weights(path / "a.weights.json", max_shard_size=1),
        ValueError,
        r"saves its weights as one '.weights.h5' file. Received: '.*a.weights.json', max_shard_size=1",
    ),
    "weights of another ending": (
        lambda m, path: m.save_weights(path / "a.npz"),
        ValueError,
        "as one '.weights.h5' file",
    ),
    "weights over others": (
        lambda m, path: m.save_weights(path / "there.weights.h5", overwrite=False),
        FileExistsError,
        "there.weights.h5' exists. Pass `overwrite=True`",
    ),
    "weights that are not there": (
        lambda m, path: m.load_weights(path / "gone.weights.h5"),
        FileNotFoundError,
        "There is no file '.*gone.weights.h5'. Expected one that `save_weights` wrote",
    ),
    "half of the weights": (
        lambda m, path: m.load_weights(path / "there.weights.h5", skip_mismatch=True),
        ValueError,
        "loads all of its weights or none",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_methods_without_meaning_are_refused(model_snn, tmp_path, name):
    call, error, message = REFUSED[name]
    model_snn.save_weights(tmp_path / "there.weights.h5")
    before = (tmp_path / "there.weights.h5").read_bytes()
    with pytest.raises(error, match=message):
        call(model_snn, tmp_path)
    assert os.listdir(tmp_path) == ["there.weights.h5"]
    assert (tmp_path / "there.weights.h5").read_bytes() == before


def test_a_run_of_a_model_with_a_nameless_loss_is_saved_without_it(mlp, x_mlp, tmp_path):
    mlp.compile("sgd", loss=lambda y, outputs: keras.ops.mean(outputs - y))
    settings = snn.Settings().replace(path_wd=str(tmp_path), evaluate_ann=False, simulate=False, duration=2)
    with pytest.warns(UserWarning, match="saved without loss, metrics and optimizer. Model 'mlp_snn' is compiled with"):
        finished = snn.run(settings, model=mlp, x_norm=x_mlp)
    assert snn.load_model(finished.network).loss is None
