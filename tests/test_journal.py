"""The finished points of a study: kept, gone on with, and not mixed with those of another."""

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn


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


@pytest.mark.parametrize("text", ["", "[]", '{"points": 3}', '{"identity": {}, "points": {"a": 1}}', "\x00"])
def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "study.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"study\.json' is no journal of a study"):
        snn.Journal(path)
    assert path.read_text() == text
