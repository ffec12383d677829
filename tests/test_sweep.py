"""Parameter sweeps: one run per value, the network converted anew only where it has to be."""

import csv
import json
import re

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf import experiment
from snn_toolbox_tf.report.text import MISSING

L = keras.layers
pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def given(rng):
    """Model and data of all points."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(10, "relu", name="hidden"), L.Dense(3, "softmax", name="classes")], name="small"
    )
    return {
        "model": model,
        "x_test": rng.random((20, 6), dtype=np.float32),
        "y_test": rng.integers(0, 3, 20),
        "x_norm": rng.random((30, 6), dtype=np.float32),
    }


@pytest.fixture
def settings(tmp_path):
    """Thresholds that need no search: what finds them is not the business of a sweep."""
    return snn.Settings().replace(path_wd=str(tmp_path), duration=6, plot_vars=[], threshold_rule="percentile")


@pytest.fixture
def conversions(monkeypatch):
    """Options of every conversion."""
    from snn_toolbox_tf.experiment import conversion_stage

    calls = []

    def counted(model, graph, calibration_data, options, **told):
        calls.append(options)
        return convert_graph(model, graph, calibration_data, options, **told)

    convert_graph = conversion_stage.convert_graph
    monkeypatch.setattr(conversion_stage, "convert_graph", counted)
    return calls


def test_each_point_is_a_run(settings, given):
    swept = snn.sweep(settings, "v_thresh", [0.5, 1, 2], **given)
    assert [row["v_thresh"] for row in swept.table] == [0.5, 1.0, 2.0]
    for row in swept.table:
        model_snn = snn.convert_keras(given["model"], given["x_norm"], threshold_scale=row["v_thresh"], timesteps=6)
        result = model_snn.simulate(given["x_test"])
        assert row["accuracy"] == result.accuracy(given["y_test"])[-1]
        assert row["firing_rate"] == pytest.approx(result.firing_rates["hidden_relu"], rel=1e-12)
        report = json.loads((swept.folder / row["folder"] / "report.json").read_text())
        assert report["outputs"][0]["accuracy"][-1] == row["accuracy"]
        assert report["settings"]["cell"]["v_thresh"] == row["v_thresh"]
    # A larger threshold is reached less often.
    rates = [row["firing_rate"] for row in swept.table]
    assert rates == sorted(rates, reverse=True)


def test_the_table_is_in_all_its_forms(settings, given, monkeypatch):
    # Figures are drawn here.
    monkeypatch.undo()
    swept = snn.sweep(settings, "percentile", [99, 99.9], **given)
    with (swept.folder / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["percentile"]) for row in rows] == [99, 99.9]
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in swept.table]
    assert json.loads((swept.folder / "sweep.json").read_text())["table"] == swept.table
    page = (swept.folder / "report.html").read_text()
    assert 'href="percentile%3D99.9/report.html"' in page
    assert "data:image/svg+xml;base64," in page
    assert re.search(r"percentile +samples +SNN accuracy +ANN accuracy", swept.text())
    assert (swept.folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "values", "count"),
    [
        ("v_thresh", [1, 2], 2),
        ("percentile", [99, 100], 2),
        ("v0", [0, 0.5], 2),
        ("reset", ["subtract", "zero"], 2),
        ("per_channel", [True, False], 2),
        ("num_samples", [10, 20], 2),
        ("poisson_input", [False, True], 2),
        ("duration", [4, 8], 2),
        ("num_to_test", [5, 10], 1),
        ("batch_size", [3, 7], 1),
        ("schedule", ["step", "layer_synchronous"], 2),
    ],
)
def test_the_network_is_converted_anew_where_it_depends_on_the_setting(
    settings, given, conversions, name, values, count
):
    if name == "duration":
        # Only what is found by trying depends on the number of timesteps.
        settings = settings.replace(threshold_rule=None)
    swept = snn.sweep(settings, name, values, **given)
    assert [row[name] for row in swept.table] == values
    assert len(conversions) == count
    if name == "duration":
        models = [keras.saving.load_model(next((swept.folder / row["folder"]).glob("*.keras"))) for row in swept.table]
        assert [model.timesteps for model in models] == values


def test_values_come_from_the_settings(settings, given):
    swept = snn.sweep(settings.replace(param_name="duration", param_values=["2", "4"]), **given)
    assert [row["timesteps"] for row in swept.table] == [2, 4]
    again = snn.read_settings(swept.folder / "config.ini")
    assert again.parameter_sweep.param_values == ("2", "4")


def test_a_point_can_be_run_again_from_its_folder(settings, given, tmp_path):
    given.pop("model").save(tmp_path / "net.keras")
    for name in ("x_test", "y_test", "x_norm"):
        np.savez(tmp_path / f"{name}.npz", given[name])
    swept = snn.sweep(settings.replace(filename_ann="net"), "v_thresh", [1, 2])
    point = snn.read_settings(swept.folder / "v_thresh=2" / "config.ini")
    assert point.paths.log_dir_of_current_run == str(swept.folder / "v_thresh=2")
    assert not point.output.overwrite
    again = snn.run(point.replace(log_dir_of_current_run=str(tmp_path / "again")))
    assert again.record.outputs[0].accuracy[-1] == swept.table[1]["accuracy"]


def test_a_sweep_over_folders_of_data(settings, given, tmp_path):
    """Relative to the configuration file; labels in the first only."""
    given["model"].save(tmp_path / "net.keras")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "x_test.npz", given["x_test"])
        np.savez(tmp_path / name / "x_norm.npz", given["x_norm"])
    np.savez(tmp_path / "one" / "y_test.npz", given["y_test"])
    config = tmp_path / "config.ini"
    config.write_text(
        "[paths]\nfilename_ann = net\n[simulation]\nduration = 4\n[output]\nplot_vars = {}\n"
        "[parameter_sweep]\nparam_name = dataset_path\nparam_values = one, two\n"
    )
    swept = snn.sweep(config)
    assert swept.table[0]["accuracy"] is not None
    assert swept.table[1]["accuracy"] is None
    assert MISSING in swept.text()
    with pytest.raises(snn.ConfigurationError, match="varies a file, but a model or data was passed"):
        snn.sweep(config, "filename_ann", ["net"], model=given["model"])


def test_the_mean_firing_rate_is_that_of_the_report(settings, given):
    """The mean over neurons, not over populations."""
    x = given["x_test"]
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(50, "relu", name="a"), L.Dense(2, "relu", name="b"), L.Dense(3, name="c")]
    )
    swept = snn.sweep(settings, "v_thresh", [1], model=model, x_test=x, x_norm=x)
    rates = snn.convert_keras(model, x, timesteps=6, threshold_rule="percentile").simulate(x).neuron_firing_rates
    assert swept.table[0]["firing_rate"] == pytest.approx(np.concatenate([rates["a_relu"], rates["b_relu"]]).mean())


@pytest.mark.long
def test_every_output_has_its_columns(settings):
    inputs = keras.Input((4,), name="x")
    hidden = L.Dense(8, "relu", name="hidden")(inputs)
    model = keras.Model(inputs, [L.Dense(2, name="one")(hidden), L.Dense(3, name="two")(hidden)])
    x = np.random.default_rng(0).random((12, 4))
    y = {"one": np.arange(12) % 2, "two": np.arange(12) % 3}
    swept = snn.sweep(settings, "v0", [0, 0.5], model=model, x_test=x, y_test=y, x_norm=x)
    result = snn.convert_keras(model, x, v0=0.5).simulate(x, timesteps=6).accuracy([y["one"], y["two"]])
    assert swept.table[1]["accuracy/one"] == result[0][-1]
    assert swept.table[1]["accuracy/two"] == result[1][-1]
    assert "SNN accuracy (one)" in swept.text()
    assert "SNN accuracy (two)" in (swept.folder / "report.html").read_text()


def test_a_sweep_over_models(settings, given, tmp_path):
    for name in ("one", "two"):
        given["model"].save(tmp_path / f"{name}.keras")
    del given["model"]
    swept = snn.sweep(settings, "filename_ann", ["one", "two"], **given)
    assert [row["filename_ann"] for row in swept.table] == ["one", "two"]
    assert swept.table[0]["accuracy"] == swept.table[1]["accuracy"]


class InterruptingAtTheThird(experiment.Progress):
    def __init__(self):
        self.points = 0

    def stage(self, name, total=None, done=0):
        self.points += "simulating" in name
        if self.points == 3:
            raise KeyboardInterrupt


@pytest.mark.long
def test_an_interrupted_sweep_is_resumed(settings, given, conversions):
    values = [0.5, 1, 2, 4]
    whole = snn.sweep(settings.replace(runlabel="whole"), "v_thresh", values, **given)
    with pytest.raises(KeyboardInterrupt):
        snn.sweep(settings, "v_thresh", values, **given, progress=InterruptingAtTheThird())
    assert not whole.folder.with_name("small_snn_v_thresh").exists()
    with pytest.raises(snn.ConfigurationError, match=r"cannot be resumed.*\[cell\] v_thresh"):
        snn.sweep(settings, "v_thresh", [1, 2], **given, resume=True)
    conversions.clear()
    resumed = snn.sweep(settings, "v_thresh", values, **given, resume=True)
    assert [options.threshold_scale for options in conversions] == [2.0, 4.0]
    assert resumed.table == whole.table
    assert sorted(path.name for path in whole.folder.parent.iterdir()) == ["small_snn_v_thresh", "whole"]


def test_nothing_to_compare(settings, given):
    with pytest.raises(snn.ConfigurationError, match="a parameter sweep has nothing to compare"):
        snn.sweep(settings.replace(simulate=False), "v_thresh", [1], **given)
    with pytest.raises(snn.ConfigurationError, match="at least one value"):
        snn.sweep(settings, "v_thresh", [], **given)


def test_a_name_of_python_can_be_varied(settings, given):
    swept = snn.sweep(settings, "timesteps", [2, 3], **given)
    assert [(row["duration"], row["timesteps"], row["folder"]) for row in swept.table] == [
        (2, 2, "duration=2"),
        (3, 3, "duration=3"),
    ]
    with pytest.raises(snn.ConfigurationError, match=r"param_name = timesteps: with dt = 0\.5, vary duration"):
        snn.sweep(settings.replace(dt=0.5), "timesteps", [2, 3], **given)
