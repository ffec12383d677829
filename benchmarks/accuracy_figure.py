"""Draws the table of accuracies in docs/accuracy.md, which benchmarks/accuracy.py printed.

python benchmarks/accuracy_figure.py [--table docs/accuracy.md] [--output docs/images/accuracy_over_time.png]
"""

import argparse
import pathlib
import re

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


def read_table(text: str) -> dict[str, tuple[float, dict[int, float]]]:
    """Returns the ANN's accuracy and the SNN's by timesteps, in percent, of every network in a Markdown page."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.+\|$", text, flags=re.M)]
    (head,) = (row for row in rows if row[:3] == ["network", "images", "ANN"])
    timesteps = [int(column.removeprefix("T = ")) for column in head[3:]]
    values = {row[0]: [float(cell) for cell in row[2:]] for row in rows if row[0] in TITLES}
    return {name: (ann, dict(zip(timesteps, snn, strict=True))) for name, (ann, *snn) in values.items()}


@styled()
def draw(accuracies: dict[str, tuple[float, dict[int, float]]]) -> Figure:
    """Returns a figure with a line per network over time, and its source's accuracy dashed."""
    figure = Figure(figsize=(5.6, 3.0), layout="constrained")
    axes = figure.subplots()
    for color, (name, (ann, snn)) in zip(COLORS, accuracies.items(), strict=True):
        axes.axhline(ann, color=color, linestyle=(0, (4, 3)), linewidth=1)
        axes.plot(list(snn), list(snn.values()), color=color, marker="o", markersize=4, label=TITLES[name])
    axes.plot([], [], color=ANN, linestyle=(0, (4, 3)), linewidth=1, label="the source network (ANN)")
    timesteps = list(next(iter(accuracies.values()))[1])
    axes.set_xscale("log", base=2)
    axes.set_xticks(timesteps, [str(t) for t in timesteps])
    axes.set_ylim(30, 101)
    axes.set(xlabel="timesteps", ylabel="accuracy in %")
    axes.legend(loc="lower right")
    return figure


def main() -> None:
    """Writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=pathlib.Path, default=ROOT / "docs" / "accuracy.md")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs" / "images" / "accuracy_over_time.png")
    arguments = parser.parse_args()
    arguments.output.write_bytes(image(draw(read_table(arguments.table.read_text())), "png", dpi=120))


if __name__ == "__main__":
    main()
