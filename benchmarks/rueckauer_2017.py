"""Classification error against operations, as in Rueckauer et al. (2017, doi 10.3389/fnins.2017.00682), on other networks.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/rueckauer_2017.py [network ...] [--images N] [--output docs/images]

Operations are those of a sample: additions where spikes arrive, with exact fan-outs, and the multiply-accumulates of analog
input. The ANN has a multiply-accumulate for every connection. One of these counts as one operation, as an addition does.
"""

import argparse
import functools
import pathlib
from collections.abc import Mapping, Sequence

import keras
import networks
import numpy as np
from matplotlib.figure import Figure

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.report.style import ANN, ATTENTION, SNN, SNN_LIGHT, image, styled

#: How thresholds follow, what reset does, and what is added at first; without any, all is found for each T.
_PLAIN = {"corrections": [], "per_channel": False, "v0": 0.0}
WAYS: dict[str, dict] = {
    "maximum, hard reset": {**_PLAIN, "threshold_rule": "maximum", "reset": "zero"},
    "maximum, soft reset": {**_PLAIN, "threshold_rule": "maximum"},
    "percentile 99.9, soft reset": {**_PLAIN, "threshold_rule": "percentile", "percentile": 99.9},
    "found for T": {},
}
CALIBRATION_IMAGES = 500


def curves(
    model: keras.Model,
    calibration_data: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    timesteps: Sequence[int],
    ways: Sequence[str] = tuple(WAYS),
) -> dict[str, snn.EnergyCurve]:
    """Returns accuracy and operations over the number of timesteps, for each way of converting."""
    found = {}
    for way in ways:
        convert = functools.partial(snn.convert_keras, model, calibration_data, **WAYS[way])
        # Only what is found depends on the number of timesteps that it is found for.
        network = convert() if WAYS[way] else lambda steps, convert=convert: convert(timesteps=steps)
        found[way] = snn.energy_curve(network, x, y, timesteps, model=model)
    return found


def errors(curve: snn.EnergyCurve) -> list[float]:
    """Returns the classification errors in percent, for each number of timesteps."""
    return [100 * (1 - value) for value in curve.accuracy]


def operations_of_ann(curve: snn.EnergyCurve) -> float:
    """Returns the multiply-accumulates of the ANN for a sample."""
    return float(curve.energies[0].workload.connections)


def operations_within(curve: snn.EnergyCurve, loss: float) -> tuple[int, float] | None:
    """Returns the smallest T that loses at most so much accuracy, and its operations over the ANN's; None without one."""
    steps = curve.cheapest(loss)
    if steps is None:
        return None
    return steps, curve.operations[curve.timesteps.index(steps)] / operations_of_ann(curve)


def error_table(found: Mapping[str, snn.EnergyCurve]) -> str:
    """Returns a Markdown table of error and operations over those of the ANN, for each way and T."""
    first = next(iter(found.values()))
    lines = [
        ["", *(f"T = {steps}" for steps in first.timesteps), "at most 1 point lost"],
        ["---"] * (len(first.timesteps) + 2),
    ]
    for way, curve in found.items():
        relative = [operations / operations_of_ann(curve) for operations in curve.operations]
        cells = [f"{error:.1f} % ({ratio:.2f})" for error, ratio in zip(errors(curve), relative, strict=True)]
        within = operations_within(curve, 0.01)
        lines.append([way, *cells, "-" if within is None else f"T = {within[0]}: {within[1]:.2f}"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@styled()
def draw(found: Mapping[str, Mapping[str, snn.EnergyCurve]]) -> Figure:
    """Returns a figure with a panel per network: classification error against operations."""
    figure = Figure(figsize=(3.7 * len(found), 3.4), layout="constrained")
    for axes, (name, by_way) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        for color, (way, curve) in zip((ANN, SNN_LIGHT, SNN, ATTENTION), by_way.items(), strict=False):
            axes.plot(curve.operations, errors(curve), "o-", color=color, markersize=3.5, label=way)
        curve = next(iter(by_way.values()))
        ann = 100 * (1 - curve.ann_accuracy)
        axes.plot([operations_of_ann(curve)], [ann], "k*", markersize=9, label="ANN")
        axes.axhline(ann, color=ANN, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if tick > 0.5 * ann]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.set(title=name, xlabel="operations of a sample", ylabel="error in %")
    figure.axes[0].legend(loc="upper right")
    return figure


def main() -> None:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(networks.CASES)}")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--output", type=pathlib.Path, help="folder of the figure; none is drawn without it")
    asked = parser.parse_args()
    folder = networks.data_folder()
    found = {}
    for name in asked.networks or ("lenet5_mnist", "cnn_bn_cifar10", "resnet20_cifar10"):
        case = networks.CASES[name]
        model = case.load(folder)
        calibration_data, _ = networks.load_images(folder / case.calibration, CALIBRATION_IMAGES, case.prepare)
        x, y = networks.load_images(folder / case.test, asked.images, case.prepare)
        found[name] = curves(model, calibration_data, x, y, asked.timesteps)
        first = next(iter(found[name].values()))
        print(
            f"### {name}\n\nThe ANN: {100 * (1 - first.ann_accuracy):.1f} %, {operations_of_ann(first):.4g} operations\n"
        )
        print(error_table(found[name]) + "\n", flush=True)
    print(f"{CALIBRATION_IMAGES} images for calibration, {asked.images} test images")
    print(", ".join(f"{key} {value}" for key, value in versions().items()))
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        (asked.output / "rueckauer_2017.png").write_bytes(image(draw(found), "png", dpi=120))


if __name__ == "__main__":
    main()
