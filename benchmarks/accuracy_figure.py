"""Draws the tables of docs/accuracy.md, which benchmarks/accuracy.py printed.

python benchmarks/accuracy_figure.py [--page docs/accuracy.md] [--folder docs/images]
"""

import argparse
import pathlib
import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snn_toolbox_tf.report.style import ANN, ATTENTION, SNN, SNN_LIGHT, image, styled

ROOT = pathlib.Path(__file__).parents[1]
COLORS = ("#3d8b5f", ATTENTION, SNN_LIGHT, SNN)
TITLES = {
    "lenet5_mnist": "LeNet-5, MNIST",
    "cnn_bn_cifar10": "CNN, CIFAR-10",
    "resnet8_cifar10": "ResNet-8, CIFAR-10",
    "resnet20_cifar10": "ResNet-20, CIFAR-10",
}
#: A table: its rows by their first cell, each by the column; empty cells are left out.
Table = dict[str, dict[str, float]]


def read_tables(text: str) -> dict[str, Table]:
    """Returns the tables of a Markdown page by the heading above them, the first one of each."""
    found: dict[str, Table] = {}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        table = re.search(r"(?:^\|.*\|\n?)+", section, flags=re.M)
        lines = table.group().splitlines() if table else []
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        if rows:
            head = [cell.removeprefix("T = ") for cell in rows[0][1:]]
            found[section.splitlines()[0]] = {
                row[0].strip("`"): {name: _number(cell) for name, cell in zip(head, row[1:], strict=True) if cell}
                for row in rows[2:]
            }
    return found


def _number(cell: str) -> float:
    """The number in a cell, without its spread."""
    return float(cell.partition("±")[0].strip("* "))


def _timesteps(row: dict[str, float]) -> dict[int, float]:
    return {int(name): value for name, value in row.items() if name.isdigit()}


@styled()
def over_time(found: Table, percentiles: Table) -> Figure:
    """Returns a figure with lines per network over time: as found for T, with percentiles, and its source's accuracy."""
    figure = Figure(figsize=(5.6, 3.0), layout="constrained")
    axes = figure.subplots()
    for color, name in zip(COLORS, TITLES, strict=True):
        axes.axhline(found[name]["ANN"], color=color, linestyle=(0, (4, 3)), linewidth=1)
        if name in percentiles:
            _line(axes, _timesteps(percentiles[name]), color=color, linewidth=1, linestyle=":")
        _line(axes, _timesteps(found[name]), color=color, marker="o", markersize=4, label=TITLES[name])
    axes.plot([], [], color=ANN, linestyle=":", linewidth=1, label="percentiles")
    axes.plot([], [], color=ANN, linestyle=(0, (4, 3)), linewidth=1, label="the source network (ANN)")
    axes.set(xlabel="timesteps", ylabel="accuracy in %", ylim=(30, 101))
    _ticks(axes, sorted({t for row in found.values() for t in _timesteps(row)}))
    axes.legend(loc="lower right")
    return figure


@styled()
def by_way(ways: Table, images: Table) -> Figure:
    """Returns a figure with the ways over time, and over the number of calibration images."""
    figure = Figure(figsize=(8.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    markers = "os^vDxP*"
    for marker, (name, row) in zip(markers, ways.items(), strict=False):
        _line(left, _timesteps(row), marker=marker, markersize=4, label=name)
    left.set(xlabel="timesteps", ylabel="accuracy in %")
    _ticks(left, sorted({t for row in ways.values() for t in _timesteps(row)}))
    left.legend(loc="lower right")
    for marker, name in zip(markers, next(iter(images.values())), strict=False):
        _line(right, {int(count): row[name] for count, row in images.items()}, marker=marker, markersize=4, label=name)
    right.set(xlabel="calibration images", title="T = 8")
    _ticks(right, [int(count) for count in images])
    right.legend(loc="center right")
    return figure


def _line(axes: Axes, values: dict[int, float], **style: object) -> None:
    axes.plot(list(values), list(values.values()), **style)


def _ticks(axes: Axes, values: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])


def main() -> None:
    """Writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs" / "accuracy.md")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "docs" / "images")
    arguments = parser.parse_args()
    tables = read_tables(arguments.page.read_text())
    figures = {
        "accuracy_over_time.png": over_time(tables["Found for T"], tables["Percentiles"]),
        "accuracy_by_way.png": by_way(tables["Other ways"], tables["Few calibration images"]),
    }
    for name, figure in figures.items():
        (arguments.folder / name).write_bytes(image(figure, "png", dpi=120))


if __name__ == "__main__":
    main()
