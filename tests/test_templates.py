"""The configuration templates run, on the files that the examples write, and are printed."""

import configparser
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main

ROOT = pathlib.Path(snn.__file__).parents[1]
TEMPLATES = sorted((ROOT / "config_templates").glob("*.ini"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_are_read(path):
    settings = snn.read_settings(path)
    assert settings.notes == ()
    assert pathlib.Path(settings.paths.path_wd).is_absolute()


def test_templates_are_listed_and_printed(capsys):
    assert main(["template"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [path.stem for path in TEMPLATES]
    assert "digits             scikit-learn's digits." in lines
    assert main(["template", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"templates": [path.stem for path in TEMPLATES]}
    for path in TEMPLATES:
        assert main(["template", path.name]) == 0
        assert capsys.readouterr().out == path.read_text()


def test_an_unknown_template_has_a_nearest_one(capsys):
    assert main(["template", "digit"]) == 2
    message = "There is no template 'digit'. Expected one of: cifar10_resnet20, default, .*Did you mean 'digits'?"
    assert re.search(message, capsys.readouterr().err)


def test_an_installation_without_templates_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("snn_toolbox_tf.cli.templates.FOLDERS", (tmp_path,))
    assert main(["template"]) == 2
    assert re.search(f"There are no configuration templates in '{tmp_path}'. Install", capsys.readouterr().err)


def run_example(name, folder, *arguments, **environment):
    """Runs an example as a process of its own and returns its standard output."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", "--folder", folder, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def accuracies(report):
    record = json.loads((report.parent / "report.json").read_text())
    (output,) = record["outputs"]
    return output["ann_accuracy"], output["accuracy"][-1]


@pytest.mark.slow
@pytest.mark.long
def test_digits(tmp_path):
    out = run_example("digits", tmp_path)
    report = tmp_path / "run" / "report.html"
    assert f"report: {report}" in out
    ann, accuracy = accuracies(report)
    assert ann > 0.95
    assert abs(ann - accuracy) < 0.01


@pytest.mark.slow
def test_cifar10_resnet20(data_dir, tmp_path):
    run_example("cifar10_resnet20", tmp_path, "--images", "64", "--timesteps", "8", "--calibration-images", "128")
    ann, accuracy = accuracies(tmp_path / "run" / "report.html")
    assert ann > 0.85
    assert 0.2 < accuracy < ann


@pytest.mark.slow
@pytest.mark.long
def test_snn_toolbox_mnist_example_runs_unchanged(data_dir, tmp_path):
    """The configuration as that example writes it: by configparser, from Python values, into a file called `config`."""
    few = tmp_path / "few"
    few.mkdir()
    for part, count in (("train", 3000), ("test", 200)):
        with np.load(data_dir / f"mnist_{part}.npz") as file:
            np.savez(few / f"mnist_{part}.npz", x=file["x"][:count], y=file["y"][:count])
    run_example("snn_toolbox_mnist", tmp_path, SNN_TOOLBOX_TF_DATA=str(few))
    config = configparser.ConfigParser()
    config["paths"] = {"path_wd": str(tmp_path), "dataset_path": str(tmp_path), "filename_ann": "mnist_cnn"}
    config["tools"] = {"evaluate_ann": True, "normalize": True}
    config["simulation"] = {
        "simulator": "INI",
        "duration": 50,
        "num_to_test": 100,
        "batch_size": 50,
        "keras_backend": "tensorflow",
    }
    plots = {"spiketrains", "spikerates", "activations", "correlation", "v_mem", "error_t"}
    config["output"] = {"plot_vars": plots}
    with (tmp_path / "config").open("w") as file:
        config.write(file)
    before = accuracies(tmp_path / "mnist_cnn_snn" / "report.html")
    assert main(["run", str(tmp_path / "config"), "--runlabel", "again", "--quiet"]) == 0
    again = tmp_path / "again"
    assert accuracies(again / "report.html") == before
    assert before[0] > 0.5
    assert before[0] - before[1] <= 0.05
    drawn = {path.stem for path in (again / "plots").iterdir()}
    assert drawn == {"accuracy", "error", "firing_rates", "correlation", "raster", "membrane"}
