"""The examples, most of them on little data: the way from training to what they print."""

import pathlib
import re
import sys

import numpy as np
import pytest

import snn_toolbox_tf as snn

EXAMPLES = pathlib.Path(snn.__file__).parents[1] / "examples"
FEW = ["--scenes", "64", "--test-scenes", "8", "--epochs", "1", "--timesteps", "8"]


@pytest.fixture(autouse=True)
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def run(monkeypatch, module, folder):
    monkeypatch.setattr(sys, "argv", ["example", *FEW, "--folder", str(folder)])
    module.main()


def test_scenes_hold_what_their_targets_say():
    from digit_scenes import BACKGROUND, SIDE, scenes

    found = scenes(30, digits=2, largest=1, test=True, seed=0)
    assert (found.x.shape, found.masks.shape) == ((30, SIDE, SIDE, 1), (30, SIDE, SIDE))
    assert (found.x.min() >= 0, found.x.max()) == (True, 1)
    assert (found.x[..., 0][found.masks != BACKGROUND] > 0.25).all()
    alone = scenes(30, digits=1, largest=2, test=False, seed=0)
    for mask, box, label in zip(alone.masks, alone.boxes, alone.labels, strict=True):
        rows, columns = np.nonzero(mask != BACKGROUND)
        assert set(mask[rows, columns]) == {label}
        corners = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(box * SIDE, corners, rtol=1e-5)


@pytest.mark.slow
def test_segmentation_digits(tmp_path, monkeypatch, capsys):
    import segmentation_digits

    run(monkeypatch, segmentation_digits, tmp_path / "report")
    assert re.search(r"T =   8: mean IoU \S+ %, pixel accuracy \S+ %, \S+ % as the ANN", capsys.readouterr().out)
    assert (tmp_path / "report" / "plots" / "outputs.png").is_file()


@pytest.mark.slow
@pytest.mark.long
def test_detection_digits(tmp_path, monkeypatch, capsys):
    import detection_digits

    run(monkeypatch, detection_digits, tmp_path / "files")
    said = capsys.readouterr().out
    assert re.search(r"T =   8: accuracy \S+ %, mean IoU of boxes \S+ %, corners off by \S+ pixels", said)
    report = pathlib.Path(re.search(r"report: (\S+)", said)[1])
    assert (report.parent / "plots" / "outputs.png").is_file()
    settings = snn.read_settings(tmp_path / "files" / "detection_digits.ini")
    assert settings.task == {"label": "classes", "box": "boxes"}


def percentages(text):
    return [float(found) for found in re.findall(r"([\d.]+) %", text)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lines", "lowest"), [("hardware_constraints", 9, 85.0), ("rnn_digits", 5, 80.0)])
def test_an_example_that_trains_on_digits(name, lines, lowest, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name])
    __import__(name).main()
    found = percentages(capsys.readouterr().out)
    assert len(found) == lines
    assert min(found) > lowest
