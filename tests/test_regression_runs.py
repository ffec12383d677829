"""Runs of networks whose outputs are numbers, masks or boxes."""

import json

import keras
import numpy as np
import pytest
from sklearn import metrics

import snn_toolbox_tf as snn

L = keras.layers


@pytest.fixture
def settings(tmp_path):
    return snn.Settings().replace(path_wd=str(tmp_path), duration=12, batch_size=8, threshold_rule="percentile")


def test_a_regression_run(settings, rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(16, "relu"), L.Dense(2, name="size")])
    x = rng.random((30, 5), dtype=np.float32)
    y = model.predict(x, verbose=0) + rng.normal(0, 0.05, (30, 2))
    finished = snn.run(settings, model=model, x_test=x, y_test=y, x_norm=x)
    (output,) = finished.record.outputs
    result = finished.model_snn.simulate(x)
    assert (output.task, output.accuracy, output.agreement) == ("regression", None, None)
    expected = [metrics.r2_score(y, outputs) for outputs in result.outputs]
    np.testing.assert_allclose(output.measures["r2"], expected, rtol=1e-9)
    assert output.ann_measures["r2"] == pytest.approx(metrics.r2_score(y, model.predict(x, verbose=0)), rel=1e-5)
    text = (finished.folder / "summary.txt").read_text()
    assert "R²" in text
    assert "agreement" not in text.partition("\n\n")[2].partition("population")[0].replace(
        "agreement with the source", ""
    )
    report = json.loads((finished.folder / "report.json").read_text())
    assert report["outputs"][0]["measures"]["r2"] == output.measures["r2"].tolist()
    assert (finished.folder / "plots" / "outputs.png").is_file()
    assert (finished.folder / "tables" / "measures.csv").read_text().startswith("unit,snn_r2")


def test_a_segmentation_run(settings, rng):
    model = keras.Sequential([keras.Input((6, 6, 1)), L.Conv2D(4, 3, padding="same", activation="relu")])
    model.add(L.Conv2D(3, 1, activation="softmax", name="mask"))
    x = rng.random((12, 6, 6, 1), dtype=np.float32)
    y = rng.integers(0, 3, (12, 6, 6))
    finished = snn.run(settings, model=model, x_test=x, y_test=y, x_norm=x)
    (output,) = finished.record.outputs
    decided = finished.model_snn.simulate(x).outputs.argmax(-1)
    iou = [metrics.jaccard_score(y.ravel(), d.ravel(), average="macro") for d in decided]
    np.testing.assert_allclose(output.measures["mean_iou"], iou)
    np.testing.assert_array_equal(
        output.agreement, (decided == model.predict(x, verbose=0).argmax(-1)).mean(axis=(1, 2, 3))
    )


def test_several_outputs_each_of_its_kind(settings, rng):
    image = keras.Input((8, 8, 1))
    hidden = L.Dense(16, "relu")(L.Flatten()(image))
    outputs = {"label": L.Dense(3, "softmax", name="label")(hidden), "box": L.Dense(4, name="box")(hidden)}
    x = rng.random((20, 8, 8, 1), dtype=np.float32)
    y = {"label": np.arange(20) % 3, "box": rng.random((20, 4)) + np.array([0.0, 0.0, 1.0, 1.0])}
    model = keras.Model(image, outputs)
    finished = snn.run(settings.replace(task={"box": "boxes"}, plot_vars=[]), model=model, x_test=x, y_test=y, x_norm=x)
    by_name = {output.name: output for output in finished.record.outputs}
    assert by_name["label"].accuracy is not None
    assert by_name["box"].measures["mean_box_iou"].shape == (12,)
    assert by_name["box"].task == "boxes"


def test_without_targets_it_is_compared_with_the_ann(settings, rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(16, "relu"), L.Dense(1)])
    x = rng.random((30, 5), dtype=np.float32)
    finished = snn.run(settings.replace(plot_vars=[]), model=model, x_test=x, x_norm=x)
    found = finished.record.outputs[0].measures["r2_to_ann"][-1]
    expected = metrics.r2_score(model.predict(x, verbose=0), finished.model_snn.simulate(x).outputs[-1])
    assert found == pytest.approx(expected, rel=1e-5)


def test_early_exit_needs_classes(rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(16, "relu"), L.Dense(2)])
    x = rng.random((30, 5), dtype=np.float32)
    model_snn = snn.convert_keras(model, x, timesteps=8, task="regression", threshold_rule="percentile")
    with pytest.raises(ValueError, match=r"Early exit needs classes to be sure of. Output .* is regression"):
        model_snn.simulate(x, outputs="last", early_exit=snn.EarlyExit())
