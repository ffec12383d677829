"""The command line: what it prints, writes and returns."""

import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.cli.arguments import build_parser
from snn_toolbox_tf.cli.console_progress import ConsoleProgress
from snn_toolbox_tf.cli.interruption import Interruption
from snn_toolbox_tf.config.sections import SECTION_OF

L = keras.layers


@pytest.fixture
def folder(tmp_path, rng):
    """A folder as a user would have it: a model, its data and a configuration."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(10, "relu", name="hidden"), L.Dense(3, "softmax", name="classes")], name="small"
    )
    model.save(tmp_path / "net.keras")
    np.savez(tmp_path / "x_test.npz", rng.random((20, 6), dtype=np.float32))
    np.savez(tmp_path / "y_test.npz", rng.integers(0, 3, 20))
    np.savez(tmp_path / "x_norm.npz", rng.random((30, 6), dtype=np.float32))
    (tmp_path / "config.ini").write_text(
        "[paths]\nfilename_ann = net\n[simulation]\nduration = 8\n[output]\nplot_vars = {}\n"
    )
    return tmp_path


def test_run_writes_a_folder_and_prints_a_table(folder, capsys):
    assert main(["run", str(folder / "config.ini")]) == 0
    out = capsys.readouterr().out
    report = folder / "net_snn" / "report.html"
    assert out.startswith("small: 20 samples, 8 timesteps")
    assert out.rstrip().endswith(f"report: {report}")
    assert report.is_file()


def test_flags_override_the_file(folder, capsys):
    flags = ["--duration", "6", "--dt", "2", "--num-to-test", "5", "--runlabel", "short", "--no-evaluate-ann", "--json"]
    assert main(["run", str(folder / "config.ini"), *flags]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["samples"], result["timesteps"], result["ann_accuracy"]) == (5, 3, None)
    assert result["folder"] == str(folder / "short")


def test_a_model_is_run_without_a_configuration(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    flags = ["--duration", "4", "--plot-vars", "{}", "--log-dir-of-current-run", "here", "--json"]
    assert main(["run", "net.keras", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(folder / "here" / "report.html")


@pytest.fixture
def converted(folder):
    """The same, with the network converted."""
    assert (
        main(["convert", str(folder / "net.keras"), "--threshold-rule", "percentile", "--timesteps", "4", "--quiet"])
        == 0
    )
    return folder


def test_export_writes_versions_for_a_model_server(converted, capsys, monkeypatch):
    monkeypatch.chdir(converted)
    for version in ("1", "2"):
        assert main(["export", "net_snn.keras", "--format", "serving", "--json"]) == 0
        written = pathlib.Path(json.loads(capsys.readouterr().out)["path"])
        assert written == converted / "serving" / "net_snn" / version
        assert (written / "saved_model.pb").is_file()
    assert main(["export", "net_snn.keras", "--format", "serving", "--export-version", "2"]) == 2
    assert "has a version 2 already" in capsys.readouterr().err
    flags = [
        "--format",
        "serving",
        "--output",
        "models/small",
        "--export-timesteps",
        "3, 6",
        "--exit-confidence",
        "0.9",
    ]
    assert main(["export", "net_snn.keras", *flags, "--closed-form", "--warmup-samples", "2"]) == 0
    signatures = tf.saved_model.load(str(converted / "models" / "small" / "1")).signatures
    assert {"serving_default", "timesteps_3", "timesteps_6", "closed_form", "rates", "step"} <= set(signatures)
    assert "timesteps" in signatures["serving_default"].structured_outputs
    assert (converted / "models" / "small" / "1" / "assets.extra" / "tf_serving_warmup_requests").is_file()


def test_what_is_exported_of_a_run_is_beside_its_folder(folder, capsys):
    """So that the next run does not replace it; data for warm-up requests are where the run has found them."""
    assert main(["run", str(folder / "config.ini"), "--threshold-rule", "percentile"]) == 0
    network = str(folder / "net_snn" / "net_snn.keras")
    assert main(["export", network, "--format", "serving", "--warmup-samples", "2"]) == 0
    assert (folder / "serving" / "net_snn" / "1" / "assets.extra" / "tf_serving_warmup_requests").is_file()
    assert 'name: "net_snn"' in (folder / "serving" / "models.config").read_text()
    assert main(["run", str(folder / "config.ini"), "--threshold-rule", "percentile", "--overwrite"]) == 0
    assert (folder / "serving" / "net_snn" / "1" / "saved_model.pb").is_file()


def test_a_model_with_a_name_for_no_url_is_exported_without_configuration(converted):
    target = converted / "models" / "my digits"
    assert main(["export", str(converted / "net_snn.keras"), "--format", "serving", "--output", str(target)]) == 0
    assert (target / "1" / "saved_model.pb").is_file()
    assert [path.name for path in target.parent.iterdir()] == ["my digits"]


def test_flags_of_other_commands_are_told(converted, capsys):
    with pytest.raises(SystemExit):
        main(["export", str(converted / "net_snn.keras"), "--format", "serving", "--timesteps", "8"])
    assert "--timesteps is no flag of `export`." in capsys.readouterr().err


def test_export_writes_files(converted, capsys):
    for kind in ("tflite", "keras", "nir"):
        target = converted / f"copy.{kind}"
        assert main(["export", str(converted / "net_snn.keras"), "--format", kind, "--output", str(target)]) == 0
        assert target.is_file()
        assert main(["export", str(converted / "net_snn.keras"), "--format", kind, "--output", str(target)]) == 2
        assert "exists. Choose another export_path, or replace it with" in capsys.readouterr().err
        assert (
            main(
                ["export", str(converted / "net_snn.keras"), "--format", kind, "--output", str(target.with_suffix(""))]
            )
            == 2
        )
        assert f"ends in .{kind}" in capsys.readouterr().err


def test_export_says_what_is_missing(converted, capsys):
    assert main(["export", str(converted / "net_snn.keras")]) == 2
    assert "Expected a format to export to: --format serving, nir, tflite or keras" in capsys.readouterr().err
    assert main(["export", str(converted / "net.keras"), "--format", "serving"]) == 2
    assert "is no converted network" in capsys.readouterr().err
    (converted / "file").write_text("mine")
    assert (
        main(["export", str(converted / "net_snn.keras"), "--format", "serving", "--output", str(converted / "file")])
        == 2
    )
    assert "is a file. Expected a folder for the model" in capsys.readouterr().err


def test_a_run_exports_its_network(folder, capsys):
    """Relative paths start at the configuration file's folder; a place that is taken is told before any work."""
    with open(folder / "config.ini", "a") as file:
        file.write("[export]\nexport_format = serving\nexport_path = models/small\n")
    assert main(["run", str(folder / "config.ini"), "--threshold-rule", "percentile"]) == 0
    assert f"exported: {folder / 'models' / 'small' / '1'}" in capsys.readouterr().out
    flags = ["--overwrite", "--export-version", "1"]
    assert main(["run", str(folder / "config.ini"), *flags]) == 2
    assert "has a version 1 already" in capsys.readouterr().err


def test_a_network_that_cannot_be_exported_is_told_before_it_is_simulated(folder, capsys, monkeypatch, rng):
    pooled = keras.Sequential(
        [keras.Input((6, 6, 1)), L.Conv2D(2, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()]
    )
    pooled.add(L.Dense(3))
    pooled.save(folder / "pooled.keras")
    for name in ("x_test", "x_norm"):
        np.savez(folder / f"{name}.npz", rng.random((20, 6, 6, 1), dtype=np.float32))
    monkeypatch.setattr("snn_toolbox_tf.experiment.runs.simulate_prepared", None)
    flags = ["--export-format", "nir", "--threshold-rule", "percentile", "--timesteps", "4"]
    assert main(["run", str(folder / "pooled.keras"), *flags]) == 2
    assert "NIR has no max pooling" in capsys.readouterr().err
    assert not (folder / "pooled_snn").exists()


def test_a_run_whose_export_fails_is_finished(folder, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("snn_toolbox_tf.experiment.exports.export_tflite", full)
    flags = ["--export-format", "tflite", "--threshold-rule", "percentile"]
    assert main(["run", str(folder / "config.ini"), *flags]) == 3
    error = capsys.readouterr().err
    assert "No space left on device The run itself is finished" in error
    assert (folder / "net_snn" / "report.html").is_file()


def test_check_says_what_becomes_of_a_model(folder, capsys):
    assert main(["check", str(folder / "net.keras")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"hidden_relu +activation of Dense +population +10 integrate-and-fire neurons", out)
    assert "'small' can be converted" in out
    assert main(["check", str(folder / "config.ini"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["convertible"] is True


def test_check_returns_1_for_a_model_that_cannot_be_converted(folder, capsys):
    keras.Sequential([keras.Input((6,)), L.Dense(4, "gelu", name="hidden"), L.Dense(3)]).save(folder / "gelu.keras")
    assert main(["check", str(folder / "gelu.keras"), "--json"]) == 1
    nodes = json.loads(capsys.readouterr().out)["nodes"]
    (refused,) = [node for node in nodes if node["becomes"] == "refused"]
    assert refused["name"] == "hidden_gelu"
    assert refused["remedy"].startswith("retrain with ReLU")


def test_check_of_a_configuration_checks_its_data(folder, capsys):
    (folder / "y_test.npz").write_bytes(b"damaged")
    assert main(["check", str(folder / "config.ini")]) == 2
    assert "cannot be read as an npz file" in capsys.readouterr().err


def test_convert_then_evaluate(folder, capsys):
    output = folder / "own.keras"
    assert main(["convert", str(folder / "net.keras"), "--output", str(output), "--duration", "8"]) == 0
    assert str(output) in capsys.readouterr().out
    assert main(["convert", str(folder / "net.keras"), "--output", str(output)]) == 2
    assert "exists. Choose another --output, or replace it with --overwrite" in capsys.readouterr().err
    assert main(["evaluate", str(output), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    model_snn = keras.saving.load_model(output)
    x, y = (np.load(folder / f"{name}.npz")["arr_0"] for name in ("x_test", "y_test"))
    assert record["timesteps"] == list(range(1, 9))
    assert record["outputs"][0]["accuracy"] == model_snn.simulate(x).accuracy(y).tolist()
    assert not (folder / "net_snn").exists()


def test_convert_with_calibration_data_from_another_file(folder, capsys):
    x = np.load(folder / "x_norm.npz")["arr_0"]
    (folder / "x_norm.npz").rename(folder / "mine.npz")
    command = ["convert", str(folder / "net.keras"), "--calibration-data", str(folder / "mine.npz"), "--json"]
    assert main([*command, "--v-thresh", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["file"] == str(folder / "net_snn.keras")
    theta = keras.saving.load_model(result["file"]).thresholds()["hidden_relu"]
    expected = snn.convert_keras(keras.saving.load_model(folder / "net.keras"), x, threshold_scale=1).thresholds()
    np.testing.assert_allclose(theta, 2 * expected["hidden_relu"])


def test_evaluate_a_configuration_writes_nothing(folder, capsys):
    before = sorted(folder.rglob("*"))
    assert main(["evaluate", str(folder / "config.ini")]) == 0
    assert "small: 20 samples, 8 timesteps" in capsys.readouterr().out
    assert sorted(folder.rglob("*")) == before


@pytest.mark.long
def test_sweep_from_a_file(folder, capsys):
    with (folder / "config.ini").open("a") as file:
        file.write("[parameter_sweep]\nparam_name = duration\nparam_values = 4:8:2\n")
    assert main(["run", str(folder / "config.ini"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["timesteps"] for row in result["table"]] == [4, 6, 8]
    assert (pathlib.Path(result["folder"]) / "duration=6" / "report.html").is_file()


def test_interruption_returns_130_and_can_be_resumed(folder, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("snn_toolbox_tf.experiment.simulation_stage.compare_activity", interrupt)
        assert main(["run", str(folder / "config.ini")]) == 130
    captured = capsys.readouterr()
    assert "`--resume` continues" in captured.err
    assert not (folder / "net_snn").exists()
    assert main(["run", str(folder / "config.ini"), "--resume"]) == 0
    assert (folder / "net_snn" / "report.html").is_file()


def test_errors_are_json_too(folder, capsys):
    assert main(["run", str(folder / "config.ini"), "--percentile", "101", "--json"]) == 2
    captured = capsys.readouterr()
    assert "[normalization] percentile: Expected" in json.loads(captured.out)["error"]
    assert "Traceback" not in captured.err


@pytest.mark.long
def test_notes_are_shown_once(folder, capsys):
    for command in ("run", "evaluate", "convert"):
        assert main([command, str(folder / "config.ini"), "--no-normalize"]) == 0
        captured = capsys.readouterr()
        assert (captured.out + captured.err).count("No `calibration_data` was given") == 1, command


def test_flags_of_evaluate_override_its_defaults(folder, capsys):
    main(["convert", str(folder / "net.keras"), "--output", str(folder / "own.keras"), "--duration", "8"])
    capsys.readouterr()
    assert main(["evaluate", str(folder / "own.keras"), "--evaluate-ann", "--filename-ann", "net", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"][0]["ann_accuracy"] is not None


def test_what_the_machine_cannot_do_is_no_bad_input(folder, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("snn_toolbox_tf.report.write.write_report", full)
    assert main(["run", str(folder / "config.ini")]) == 3
    assert "No space left on device" in capsys.readouterr().err


def test_names_that_look_like_markup(folder, capsys):
    assert main(["run", str(folder / "config.ini"), "--runlabel", ":x:[/old]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(folder / ":x:[" / "old]")
    screen = io.StringIO()
    with ConsoleProgress(Console(file=screen, force_terminal=True, width=120), quiet=False) as progress:
        progress.stage("[/old]: simulating", 4)
    assert "[/old]: simulating" in screen.getvalue()


def test_every_setting_has_a_flag_and_help(capsys):
    with pytest.raises(SystemExit) as done:
        main(["run", "--help"])
    assert done.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for key in SECTION_OF:
        assert f"--{key.replace('_', '-')}" in text, key
    for command in ("check", "run", "convert", "evaluate"):
        assert command in build_parser().format_help()


@pytest.mark.parametrize(
    "arguments", [[], ["walk"], ["run"], ["run", "a.ini", "--duratoin", "3"], ["check", "a", "--resume"]]
)
def test_unknown_commands_and_flags(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert "snn-toolbox-tf" in capsys.readouterr().err


@pytest.mark.long
def test_as_a_process_it_prints_its_own_lines_only(folder):
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(snn.__file__).parents[1])}
    # Who sets this wants to see more.
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, "-m", "snn_toolbox_tf", "run", str(folder / "config.ini"), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["samples"] == 20


@pytest.mark.slow
@pytest.mark.long
def test_standard_error_may_be_closed(folder):
    command = f"{sys.executable} -m snn_toolbox_tf check {folder / 'net.keras'} 2>&-"
    done = subprocess.run(
        command,
        shell=True,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(snn.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert "'small' can be converted" in done.stdout


def test_progress_has_counts_and_rates_on_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with ConsoleProgress(console, quiet=False) as progress:
        progress.stage("converting")
        progress.stage("simulating", 40, 8)
        for _ in range(4):
            progress.advance(8)
    shown = screen.getvalue()
    assert "converting" in shown
    assert "40/40" in shown
    assert "samples/s" in shown


@pytest.mark.parametrize(("terminal", "quiet"), [(False, False), (True, True)])
def test_progress_is_quiet_where_nobody_watches(terminal, quiet):
    screen = io.StringIO()
    with ConsoleProgress(Console(file=screen, force_terminal=terminal), quiet=quiet) as progress:
        progress.stage("simulating", 8)
        progress.advance(8)
    assert screen.getvalue() == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_inside_a_callback_is_not_lost():
    """Python drops exceptions of such callbacks; the next step of a run raises it again."""

    class Object:
        pass

    def callback(reference):
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            pass

    interruption = Interruption()
    before = signal.getsignal(signal.SIGINT)
    with interruption.watching():
        watched = Object()
        reference = weakref.ref(watched, callback)
        del watched
        assert reference() is None
        progress = ConsoleProgress(Console(file=io.StringIO()), quiet=True, interruption=interruption)
        with pytest.raises(KeyboardInterrupt):
            progress.advance(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_unknown_flag_has_a_nearest_one(capsys):
    with pytest.raises(SystemExit):
        main(["run", "config.ini", "--durration", "3"])
    assert "unrecognized arguments: --durration 3. Did you mean '--duration'?" in capsys.readouterr().err


@pytest.mark.long
def test_the_network_of_a_run_is_what_evaluate_takes(folder, capsys, monkeypatch):
    """As in a user's first minutes: one name everywhere, beside the model, and the same data."""
    monkeypatch.chdir(folder)
    assert main(["run", "net.keras", "--plot-vars", "{}", "--json"]) == 0
    ran = json.loads(capsys.readouterr().out)
    assert (ran["timesteps"], ran["network"]) == (32, str(folder / "net_snn" / "net_snn.keras"))
    assert main(["evaluate", "net_snn/net_snn.keras", "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["outputs"][0]["accuracy"][-1] == ran["accuracy"]
    assert main(["convert", "net.keras"]) == 0
    assert main(["evaluate", "net_snn.keras", "--json"]) == 0
    captured = capsys.readouterr().out
    assert json.loads(captured[captured.index("\n{") :])["outputs"][0]["accuracy"][-1] == ran["accuracy"]
    assert main(["run", "net.keras", "--runlabel", "again", "--plot-vars", "{}"]) == 0
    places = capsys.readouterr().out.splitlines()[-2:]
    assert places == [
        f"spiking network: {folder / 'again' / 'net_snn.keras'}",
        f"report: {folder / 'again' / 'report.html'}",
    ]


def test_flags_have_names_of_python_too(folder, capsys):
    flags = ["--timesteps", "5", "--threshold-scale", "2", "--max-pooling", "accumulated"]
    assert main(["convert", str(folder / "net.keras"), *flags]) == 0
    converted = keras.saving.load_model(folder / "net_snn.keras")
    assert (converted.timesteps, converted.conversion.threshold_scale) == (5, 2.0)
    capsys.readouterr()
    assert main(["evaluate", str(folder / "net_snn.keras"), "--timesteps", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timesteps"] == [1, 2, 3]
    assert main(["run", str(folder / "config.ini"), "--timesteps", "3", "--duration", "3"]) == 2
    assert "duration and timesteps are the same" in capsys.readouterr().err
    assert main(["run", str(folder / "config.ini"), "--timesteps", "3", "--plot-vars", "{}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timesteps"] == 3
