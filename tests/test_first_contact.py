"""What the first steps import: the package leaves plots and files to later, and the command line TensorFlow as well."""

import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.foundation.startup import is_command_line

ROOT = pathlib.Path(snn.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def imported_modules(importtime):
    """The modules that Python's -X importtime lists."""
    return set(re.findall(r"^import time:.*\| +([\w.]+)$", importtime, flags=re.MULTILINE))


@pytest.fixture
def network(tmp_path, mlp, x_mlp):
    """A file with a converted network."""
    snn.convert_keras(mlp, x_mlp, timesteps=4, threshold_rule="percentile").save(tmp_path / "net_snn.keras")
    return tmp_path / "net_snn.keras"


@pytest.mark.long
def test_import_needs_no_library_that_only_reports_need_and_registers_all_layers(network, x_mlp, tmp_path):
    np.save(tmp_path / "x.npy", x_mlp)
    code = """
import sys
for name in ("matplotlib", "jinja2", "filelock", "sklearn"):
    sys.modules[name] = None  # Whoever imports it fails; Keras does without.
import snn_toolbox_tf
import keras, numpy
model = keras.saving.load_model(sys.argv[1])
print(model.predict(numpy.load(sys.argv[2]), verbose=0).tolist())
"""
    done = python("-c", code, network, tmp_path / "x.npy")
    assert done.returncode == 0, done.stderr
    expected = keras.saving.load_model(network).predict(x_mlp, verbose=0)
    np.testing.assert_array_equal(np.float32(json.loads(done.stdout)), expected)


def test_all_public_names_are_there():
    assert set(snn.__all__) <= set(dir(snn))


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The command as pip installs it."""
    path = tmp_path_factory.mktemp("bin") / "snn-toolbox-tf"
    path.write_text("import sys\nfrom snn_toolbox_tf.cli import main\nsys.exit(main())\n")
    return path


@pytest.mark.few(8)
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "usage: snn-toolbox-tf"),
        (["--version"], 0, f"snn_toolbox_tf {snn.__version__}"),
        (["run", "--help"], 0, "--percentile"),
        (["template"], 0, "default "),
        (["template", "digits"], 0, "filename_ann = digits_cnn"),
        (["example", "{folder}"], 2, "exists, and is not written to"),
        (["walk"], 2, "invalid choice: 'walk'"),
        (["run", "net.keras", "--durration", "3"], 2, "Did you mean '--duration'?"),
        (["run", "{network}", "--percentile", "101"], 2, r"[normalization] percentile: Expected a number in (0, 100]."),
        (["check", "{network}x.keras"], 2, "There is no model"),
        (["run", "{folder}/config"], 2, "no configuration file and no model"),
        (["run", "{folder}/bad.ini"], 2, "Did you mean 'duration'?"),
        (["convert", "{network}", "--output", "net.h5"], 2, "Expected a file name that ends in .keras"),
        (["convert", "{network}", "--calibration-data", "no.npz"], 2, "There is no data file 'no.npz'"),
    ],
)
@pytest.mark.parametrize("start", ["script", "module"])
def test_the_command_line_answers_before_it_imports_tensorflow(script, tmp_path, start, arguments, status, said):
    network = tmp_path / "net.keras"
    network.touch()
    (tmp_path / "bad.ini").write_text("[simulation]\nduratoin = 3\n")
    started = [script] if start == "script" else ["-m", "snn_toolbox_tf"]
    filled = [word.format(network=network, folder=tmp_path) for word in arguments]
    done = python("-X", "importtime", *started, *filled)
    imported = imported_modules(done.stderr)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert "snn_toolbox_tf.config.sections" in imported
    assert not imported & {"tensorflow", "keras", "numpy", "matplotlib", "jinja2", "sklearn", "h5py"}


@pytest.mark.parametrize(
    ("program", "started", "expected"),
    [
        ("/usr/bin/snn-toolbox-tf", ["python", "/usr/bin/snn-toolbox-tf", "check"], True),
        ("snn-toolbox-tf.exe", ["snn-toolbox-tf.exe"], True),
        ("-m", ["python", "-W", "ignore", "-m", "snn_toolbox_tf", "check"], True),
        ("-m", ["python", "-m", "another", "-m", "snn_toolbox_tf"], False),
        ("-m", ["python", "-m", "snn_toolbox_tf.cli"], False),
        ("/home/me/script.py", ["python", "/home/me/script.py", "-m", "snn_toolbox_tf"], False),
        ("/home/me/snn-toolbox-tf.py", ["python", "/home/me/snn-toolbox-tf.py"], False),
        ("", ["python"], False),
    ],
)
def test_the_command_line_is_told_from_other_programs(monkeypatch, program, started, expected):
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr(sys, "orig_argv", started)
    assert is_command_line() is expected


@pytest.mark.slow
@pytest.mark.long
def test_check_imports_no_library_that_only_reports_need_and_knows_all_layers(script, mlp, tmp_path):
    """Not even where Keras would; and all of the package is imported only where a program asks for it."""
    mlp.save(tmp_path / "net.keras")
    code = f"""
import sys
sys.argv = [{str(script)!r}, "check", {str(tmp_path / "net.keras")!r}]
from snn_toolbox_tf.cli import main
assert main() == 0
print(*sys.modules)
import keras, snn_toolbox_tf
print(*sorted(keras.saving.get_custom_objects()), hasattr(snn_toolbox_tf, "convert_keras"))
import sklearn, matplotlib
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    *_, imported, known = map(str.split, done.stdout.splitlines())
    assert "keras" in imported
    assert not set(imported) & {"matplotlib", "jinja2", "filelock", "sklearn"}
    assert known[-1] == "False"
    ours = [name for name in keras.saving.get_custom_objects() if name.startswith("SnnToolbox>")]
    assert ours
    assert set(ours) <= set(known)


def test_another_backend_is_refused_by_the_command_line(script, network):
    """With JAX installed Keras comes up and is refused; without it, Keras does not come up."""
    done = python(script, "check", network, KERAS_BACKEND="jax")
    assert done.returncode == 3
    assert re.search(r"error: snn_toolbox_tf needs Keras .*KERAS_BACKEND=tensorflow", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_keras_that_cannot_be_imported_is_named(monkeypatch, network, capsys):
    monkeypatch.setitem(sys.modules, "keras", None)
    assert main(["check", str(network)]) == 3
    assert re.search(r"Keras cannot be imported: .*Is TensorFlow installed", capsys.readouterr().err)
