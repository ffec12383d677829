"""`snn-toolbox-tf example`: a model, its data and a configuration, out of the package alone."""

import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import example, main

ROOT = pathlib.Path(snn.__file__).parents[1]
FILES = ["digits.ini", "digits_cnn.keras", "x_norm.npz", "x_test.npz", "y_test.npz"]
DATA = ("x_test", "y_test", "x_norm")


def test_it_writes_a_folder_and_says_what_to_do_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["example"]) == 0
    assert capsys.readouterr().out == f"digits: {', '.join(FILES)}\nnext: snn-toolbox-tf run digits/digits.ini\n"
    assert sorted(path.name for path in pathlib.Path("digits").iterdir()) == FILES
    assert main(["example", "below/another", "--json"]) == 0
    folder = tmp_path / "below" / "another"
    said = {"folder": str(folder), "files": FILES, "config": str(folder / "digits.ini")}
    assert json.loads(capsys.readouterr().out) == said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below", "digits"]


def test_its_data_are_scikit_learns_digits(tmp_path):
    assert main(["example", str(tmp_path / "new")]) == 0
    x_test, y_test, x_norm = (np.load(tmp_path / "new" / f"{name}.npz")["arr_0"] for name in DATA)
    x, y = load_digits(return_X_y=True)
    assert (x_test.dtype, x_test.shape, x_norm.shape) == (np.float32, (599, 8, 8, 1), (1198, 8, 8, 1))
    np.testing.assert_array_equal(x_test.reshape(-1, 64) * 16, x[::3])
    np.testing.assert_array_equal(y_test, y[::3])
    np.testing.assert_array_equal(x_norm.reshape(-1, 64) * 16, np.delete(x, np.s_[::3], axis=0))


def test_its_model_is_trained_and_read_by_every_keras():
    path = example.FILES / "digits_cnn.keras"
    assert path.stat().st_size < 100_000
    with zipfile.ZipFile(path) as file:
        # What a newer Keras writes, 3.6 cannot read.
        assert json.loads(file.read("metadata.json"))["keras_version"] == "3.6.0"
    _, _, x, y = example.digits()
    outputs = keras.saving.load_model(path).predict(x, verbose=0)
    assert np.mean(np.argmax(outputs, axis=-1) == y) == pytest.approx(0.99, abs=0.004)


@pytest.mark.parametrize("kind", ["folder", "file", "link to nothing"])
def test_what_is_there_is_not_written_to(tmp_path, capsys, kind):
    target = tmp_path / "taken"
    {
        "folder": target.mkdir,
        "file": lambda: target.write_text("mine"),
        "link to nothing": lambda: target.symlink_to(tmp_path / "nowhere"),
    }[kind]()
    assert main(["example", str(target)]) == 2
    message = f"'{target}' exists, and is not written to. Name another folder: `snn-toolbox-tf example FOLDER`"
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]


def test_nothing_is_left_of_one_that_could_not_be_written(tmp_path, capsys, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(example, "_write_data", full)
    assert main(["example", str(tmp_path / "digits")]) == 3
    assert "No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_installation_without_its_files_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "FILES", tmp_path)
    assert main(["example", str(tmp_path / "digits")]) == 2
    message = f"There is no example file '{tmp_path}/digits_cnn.keras'. Install the package again"
    assert re.search(re.escape(message), capsys.readouterr().err)


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
def test_it_runs(tmp_path, capsys):
    assert main(["example", str(tmp_path / "digits")]) == 0
    capsys.readouterr()
    assert main(["run", str(tmp_path / "digits" / "digits.ini"), "--num-to-test", "100", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["samples"], result["timesteps"]) == (100, 32)
    assert result["ann_accuracy"] > 0.95
    assert result["agreement"] > 0.95
    assert pathlib.Path(result["report"]) == tmp_path / "digits" / "digits_cnn_snn" / "report.html"


@pytest.mark.slow
def test_its_model_can_be_trained_anew(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "digits_model.py", "--output", tmp_path / "new.keras"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"accuracy (\S+) on 599", done.stdout)[1]) > 0.97
    shipped, trained = (keras.saving.load_model(path) for path in (example.FILES / FILES[1], tmp_path / "new.keras"))
    assert [weight.shape for weight in shipped.weights] == [weight.shape for weight in trained.weights]
