"""Outputs that are no classes, where runs are interrupted, spread over workers, repeated by a sweep, and saved."""

import contextlib
import json
import pickle

import keras
import numpy as np
import pytest
from sklearn import metrics

import snn_toolbox_tf as snn
from snn_toolbox_tf import experiment
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.experiment import options
from snn_toolbox_tf.report.sweep_table import sweep_as_text

L = keras.layers
pytestmark = pytest.mark.usefixtures("undrawn")


class Workers:
    """As if there were workers: what they get is sent, and the last batch comes back first."""

    is_local = False

    def map(self, function, batches):
        received = pickle.loads(pickle.dumps(function))
        return (received(batch) for batch in reversed(batches))


@contextlib.contextmanager
def workers(name, workers=None):
    yield Workers()


@pytest.fixture
def given(rng):
    """A network with numbers, boxes and a mask, and its data."""
    image = keras.Input((4, 4, 1))
    features = L.Conv2D(2, 3, padding="same", activation="relu", name="features")(image)
    flat = L.Flatten()(features)
    outputs = {
        "mask": L.Conv2D(3, 1, activation="softmax", name="mask")(features),
        "size": L.Dense(2, name="size")(flat),
        "box": L.Dense(4, name="box")(flat),
    }
    targets = {"mask": rng.integers(0, 3, (20, 4, 4)), "size": rng.random((20, 2)), "box": rng.random((20, 4))}
    x = rng.random((20, 4, 4, 1), dtype=np.float32)
    return {"model": keras.Model(image, outputs, name="several"), "x_test": x, "y_test": targets, "x_norm": x}


@pytest.fixture
def settings(tmp_path):
    changes = {"duration": 6, "batch_size": 8, "plot_vars": [], "threshold_rule": "percentile"}
    return snn.Settings().replace(path_wd=str(tmp_path), task={"box": "boxes"}, **changes)


def assert_equal_outputs(one, other):
    for ours, theirs in zip(one.record.outputs, other.record.outputs, strict=True):
        assert (ours.name, ours.task, ours.ann_measures) == (theirs.name, theirs.task, theirs.ann_measures)
        assert ours.measures.keys() == theirs.measures.keys()
        for name, values in ours.measures.items():
            np.testing.assert_array_equal(values, theirs.measures[name], err_msg=name)
        for part in ("snn", "ann", "target"):
            np.testing.assert_array_equal(getattr(ours.shown, part), getattr(theirs.shown, part))


@pytest.mark.long
def test_workers_and_an_interruption_change_nothing(settings, given, monkeypatch):
    whole = snn.run(settings.replace(runlabel="whole"), **given)
    found = {output.name: output for output in whole.record.outputs}
    assert {name: output.task for name, output in found.items()} == {
        "mask": "segmentation",
        "size": "regression",
        "box": "boxes",
    }
    outputs = whole.model_snn.simulate(given["x_test"]).outputs
    expected = metrics.r2_score(given["y_test"]["size"], outputs["size"][-1])
    assert found["size"].measures["r2"][-1] == pytest.approx(expected, rel=1e-6)

    class Interrupting(experiment.Progress):
        def advance(self, count=1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snn.run(settings, **given, progress=Interrupting())
    assert_equal_outputs(snn.run(settings, **given, resume=True), whole)
    monkeypatch.setattr(options, "open_executor", workers)
    monkeypatch.setattr("snn_toolbox_tf.experiment.preparation.import_ray", lambda: None)
    assert_equal_outputs(snn.run(settings.replace(executor="ray", runlabel="spread"), **given), whole)


@pytest.mark.long
def test_a_sweep_shows_what_its_points_are_measured_by(settings, given):
    swept = snn.sweep(settings, "duration", [3, 6], **given)
    assert {"mean_iou/mask", "ann_mean_iou/mask", "r2/size", "ann_r2/size", "mean_box_iou/box"} <= set(swept.table[0])
    assert not any(value for key, value in swept.table[0].items() if "accuracy/" in key and "pixel" not in key)
    assert "SNN accuracy" not in sweep_as_text("duration", swept.table)
    for row in swept.table:
        report = json.loads((swept.folder / row["folder"] / "report.json").read_text())
        (size,) = [output for output in report["outputs"] if output["name"] == "size"]
        assert row["r2/size"] == pytest.approx(size["measures"]["r2"][-1])


def test_tasks_are_saved(given, tmp_path):
    stated = {"size": "regression", "box": "boxes"}
    made = snn.convert_keras(given["model"], given["x_norm"], timesteps=4, task=stated, threshold_rule="percentile")
    made.save(tmp_path / "snn.keras")
    read = keras.models.load_model(tmp_path / "snn.keras")
    tasks = [{r.name: r.task for r in model.network.graph.readouts} for model in (made, read)]
    assert tasks[0] == tasks[1] == {"mask": "", **stated}


def test_check_says_what_outputs_are_taken_for(given, tmp_path, capsys):
    report = snn.check(given["model"])
    assert report.as_dict()["tasks"]["mask"] == "segmentation, because it is a softmax"
    assert "Output 'size' is taken for classes, because it may hold logits, and nothing says otherwise." in str(report)
    model = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu"), L.Dense(2, name="out")])
    model.compile("sgd", "mse")
    assert snn.check(model).outputs == (
        "Output 'out' is taken for regression, because its conversion or its loss says so.",
    )
    model.save(tmp_path / "numbers.keras")
    assert main(["check", str(tmp_path / "numbers.keras")]) == 0
    assert "'out' is taken for regression" in " ".join(capsys.readouterr().out.split())
    refused = keras.Sequential([keras.Input((3,)), L.Dense(4, "gelu"), L.Dense(2)])
    assert snn.check(refused).tasks == {}
