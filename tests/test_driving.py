"""Calibration as files, flags and reports have it: T that is found, learning by gradient, what was tried and chosen."""

import json
import re

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.config import fields_of
from snn_toolbox_tf.conversion.options import DEFAULT_TOLERANCE
from snn_toolbox_tf.distillation.settings import FEWEST_SAMPLES
from snn_toolbox_tf.experiment.options import conversion_options
from snn_toolbox_tf.model import ConversionRecord, TrialRecord
from snn_toolbox_tf.report.page_tables import setting_groups

L = keras.layers


def network(**options):
    return keras.Sequential(
        [keras.Input((6,)), L.Dense(12, "relu", name="hidden", **options), L.Dense(3, "softmax", name="classes")],
        name="small",
    )


@pytest.fixture
def folder(tmp_path, rng):
    """A folder as a user would have it: a model and its data."""
    network(kernel_initializer="orthogonal").save(tmp_path / "net.keras")
    np.savez(tmp_path / "x_test.npz", rng.random((20, 6), dtype=np.float32))
    np.savez(tmp_path / "y_test.npz", rng.integers(0, 3, 20))
    np.savez(tmp_path / "x_norm.npz", rng.random((128, 6), dtype=np.float32))
    return tmp_path


def configured(folder, text):
    (folder / "config.ini").write_text(f"[paths]\nfilename_ann = net\n[output]\nplot_vars = {{}}\n{text}")
    return str(folder / "config.ini")


# T that is found


def test_timesteps_that_are_to_be_found_are_read_from_files_and_names(folder):
    path = configured(folder, "[simulation]\nduration = auto\ntolerance = 0.05\n")
    settings = snn.read_settings(path)
    assert settings.timesteps == "auto"
    options = conversion_options(settings)
    assert (options.timesteps, options.tolerance) == ("auto", 0.05)
    assert snn.Settings().replace(timesteps="auto") == snn.Settings().replace(duration="auto")
    assert conversion_options(snn.Settings().replace(timesteps="auto")).used_tolerance == DEFAULT_TOLERANCE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tolerance": 0.1}, r"tolerance = 0.1 .*Received: duration = 32. Set duration = auto, or leave tolerance out"),
        ({"duration": "automatic"}, r"duration: Expected a positive number, or auto. Received: 'automatic'"),
        ({"duration": "Auto"}, r"Received: 'Auto'. Did you mean 'auto'\?"),
        ({"timesteps": "auto", "tolerance": 1}, r"tolerance: Expected a number in \[0, 1\). Received: 1"),
        ({"duration": "auto", "convert": False}, r"while a network is converted. Received: \[tools\] convert = False"),
        ({"duration": "auto", "normalize": False}, r"x_norm.npz. Received: \[tools\] normalize = False"),
        ({"duration": "auto", "frame_input": True}, r"Received: \[input\] frame_input = True. Give a duration"),
    ],
)
def test_what_cannot_be_found_is_told(changes, message):
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.Settings().replace(**changes)


def test_a_tolerance_needs_timesteps_that_are_to_be_found(mlp, x_mlp):
    message = r"Expected timesteps='auto' with it, or no tolerance. Received: timesteps=8, tolerance=0.1"
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(mlp, x_mlp, timesteps=8, tolerance=0.1)


def test_what_is_found_is_what_is_simulated_and_told(folder, capsys):
    path = configured(folder, "[simulation]\nduration = auto\ndt = 0.5\ntolerance = 0.1\n")
    assert main(["run", path]) == 0
    captured = capsys.readouterr()
    model_snn = keras.saving.load_model(folder / "net_snn" / "net_snn.keras")
    report = json.loads((folder / "net_snn" / "report.json").read_text())
    found, made = model_snn.timesteps, model_snn.conversion
    assert found == made.timesteps == report["conversion"]["timesteps"] == report["timesteps"][-1]
    assert made.agreement >= 0.9
    assert made.tolerance == 0.1
    assert report["settings"]["simulation"]["duration"] == found / 2
    # As it was asked for; it can be run again.
    assert snn.read_settings(folder / "net_snn" / "config.ini").timesteps == "auto"
    # A line for each number of timesteps that was tried, and what came of it, which is in the summary as well.
    lines = captured.err.splitlines()
    tried = {trial.timesteps for trial in made.trials}
    assert {int(line.split(" ")[0]) for line in lines if " timesteps: " in line} == tried
    assert lines[-2].startswith(f"T = {found}, found for a tolerance of 10 %; agreement with the source ")
    assert lines[-1].startswith(f"thresholds: {made.chosen.way}; ")
    assert "\n".join(lines[-2:]) in captured.out
    assert f"small: 20 samples, {found} timesteps" in captured.out


def test_the_network_of_a_run_is_evaluated_for_what_was_found(folder, capsys):
    command = ["convert", str(folder / "net.keras"), "--timesteps", "auto", "--tolerance", "0.1", "--json"]
    assert main(command) == 0
    converted = json.loads(capsys.readouterr().out)["conversion"]
    assert main(["evaluate", str(folder / "net_snn.keras"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timesteps"][-1] == converted["timesteps"]
    assert main(["evaluate", str(folder / "net_snn.keras"), "--timesteps", "auto"]) == 2
    assert "convert = False. Give a duration" in capsys.readouterr().err


def test_check_says_that_timesteps_will_be_found(folder, capsys):
    path = configured(folder, "[simulation]\nduration = auto\n")
    for command in (["check", path], ["check", str(folder / "net.keras"), "--timesteps", "auto"]):
        assert main(command) == 0
        assert "T will be found by the conversion" in (message := capsys.readouterr().err)
        assert "up to 256 with which no more than 1 % of the decisions differ" in message


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_may_have_timesteps_that_are_to_be_found(folder):
    settings = snn.read_settings(configured(folder, "[simulation]\nduration = auto\n"))
    swept = snn.sweep(settings.replace(runlabel="tolerances"), "tolerance", [0.5, 0.1])
    timesteps = [row["timesteps"] for row in swept.table]
    assert timesteps == sorted(timesteps)
    swept = snn.sweep(settings.replace(runlabel="durations"), "timesteps", [3, "auto"])
    assert swept.table[0]["timesteps"] == 3
    assert [row["folder"] for row in swept.table] == ["duration=3", "duration=auto"]
    models = [keras.saving.load_model(next((swept.folder / row["folder"]).glob("*.keras"))) for row in swept.table]
    assert [model.timesteps for model in models] == [row["timesteps"] for row in swept.table]
    with pytest.raises(snn.ConfigurationError, match=r"tolerance = 0.5 .*Received: duration = 8"):
        snn.sweep(settings.replace(duration=8), "tolerance", [0.5, 0.1])


# Learning by gradient


def test_settings_of_learning_arrive(folder):
    text = "epochs = 2\ntrain_weights = no\nlearning_rate = 0.01\nlearning_samples = 100\nlearning_batch_size = 16\n"
    path = configured(folder, f"[normalization]\ncalibration = gradient\n[gradient_calibration]\n{text}")
    expected = snn.GradientCalibration(epochs=2, train_weights=False, learning_rate=0.01, samples=100, batch_size=16)
    assert conversion_options(snn.read_settings(path)).gradient == expected
    only = snn.Settings().replace(calibration="gradient")
    assert conversion_options(only).gradient == snn.GradientCalibration()


def test_what_is_said_of_empty_settings_of_learning_is_true():
    defaults = snn.GradientCalibration()
    meant = {key: field.metadata["doc"] for key, field in fields_of("gradient_calibration").items()}
    assert f"{defaults.epochs} if empty" in meant["epochs"]
    assert f"{defaults.samples} if empty" in meant["learning_samples"]
    assert f"{defaults.batch_size} if empty" in meant["learning_batch_size"]
    assert (
        f"of {FEWEST_SAMPLES} or more"
        in fields_of("gradient_calibration")["learning_samples"].metadata["kind"].expected
    )
    assert defaults.train_weights
    assert defaults.learning_rate is None
    assert f"{DEFAULT_TOLERANCE} if" in fields_of("simulation")["tolerance"].metadata["doc"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3}, r"\[gradient_calibration\] epochs = 3: .*Received: \[normalization\] calibration = automatic"),
        ({"train_weights": True, "learning_samples": 99}, r"train_weights = True, learning_samples = 99: "),
        (
            {"calibration": "gradient", "epochs": 0},
            r"epochs: Expected an integer of 1 or more, or nothing. Received: 0",
        ),
        ({"calibration": "gradient", "learning_samples": 63}, r"Expected an integer of 64 or more.*Received: 63"),
        ({"calibration": "gradient", "learning_rate": 0}, r"learning_rate: Expected a number in \(0, 1\].*Received: 0"),
    ],
)
def test_settings_of_learning_that_are_not_usable(changes, message):
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.Settings().replace(**changes)


def test_the_command_line_tells_of_every_pass(folder, capsys):
    command = ["convert", str(folder / "net.keras"), "--timesteps=2", "--calibration=gradient", "--overwrite"]
    command += ["--epochs=2", "--no-train-weights", "--learning-rate=0.001", "--learning-samples=64"]
    assert main(command) == 0
    captured = capsys.readouterr()
    before, first, second = captured.err.splitlines()
    assert before.startswith("before learning: ")
    assert first.startswith("pass 1 of 2 at most: ")
    assert " % agreement, loss " in second
    assert "T = 2; agreement with the source " in captured.out
    assert " % before) on held-out calibration samples; learnt in 2 passes" in captured.out
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--calibration=gradient", "--signed-spikes"],
            r"for binary spikes, step by step. Received: calibration='grad",
        ),
        (["--calibration=gradient", "--no-normalize"], r"learns from samples. Expected `calibration_data`"),
        (["--corrections=timed_biases", "--schedule=layer_synchronous"], r"corrections without 'timed_biases'"),
        (["--corrections=timed_biases, biases"], r"Expected 'timed_biases' at the end"),
        (["--calibration=gradient", "--num-samples=63"], r"needs 64 calibration samples at least.*Received: 63. Pass"),
        (["--timesteps=auto", "--num-samples=15"], r"Expected at least 16 samples, better.*Received: 15 samples"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check", "convert"])
def test_options_that_do_not_go_together_are_one_error_before_any_work(
    folder, capsys, monkeypatch, command, flags, message
):
    monkeypatch.setattr("snn_toolbox_tf.experiment.conversion_stage.convert_graph", None)
    source = str(folder / "net.keras") if command == "convert" else configured(folder, "")
    assert main([command, source, *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("error: ") == 1
    assert re.search(message, error), error


def test_check_of_a_model_sees_options_that_do_not_go_together(folder, capsys):
    flags = ["--schedule", "layer_synchronous", "--corrections", "timed_biases"]
    assert main(["check", str(folder / "net.keras"), *flags]) == 2
    assert "Expected corrections without 'timed_biases'" in capsys.readouterr().err


def test_all_points_of_a_sweep_are_checked_before_the_first(folder, monkeypatch):
    monkeypatch.setattr("snn_toolbox_tf.experiment.conversion_stage.convert_graph", None)
    settings = snn.read_settings(configured(folder, "[normalization]\ncalibration = gradient\n"))
    with pytest.raises(snn.ConfigurationError, match=r"Calibration by gradient is for reset='subtract'"):
        snn.sweep(settings, "reset", ["subtract", "zero"])


def test_trained_thresholds_leave_nothing_to_be_found(folder, rng):
    tuned = snn.with_trainable_thresholds(network(), rng.random((20, 6), dtype=np.float32), levels=4)
    settings = snn.read_settings(configured(folder, "[simulation]\nduration = auto\n"))
    with pytest.raises(snn.ConfigurationError, match=r"All thresholds of model '.*' were trained.*timesteps='auto'"):
        snn.run(settings, model=tuned)


# What was tried and chosen


def a_trial(**changes):
    values = {
        "timesteps": 8,
        "threshold_rule": "mean_square_error",
        "per_channel": True,
        "corrections": ("thresholds", "biases", "thresholds"),
        "readout_start": 2,
        "samples": 64,
        "agreement": 0.96875,
        "error": 0.1254,
        "worst_population": "hidden_relu",
        "worst_error": 0.123,
        "chosen": True,
    }
    return TrialRecord(**{**values, **changes})


def test_a_conversion_is_told_in_two_lines():
    trials = (a_trial(chosen=False, timesteps=4), a_trial(chosen=False), a_trial())
    way = "mean_square_error per channel, thresholds+biases, readout from timestep 3 on"
    assert str(a_trial()) == f"T = 8, {way}: 96.9 % agreement, error 0.125"
    assert str(ConversionRecord()) == "not converted, but made of a graph"
    rule = "mean_square_error"
    record = ConversionRecord(timesteps=8, tolerance=0.04, agreement=0.96875, trials=trials, threshold_rule=rule)
    assert str(record).splitlines() == [
        "T = 8, found for a tolerance of 4 %; agreement with the source 96.9 % on held-out calibration samples",
        f"thresholds: {way}; chosen among 2 trials; most is lost at 'hidden_relu', whose rates are off by 12 %",
    ]
    plain = ConversionRecord(timesteps=3, threshold_rule="maximum", per_channel=False, corrections=("biases",))
    assert str(plain) == "T = 3\nthresholds: maximum per population, biases"
    assert ConversionRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record


def test_the_report_has_a_table_of_what_was_tried(folder):
    finished = snn.run(snn.read_settings(configured(folder, "[simulation]\nduration = 4\n")))
    made = finished.model_snn.conversion
    assert len(made.trials) == 2
    page = finished.report.read_text()
    assert page.count('<td class="text">chosen</td>') == 1
    for line in str(made).splitlines():
        assert line.replace("'", "&#39;") in page
    assert "Most is lost at" in page
    assert not any(key == "trials" for group in setting_groups(finished.record) for key, _ in group.entries)
    assert finished.record.conversion["trials"] == [trial.as_dict() for trial in made.trials]
    plain = snn.run(
        snn.read_settings(configured(folder, "[normalization]\npercentile = 99\n")).replace(runlabel="plain")
    )
    assert "Most is lost at" not in plain.report.read_text()
