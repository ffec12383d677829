"""The finished points of a study: kept, gone on with, and not mixed with those of another."""

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.journal import as_journal


def test_a_point_is_computed_once_and_found_again(tmp_path):
    path, told = tmp_path / "study.json", []
    first = snn.Journal(path, told.append)
    first.identify(x=np.arange(3.0), seed=0)
    assert first.point("T = 8", lambda: {"accuracy": 0.1 + 0.2}) == {"accuracy": 0.1 + 0.2}

    again = snn.Journal(path, told.append)
    again.identify(x=np.arange(3.0), seed=0)
    assert again.point("T = 8", lambda: pytest.fail("it is known")) == {"accuracy": 0.1 + 0.2}
    again.point("T = 16", lambda: {"accuracy": 1.0})
    assert told == ["T = 8", "T = 16"]


def test_a_point_that_fails_leaves_the_finished_ones(tmp_path):
    path = tmp_path / "study.json"
    journal = snn.Journal(path)
    journal.point("a", lambda: {"value": 1})
    with pytest.raises(ZeroDivisionError):
        journal.point("b", lambda: {"value": 1 / 0})
    assert snn.Journal(path).point("a", dict) == {"value": 1}
    assert snn.Journal(path).point("b", lambda: {"value": 2}) == {"value": 2}


@pytest.mark.parametrize("changed", [{"x": np.ones(3)}, {"model": None}, {"seed": 1}])
def test_another_study_is_refused(tmp_path, changed):
    def model(scale):
        layer = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(scale))
        return keras.Sequential([keras.Input((2,)), layer])

    first = snn.Journal(tmp_path / "study.json")
    parts = {"x": np.zeros(3), "model": model(1.0), "seed": 0}
    first.identify(**parts)
    first.point("a", dict)
    same = snn.Journal(tmp_path / "study.json")
    same.identify(**{**parts, "model": model(1.0)})
    other = snn.Journal(tmp_path / "study.json")
    if "model" in changed:
        changed = {"model": model(2.0)}
    with pytest.raises(ValueError, match=f"belongs to another study: it differs in {next(iter(changed))}"):
        other.identify(**{**parts, **changed})


def test_what_decides_a_result_belongs_to_the_identity(tmp_path):
    """Other activations, neurons or options: another study; the same built again: the same."""

    def built(activation="relu", **options):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation), keras.layers.Dense(3)])
        x = np.linspace(0, 1, 80, dtype="float32").reshape(20, 4)
        converted = (
            snn.convert_keras(model, x, threshold_rule="percentile", **options) if activation == "relu" else None
        )
        return {"model": model, "model_snn": converted, "options": {"rule": len, "x": x, "neuron": snn.neurons.MODELS}}

    path = tmp_path / "study.json"
    first = snn.Journal(path)
    first.identify(**built())
    first.point("a", dict)
    snn.Journal(path).identify(**built())
    for other, name in [
        ({"activation": "relu6"}, "model"),
        ({"reset": "zero"}, "model_snn"),
        ({"v0": 0.0}, "model_snn"),
    ]:
        with pytest.raises(ValueError, match=f"it differs in .*{name}"):
            snn.Journal(path).identify(**built(**other))


def test_what_cannot_be_told_again_is_refused(tmp_path):
    with pytest.raises(
        TypeError, match=r"cannot tell whether a generator is the same again\. Pass arrays, or no journal"
    ):
        snn.Journal(tmp_path / "study.json").identify(x=(one for one in range(3)))
    stream = (one for one in range(3))
    memory = snn.Journal()
    memory.identify(x=stream)
    memory.identify(x=stream)


def test_what_is_no_journal_is_told():
    with pytest.raises(TypeError, match=r"Expected `journal` to be a `snn\.Journal`.*Received: str"):
        as_journal("study.json")


@pytest.mark.parametrize("text", ["", "[]", '{"points": 3}', '{"identity": {}, "points": {"a": 1}}', "\x00"])
def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "study.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"study\.json' is no journal of a study"):
        snn.Journal(path)
    assert path.read_text() == text
