"""What outputs stand for: how it is decided, what targets must be, and measures against scikit-learn's."""

import keras
import numpy as np
import pytest
from sklearn import metrics

import snn_toolbox_tf as snn
from snn_toolbox_tf.config import read_value, sections
from snn_toolbox_tf.graph import TASKS
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.tasks import by_unit, checked_targets, decide, measures, state_tasks, sums_of
from snn_toolbox_tf.tasks.boxes import box_overlap
from snn_toolbox_tf.tasks.regression import spread_of_sums

L = keras.layers
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(6, 3))
LABELS = np.array([0, 1, 2, 0, 1, 2])
MASKS = RNG.integers(0, 3, (6, 4, 5))


@pytest.mark.parametrize(
    ("shape", "activation", "targets", "kind"),
    [
        ((3,), "softmax", None, "classes"),
        ((3,), "", None, "classes"),
        ((3,), "", LABELS, "classes"),
        ((3,), "", np.eye(3)[LABELS], "classes"),
        ((3,), "", np.eye(3, dtype=np.int64)[LABELS], "classes"),
        ((3,), "", NUMBERS, "regression"),
        ((3,), "", np.array([[1, 2, 3]] * 6), "regression"),
        ((1,), "sigmoid", None, "classes"),
        ((1,), "sigmoid", LABELS % 2, "classes"),
        ((1,), "sigmoid", (LABELS % 2).astype(np.float32), "classes"),
        ((1,), "sigmoid", NUMBERS[:, 0], "regression"),
        ((1,), "", None, "regression"),
        ((1,), "", LABELS, "regression"),
        ((1,), "", LABELS % 2, "classes"),
        ((4, 5, 3), "softmax", None, "segmentation"),
        ((4, 5, 3), "", MASKS, "segmentation"),
        ((4, 5, 3), "", MASKS[..., np.newaxis], "segmentation"),
        ((4, 5, 3), "", np.eye(3)[MASKS], "segmentation"),
        ((4, 5, 1), "sigmoid", None, "regression"),
        ((4, 5, 1), "sigmoid", (MASKS > 0).astype(np.float32)[..., np.newaxis], "segmentation"),
        ((4, 5, 1), "sigmoid", RNG.random((6, 4, 5, 1)), "regression"),
    ],
)
def test_what_an_output_is_taken_for(shape, activation, targets, kind):
    assert decide("out", shape, activation, targets=targets).kind == kind


def test_what_is_stated_comes_before_targets():
    assert decide("out", (3,), targets=np.eye(3)[LABELS], stated="regression").kind == "regression"
    assert decide("out", (4,), targets=RNG.random((6, 4)), inferred="boxes").kind == "boxes"
    assert decide("out", (3,), targets=LABELS, inferred="regression").kind == "classes"
    assert decide("out", (3,), inferred="regression").kind == "regression"


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ((3,), "boxes", "cannot be boxes: that needs 4 numbers per box"),
        ((3,), "segmentation", "needs positions and classes"),
        ((4, 5, 3), "classes", r"needs one axis, \[classes\]"),
        ((3,), "clusters", "Unknown `task`"),
    ],
)
def test_a_task_that_an_output_cannot_have(shape, kind, message):
    with pytest.raises(ValueError, match=message):
        decide("out", shape, stated=kind)


@pytest.mark.parametrize(
    ("kind", "targets", "shape", "message"),
    [
        ("regression", NUMBERS[:, :2], (3,), r"must be numbers of shape \[6, 3\].*Received shape: \[6, 2\]"),
        ("regression", np.where(NUMBERS > 0, np.nan, NUMBERS), (3,), "finite numbers. Received .* NaN or infinite"),
        ("segmentation", MASKS + 1, (4, 5, 3), "class indices from 0 to 2. Received values from 1 to 3"),
        ("segmentation", MASKS[:, :3], (4, 5, 3), r"must be class indices \[6, 4, 5\] or one-hot"),
        ("segmentation", np.ones((6, 4, 5, 3)), (4, 5, 3), "one 1 per position"),
    ],
)
def test_targets_that_do_not_fit(kind, targets, shape, message):
    with pytest.raises(ValueError, match=message):
        checked_targets(kind, targets, 6, shape, "out")


def test_masks_of_another_size_are_named():
    with pytest.raises(ValueError, match=r"do not fit its shape \[4, 5, 3\].*Received shape: \[6, 9, 9\]"):
        decide("out", (4, 5, 3), targets=np.zeros((6, 9, 9), int))


def in_batches(kind, outputs, targets, size):
    """The sums of batches, added up."""
    total = {}
    for start in range(0, len(targets), size):
        for name, value in sums_of(kind, outputs[:, start : start + size], targets[start : start + size]).items():
            total[name] = total.get(name, 0.0) + value
    return total


@pytest.mark.parametrize("shape", [(3,), (1,), (4, 2)])
def test_regression_measures_are_scikit_learns(shape):
    targets, outputs = RNG.normal(7, 2, (50, *shape)), RNG.normal(7, 2, (4, 50, *shape))
    total = in_batches("regression", outputs, targets, 8)
    found, units = measures("regression", total, targets), by_unit("regression", total, targets)
    truth = targets.reshape(-1, shape[-1])
    for place, output in enumerate(outputs.reshape(4, -1, shape[-1])):
        assert found["r2"][place] == pytest.approx(metrics.r2_score(truth, output), rel=1e-10)
        np.testing.assert_allclose(
            units["r2"][place], metrics.r2_score(truth, output, multioutput="raw_values"), rtol=1e-10
        )
        squared = metrics.mean_squared_error(truth, output)
        assert found["root_mean_square_error"][place] == pytest.approx(np.sqrt(squared), rel=1e-12)
        assert found["mean_absolute_error"][place] == pytest.approx(metrics.mean_absolute_error(truth, output))


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_r2_of_constant_targets_is_scikit_learns(offset):
    targets = np.stack([np.full(9, 4.0), np.arange(9.0)], axis=1)
    outputs = targets + offset
    found = measures("regression", sums_of("regression", outputs[np.newaxis], targets), targets)
    assert found["r2"][0] == pytest.approx(metrics.r2_score(targets, outputs))


def test_r2_of_one_sample_is_not_defined():
    targets = np.ones((1, 2))
    assert np.isnan(measures("regression", sums_of("regression", targets[np.newaxis], targets), targets)["r2"]).all()


def test_the_spread_follows_from_sums():
    values = RNG.normal(100, 1, (500, 2))
    found = spread_of_sums(values.sum(0), np.square(values).sum(0), 500)
    np.testing.assert_allclose(found, 500 * values.var(axis=0), rtol=1e-9)
    assert (spread_of_sums(np.full(2, 0.1 * 500), np.full(2, 0.01 * 500), 500) == 0).all()


@pytest.mark.parametrize("classes", [1, 3])
def test_segmentation_measures_are_scikit_learns(classes):
    number = max(classes, 2)
    outputs, targets = RNG.random((3, 10, 4, 5, classes)), RNG.integers(0, number, (10, 4, 5)).astype(np.int32)
    found = measures("segmentation", in_batches("segmentation", outputs, targets, 3), targets)
    for place, output in enumerate(outputs):
        decided = output.argmax(-1) if classes > 1 else (output[..., 0] > 0.5).astype(int)
        pair = targets.reshape(-1), decided.reshape(-1)
        assert found["pixel_accuracy"][place] == metrics.accuracy_score(*pair)
        assert found["mean_iou"][place] == pytest.approx(metrics.jaccard_score(*pair, average="macro"))


def test_a_class_that_does_not_occur_does_not_count():
    outputs = np.eye(3)[np.array([[[0, 0, 1, 1]]])]  # a class 2 is there, but neither decided for nor true
    targets = np.array([[0, 1, 1, 1]], np.int32)
    found = measures("segmentation", sums_of("segmentation", outputs, targets), targets)
    assert found["mean_iou"][0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["pixel_accuracy"][0] == 0.75


def test_overlap_of_boxes_by_hand():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 1, 1], [3, 3, 3, 3]])
    others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6], [3, 3, 3, 3]])
    assert box_overlap(boxes, others).tolist() == [1.0, 1 / 7, 0.0, 0.0]
    found = measures("boxes", in_batches("boxes", boxes[np.newaxis], others, 3), others)
    assert found["mean_box_iou"][0] == pytest.approx((1 + 1 / 7) / 4)


def graph_of(activation=None, units=3, **compilation):
    model = keras.Sequential([keras.Input((4,)), L.Dense(5, "relu"), L.Dense(units, activation, name="out")])
    if compilation:
        model.compile("adam", **compilation)
    return model, to_spiking(parse(model).graph, "accumulated")


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ({"loss": "mse"}, "regression"),
        ({"loss": keras.losses.Huber()}, "regression"),
        ({"loss": {"out": "mean_absolute_error"}}, "regression"),
        ({"loss": "mse", "metrics": ["accuracy"]}, ""),
        ({"loss": "mse", "metrics": ["mae", "acc"]}, ""),
        ({"loss": "mse", "weighted_metrics": [keras.metrics.CategoricalAccuracy()]}, ""),
        ({"loss": "mse", "metrics": [keras.metrics.MeanAbsoluteError("acceleration_mae")]}, "regression"),
        ({"loss": "sparse_categorical_crossentropy"}, ""),
        ({}, ""),
    ],
)
def test_a_loss_tells(loss, found):
    model, graph = graph_of(**loss)
    state_tasks(graph, "auto", model)
    assert graph.readouts[0].task == found


def test_what_is_stated_of_outputs_is_checked():
    _, graph = graph_of()
    with pytest.raises(ValueError, match=r"`task` names 'outt', which is no output.*Did you mean 'out'"):
        state_tasks(graph, {"outt": "regression"})
    with pytest.raises(ValueError, match="Unknown `task`"):
        state_tasks(graph, "regresion")
    with pytest.raises(TypeError, match="Expected `task` to be one of"):
        state_tasks(graph, 3)
    with pytest.raises(ValueError, match="Output 'out' cannot be boxes"):
        state_tasks(graph, {"out": "boxes"})


def test_a_result_has_measures():
    outputs = RNG.normal(size=(2, 6, 3))
    result = snn.SimulationResult(outputs, timesteps=[1, 2], duration=2, samples=6)
    assert result.measures(NUMBERS)["r2"][1] == pytest.approx(metrics.r2_score(NUMBERS, outputs[1]))
    with pytest.raises(ValueError, match=r"class labels\. Use `accuracy`"):
        result.measures(LABELS)
    several = snn.SimulationResult({"a": outputs, "b": outputs}, timesteps=[1, 2], duration=2, samples=6)
    assert set(several.measures({"a": NUMBERS})) == {"a"}
    with pytest.raises(ValueError, match="structure of the outputs"):
        several.measures(NUMBERS)


def test_settings_name_the_same_tasks():
    assert sections.TASKS == TASKS
    settings = snn.Settings().replace(task={"a": "classes", "b": "boxes"})
    assert settings.task == {"a": "classes", "b": "boxes"}
    assert read_value("task", "a: classes, b/c: boxes") == (("a", "classes"), ("b/c", "boxes"))
    with pytest.raises(snn.ConfigurationError, match=r"\[simulation\] task.*Did you mean 'regression'"):
        snn.Settings().replace(task="regresion")
    with pytest.raises(snn.ConfigurationError, match=r"\[simulation\] task"):
        read_value("task", "a: classes, a: boxes")
