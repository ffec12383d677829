"""Bad input to whole runs, through file, flags and Python: one clear error before long work, and nothing half-written."""

import dataclasses
import hashlib
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.config.sections import SECTION_OF

L = keras.layers
X = np.random.default_rng(0).random((20, 6), dtype=np.float32)
Y = np.random.default_rng(1).integers(0, 3, 20)
EVERYWHERE = ("file", "flags", "python")


@dataclasses.dataclass(frozen=True)
class Bad:
    """What is bad: settings as text by key, or something in the user's folder; and what must be said about it."""

    message: str
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    prepare: Callable[[Any], None] = lambda folder: None
    channels: tuple[str, ...] = EVERYWHERE
    #: In Python, where the value is not a text.
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: In a file, in place of settings.
    text: str | None = None


def setting(message, key, text, *values):
    return Bad(rf"\[{SECTION_OF[key]}\] {key}.*{message}", {key: text}, values={key: values[0]} if values else {})


def array(name, value, message):
    def prepare(folder):
        np.savez(folder / f"{name}.npz", value)

    return Bad(message, prepare=prepare)


def file(name, content, message, **kwargs):
    return Bad(message, prepare=lambda folder: (folder / name).write_bytes(content), **kwargs)


def model(make, message, **settings):
    return Bad(message, settings, prepare=lambda folder: make().save(folder / "net.keras"))


def mlp(activation="relu", layer=None):
    hidden = layer or L.Dense(10, activation, name="hidden")
    return keras.Sequential([keras.Input((6,)), hidden, L.Dense(3, "softmax", name="classes")], name="small")


def frames(folder):
    np.savez(folder / "x_test.npz", np.repeat(X[:, None], 5, axis=1))


def other_folder(folder):
    (folder / "net_snn").mkdir()
    (folder / "net_snn" / "notes.txt").write_text("mine")


def other_file(folder):
    (folder / "net_snn").write_text("mine")


def converted_source(folder):
    snn.convert_keras(mlp(), X).save(folder / "net.keras")


def no_folder(folder):
    (folder / "blocker").write_text("a file where a folder is wanted")


NAN, INFINITE = X.copy(), X.copy()
NAN[3, 1], INFINITE[0, 0] = np.nan, np.inf

BAD = {
    # Settings
    "percentile above 100": setting("Received: 101", "percentile", "101", 101),
    "percentile is a word": setting("Received: 'high'", "percentile", "high", "high"),
    "negative duration": setting("a positive number.*-5", "duration", "-5", -5),
    "duration is not a number": setting("a positive number.*nan", "duration", "nan", float("nan")),
    "duration is code": setting("a positive number", "duration", "open('x').read()", "open('x').read()"),
    "a run that never ends": Bad(
        r"number of timesteps. Expected at most 2\*\*24.*dt=1e-09", {"dt": "1e-9"}, values={"dt": 1e-9}
    ),
    "timesteps beyond all numbers": Bad(
        r"number of timesteps. Expected at most 2\*\*24",
        {"dt": "1e-300", "duration": "1e300"},
        values={"dt": 1e-300, "duration": 1e300},
    ),
    "a label that leads elsewhere": setting("a folder below path_wd.*'../evil'", "runlabel", "../evil", "../evil"),
    "a label that leads elsewhere by a detour": setting("a folder below path_wd", "runlabel", "a/../../b", "a/../../b"),
    "a label that is a path": setting("a folder below path_wd", "runlabel", "/tmp/evil", "/tmp/evil"),
    "a number beyond all floats": Bad(
        r"\[simulation\] duration: Expected a positive number", values={"duration": 10**400}, channels=("python",)
    ),
    "a list where a name is wanted": Bad(
        r"\[cell\] reset: Expected one of", values={"reset": ["zero"]}, channels=("python",)
    ),
    "half a timestep": Bad("whole number of timesteps", {"duration": "1.5"}, values={"duration": 1.5}),
    "no batch": setting("integer of 1 or more", "batch_size", "0", 0),
    "half a sample": setting("integer of 1 or more", "batch_size", "2.5", 2.5),
    "no sample to test": setting("integer of 1 or more", "num_to_test", "0", 0),
    "more samples than there are": setting("= 1000, but x_test has only 20", "num_to_test", "1000", 1000),
    "a sample that is not there": setting("no sample 99.*20 samples", "sample_idxs_to_test", "[1, 99]", [1, 99]),
    "a sample twice": setting("each of them once", "sample_idxs_to_test", "1, 1", [1, 1]),
    "top 0": setting("integer of 1 or more", "top_k", "0", 0),
    "top of all classes": setting("every sample would be correct", "top_k", "3", 3),
    "two lists of samples": Bad(
        "num_to_test = 3 contradicts the 2 samples",
        {"num_to_test": "3", "sample_idxs_to_test": "0, 1"},
        values={"num_to_test": 3, "sample_idxs_to_test": [0, 1]},
    ),
    "neurons of a layer-synchronous run": Bad(
        "no membrane potential per timestep",
        {"schedule": "layer_synchronous", "neurons_to_plot": "hidden_relu/1"},
        values={"neurons_to_plot": ["hidden_relu/1"]},
    ),
    "thresholds of a network that is converted": Bad(
        "v_thresh = 2.0 cannot change a network that is converted",
        {"convert": "False", "v_thresh": "2"},
        lambda folder: snn.convert_keras(mlp(), X).save(folder / "net_snn.keras"),
        values={"convert": False, "v_thresh": 2},
    ),
    "negative seed": setting(r"in \[0, 2\*\*62\)", "seed", "-1", -1),
    "unknown schedule": setting("one of 'step'", "schedule", "async", "async"),
    "misspelled reset": setting("Did you mean 'Reset to zero'", "reset", "Reset to zer", "Reset to zer"),
    "initial potential above the threshold": setting(r"in \[-1, 1\]", "v0", "3", 3),
    "threshold zero": setting("a positive number", "v_thresh", "0", 0),
    "more calibration samples than there are": setting("= 99, but x_norm has only 20", "num_samples", "99", 99),
    "two kinds of input": Bad(
        "exclude each other",
        {"poisson_input": "True", "frame_input": "True"},
        values={"poisson_input": True, "frame_input": True},
    ),
    "unknown plot": setting("Did you mean 'v_mem'", "plot_vars", "vmem", ["vmem"]),
    "unknown variable": setting("variables to keep", "log_vars", "everything", ["everything"]),
    "sample to plot is not simulated": setting("= 20, but only 20 samples", "sample_to_plot", "20", 20),
    "unknown population": setting("no neuron 'hiden/1'", "neurons_to_plot", "hiden/1", ["hiden/1"]),
    "unknown neuron": setting("no neuron 'hidden_relu/10'", "neurons_to_plot", "hidden_relu/10", ["hidden_relu/10"]),
    "verbosity": setting(r"in \[0, 3\]", "verbose", "9", 9),
    "nothing to do": Bad(
        "nothing to do", {"convert": "False", "simulate": "False"}, values={"convert": False, "simulate": False}
    ),
    "layer-synchronous with hard reset": Bad(
        "needs .cell. reset",
        {"schedule": "layer_synchronous", "reset": "zero"},
    ),
    # Sweeps
    "sweep of an unknown setting": Bad(
        "Unknown setting 'treshold'", {"param_name": "treshold", "param_values": "1, 2"}
    ),
    "sweep of a label": Bad("cannot be varied", {"param_name": "runlabel", "param_values": "a, b"}),
    "sweep of timesteps of another length": Bad(
        "with dt = 0.5, vary duration",
        {"param_name": "timesteps", "param_values": "8, 16", "dt": "0.5"},
        values={"dt": 0.5},
    ),
    "sweep over a bad value": Bad("v0: Expected a number.*Received: 7", {"param_name": "v0", "param_values": "0, 7"}),
    "sweep over a value twice": Bad("occurs twice", {"param_name": "v0", "param_values": "0.5, 0.50"}),
    "sweep over more samples than there are": Bad(
        "num_to_test = 50, but x_test has only 20", {"param_name": "num_to_test", "param_values": "5, 50"}
    ),
    # Configuration files
    "unknown key": Bad(
        "percentil: unknown key. Did you mean 'percentile'",
        text="[normalization]\npercentil = 99\n",
        channels=("file",),
    ),
    "unknown section": Bad("Did you mean 'simulation'", text="[simulations]\nduration = 8\n", channels=("file",)),
    "another simulator": Bad(
        "simulator = nest is not supported", text="[simulation]\nsimulator = nest\n", channels=("file",)
    ),
    "hardware": Bad(r"\[loihi\]: it belongs to another simulator", text="[loihi]\nx = 1\n", channels=("file",)),
    "broken file": Bad("no valid INI file", text="[simulation\nduration = 8\n", channels=("file",)),
    "a key twice": Bad("already exists", text="[cell]\nv0 = 0\nv0 = 1\n", channels=("file",)),
    # Models
    "no name of a model": Bad(
        "filename_ann: Expected the file name", {"filename_ann": ""}, channels=("file", "python")
    ),
    "no model": Bad("There is no model '.*nett' .*Models in that folder: net.keras", {"filename_ann": "nett"}),
    "a damaged model": file("net.keras", b"PK\x03\x04 damaged", "cannot read .*net.keras. .* bytes. as a model"),
    "an empty model": file("net.keras", b"", "cannot read .*net.keras. .* bytes. as a model"),
    "a smooth nonlinearity": model(lambda: mlp("gelu"), "'hidden_gelu' .*remedy: retrain with ReLU"),
    "a recurrent layer": model(
        lambda: keras.Sequential([keras.Input((6, 1)), L.LSTM(3, name="memory"), L.Dense(3)]),
        "'memory' .LSTM.: it is recurrent",
    ),
    "code in a model": model(
        lambda: mlp(layer=L.Lambda(lambda x: x, name="code")), "cannot read .* as a model: .*Lambda"
    ),
    "an affine model": model(lambda: mlp("linear"), "no inner nonlinearity"),
    "diverged weights": model(lambda: diverged(), "NaN or infinite weights in: 'hidden'"),
    "a converted network as source": Bad("is a converted network", prepare=converted_source),
    "no converted network": Bad("There is no model '.*net_snn'", {"convert": "False"}, values={"convert": False}),
    "a source as converted network": Bad(
        "is no converted network, but a Sequential",
        {"convert": "False", "filename_snn": "net"},
        values={"convert": False},
    ),
    # Data
    "no samples file": Bad("no data file '.*x_test.npz'", prepare=lambda folder: (folder / "x_test.npz").unlink()),
    "damaged samples": file("x_test.npz", b"PK\x03\x04 damaged", "cannot be read as an npz file"),
    "a text instead of samples": file("x_test.npz", b"1, 2, 3", "cannot be read as an npz file"),
    "samples are objects": array(
        "x_test", np.array([None, "a"], object), "cannot be read as an npz file of plain arrays"
    ),
    "NaN in samples": array("x_test", NAN, "`x_test` holds NaN or infinite values .* first in sample 3"),
    "infinite calibration data": array("x_norm", INFINITE, "`x_norm` holds NaN or infinite values"),
    "samples of another shape": array("x_test", X[:, :5], r"`x_test` has the wrong shape.*\(20, 5\)"),
    "no samples in the file": array("x_test", X[:0], "`x_test` is empty"),
    "samples are words": array("x_test", np.array([["a"] * 6] * 20), "must hold real numbers"),
    "calibration data of another shape": array("x_norm", X[0], "batch axis missing"),
    "no calibration data": Bad(
        "no calibration data .*normalize = False", prepare=lambda f: (f / "x_norm.npz").unlink()
    ),
    "fewer labels than samples": array("y_test", Y[:7], "one label per sample. Expected 20 labels"),
    "labels that are no class": array("y_test", Y + 1, "class indices from 0 to 2"),
    "one-hot labels of other classes": array("y_test", np.eye(5)[Y], "One-hot `y` must have 3 columns"),
    "fewer frames than timesteps": Bad(
        "x_test has 5 frames per sample, fewer than the 8 timesteps",
        {"frame_input": "True"},
        frames,
        values={"frame_input": True},
    ),
    # Folders
    "the folder holds something else": Bad(
        "exists and holds no run", {"overwrite": "True"}, other_folder, values={"overwrite": True}
    ),
    "the folder is a file": Bad("is a file. Choose another folder", prepare=other_file),
    "the folder cannot be made": Bad(
        "folder of the run cannot be made", {"log_dir_of_current_run": "blocker/run"}, no_folder
    ),
}


def diverged():
    network = mlp()
    network.layers[0].kernel.assign(np.full((6, 10), np.nan))
    return network


CASES = [pytest.param(bad, channel, id=f"{name}-{channel}") for name, bad in BAD.items() for channel in bad.channels]


@pytest.fixture
def folder(tmp_path):
    mlp().save(tmp_path / "net.keras")
    np.savez(tmp_path / "x_test.npz", X)
    np.savez(tmp_path / "y_test.npz", Y)
    np.savez(tmp_path / "x_norm.npz", X)
    return tmp_path


def contents(folder):
    return {path: hashlib.sha256(path.read_bytes()).digest() if path.is_file() else None for path in folder.rglob("*")}


def write_config(folder, settings):
    by_section = {}
    for key, text in {"filename_ann": "net", "duration": "8", **settings}.items():
        by_section.setdefault(SECTION_OF[key], []).append(f"{key} = {text}")
    lines = [line for section, keys in by_section.items() for line in (f"[{section}]", *keys)]
    (folder / "config.ini").write_text("\n".join(lines))


def as_flags(settings):
    for key, text in settings.items():
        flag = key.replace("_", "-")
        if text in ("True", "False"):
            yield f"--{flag}" if text == "True" else f"--no-{flag}"
        else:
            yield f"--{flag}={text}"


@pytest.mark.few(76)
@pytest.mark.parametrize(("bad", "channel"), CASES)
def test_bad_input_is_one_error_before_any_work(bad, channel, folder, capsys, monkeypatch):
    def too_late(*args, **kwargs):
        raise RuntimeError("a network was converted before the input was checked")

    bad.prepare(folder)
    monkeypatch.setattr("snn_toolbox_tf.experiment.conversion_stage.convert_graph", too_late)
    monkeypatch.chdir(folder)
    write_config(folder, bad.settings if channel == "file" else {})
    if bad.text is not None:
        (folder / "config.ini").write_text(bad.text)
    before = contents(folder)
    if channel == "python":
        settings = snn.Settings().replace(filename_ann="net", duration=8)
        run = snn.sweep if "param_values" in bad.settings else snn.run
        with pytest.raises((ValueError, TypeError), match=f"(?s){bad.message}"):
            run(settings.replace(**{**bad.settings, **in_python(bad)}))
    else:
        assert main(["run", "config.ini", *(as_flags(bad.settings) if channel == "flags" else ())]) == 2
        captured = capsys.readouterr()
        assert re.search(bad.message, captured.err, flags=re.DOTALL), captured.err
        assert captured.err.startswith("error: ")
        assert captured.err.count("error: ") == 1
        assert captured.out == ""
    assert contents(folder) == before


@pytest.mark.parametrize(
    "name",
    [
        *(name for name, bad in BAD.items() if "param_values" in bad.settings),
        *("percentile above 100", "negative duration", "a label that is a path", "more samples than there are"),
    ],
)
def test_check_refuses_what_run_refuses(name, folder, capsys):
    bad = BAD[name]
    bad.prepare(folder)
    write_config(folder, bad.settings)
    before = contents(folder)
    assert main(["check", str(folder / "config.ini")]) == 2
    assert re.search(bad.message, capsys.readouterr().err, flags=re.DOTALL)
    assert contents(folder) == before


def test_check_accepts_a_sweep(folder, capsys):
    write_config(folder, {"param_name": "v_thresh", "param_values": "0.5, 1"})
    assert main(["check", str(folder / "config.ini")]) == 0
    assert "settings and data can be used: 20 samples to test" in capsys.readouterr().err


def test_a_model_that_meets_data_which_it_cannot_take_is_one_error(folder, capsys):
    network = mlp()
    network.layers[0].kernel.assign(np.full((6, 10), 3e38))
    network.save(folder / "net.keras")
    assert main(["run", str(folder / "net.keras"), "--duration=4"]) == 2
    error = capsys.readouterr().err
    assert re.match(r"error: The activations of model 'small' are not finite on this data, first in 'hidden'", error)
    assert not (folder / "net_snn").exists()


def in_python(bad):
    if "param_values" in bad.settings:
        return {**bad.values, "param_values": [text.strip() for text in bad.settings["param_values"].split(",")]}
    return bad.values
