"""The README's code runs, in order, as a reader would type it; links lead somewhere, numbers are the documentation's."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from snn_toolbox_tf.cli import main

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SPEED = ("ResNet-20", "VGG-16", "LeNet-5", "MobileNet")


@pytest.mark.long
def test_readme_code_runs_as_it_stands(tmp_path):
    script = "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ann, snn = (float(accuracy) for accuracy in re.findall(r"^[AS]NN \[.*, (.*)\]$", done.stdout, flags=re.MULTILINE))
    assert ann > 0.8
    assert abs(ann - snn) < 0.05
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        "batching.config",
        "digits",
        "models.config",
    ]
    assert [path.name for path in (tmp_path / "models" / "digits").iterdir()] == ["1"]


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
def test_readme_commands_run_as_they_stand(tmp_path, monkeypatch, capsys):
    commands = re.findall(r"^\$ snn-toolbox-tf (.*?)(?:  +#.*)?$", README, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["example", "run", "check", "run", "evaluate"]
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
    generator = np.random.default_rng(0)
    model.save(tmp_path / "net.keras")
    for name in ("x_test", "x_norm"):
        np.savez(tmp_path / f"{name}.npz", generator.random((120, 6), dtype=np.float32))
    np.savez(tmp_path / "y_test.npz", generator.integers(0, 3, 120))
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert main(command.split()) == 0, f"{command}: {capsys.readouterr().err}"
    reports = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("report.html"))
    assert reports == ["digits/digits_cnn_snn/report.html", "net_snn/report.html"]


def test_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) > 15
    for link in links:
        assert (ROOT / link).is_file(), link


def table(text, first):
    """The rows of a Markdown page whose first cell is one of these."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row[0] in first]


def test_numbers_are_those_of_the_documentation(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import accuracy_figure

    section = README[README.index("## Accuracy") : README.index("## Speed")]
    rows = accuracy_figure.read_tables(section)["Accuracy"]
    assert set(rows) == set(accuracy_figure.TITLES)
    assert rows == accuracy_figure.read_tables((ROOT / "docs" / "accuracy.md").read_text())["Found for T"]
    measured = table((ROOT / "docs" / "performance.md").read_text(), SPEED)
    # Of T = 8, 32 and 128 the README has 32.
    expected = {tuple(row[:2]): [row[3], row[6], row[9]] for row in measured if len(row) > 4}
    rows = table(README, SPEED)
    assert len(rows) == 7
    for row in rows:
        assert row[2:] == expected[tuple(row[:2])]


def test_the_figures_show_the_numbers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import accuracy_figure

    tables = accuracy_figure.read_tables((ROOT / "docs" / "accuracy.md").read_text())
    over_time = accuracy_figure.over_time(tables["Found for T"], tables["Percentiles"])
    lines = {line.get_label(): list(line.get_ydata()) for line in over_time.axes[0].get_lines()}
    for name, row in tables["Found for T"].items():
        numbers = [value for column, value in row.items() if column.isdigit()]
        assert lines[accuracy_figure.TITLES[name]] == numbers
        assert [row["ANN"]] * 2 in lines.values()
    by_way = accuracy_figure.by_way(tables["Other ways"], tables["Few calibration images"])
    left, right = ({line.get_label(): list(line.get_ydata()) for line in axes.get_lines()} for axes in by_way.axes)
    assert left == {name: list(row.values()) for name, row in tables["Other ways"].items()}
    for name, values in right.items():
        assert values == [row[name] for row in tables["Few calibration images"].values()]
