"""Figures of studies."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from snn_toolbox_tf.report import style

if TYPE_CHECKING:
    from snn_toolbox_tf.studies.bias_variance import BiasVariance
    from snn_toolbox_tf.studies.energy_curve import EnergyCurve
    from snn_toolbox_tf.studies.weight_precision import WeightPrecision


@style.styled()
def accuracy_against_cost(curve: "EnergyCurve") -> Figure:
    """Draws accuracy against operations, and against energy, with the ANN's points."""
    figure = Figure(figsize=(style.WIDTH, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    accuracy = 100 * np.array(curve.accuracy)
    first, last = curve.energies[0], curve.energies[-1]
    operations = [(first.workload.connections, "(MACs)")]
    energies = [(one.energy / 1e3, one.name.removeprefix("ANN ")) for one in last.baselines]
    panels = [
        (left, curve.operations, operations, "operations of a sample"),
        (
            right,
            [found.energy / 1e3 for found in curve.energies],
            energies,
            f"energy of a sample (nJ), {first.hardware.name}",
        ),
    ]
    for axes, costs, points, text in panels:
        axes.plot(costs, accuracy, "o-", color=style.SNN, label="SNN, by timesteps")
        for place, (cost, steps) in enumerate(zip(costs, curve.timesteps, strict=True)):
            axes.annotate(str(steps), (cost, accuracy[place]), textcoords="offset points", xytext=(4, -10))
        if curve.ann_accuracy is not None:
            for marker, (cost, name) in zip("sD^", points, strict=False):
                axes.plot([cost], [100 * curve.ann_accuracy], marker, color=style.ATTENTION, label=f"ANN {name}")
        axes.set_xscale("log")
        axes.set(xlabel=text)
        axes.legend(loc="lower right")
    left.set(ylabel="accuracy (%)")
    return figure


@style.styled()
def accuracy_against_bits(found: "WeightPrecision") -> Figure:
    """Draws accuracy of the spiking network, and of the ANN with the same weights, against the memory of the weights."""
    figure = Figure(figsize=(style.WIDTH / 2, 3.2), layout="constrained")
    axes = figure.subplots()
    places = range(len(found.points))
    names = ["float32" if point.bits is None else str(point.bits) for point in found.points]
    snn, ann = ([100 * value for value in values] for values in _accuracies(found))
    axes.plot(places, snn, "o-", color=style.SNN, label=f"SNN, T = {found.timesteps}")
    axes.plot(places, ann, "s--", color=style.ATTENTION, label="ANN with these weights")
    axes.axhline(100 * found.source_accuracy, color="0.5", linewidth=1, label="source")
    axes.set_xticks(places, names)
    axes.set(xlabel="bits of a weight", ylabel="accuracy (%)")
    axes.legend(loc="lower left")
    return figure


def _accuracies(found: "WeightPrecision") -> tuple[list[float], list[float]]:
    return [point.accuracy for point in found.points], [point.ann_accuracy for point in found.points]


@style.styled()
def bias_and_variance_over_time(found: "BiasVariance") -> Figure:
    """Draws squared bias and variance of outputs and of populations against the number of timesteps."""
    panels = [
        (title, parts) for title, parts in (("outputs", found.outputs), ("populations", found.populations)) if parts
    ]
    figure = Figure(figsize=(style.WIDTH * len(panels) / 2, 3.4), layout="constrained")
    for axes, (title, parts) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        shades = style.SHADES(np.linspace(0.9, 0.35, len(parts)))
        for color, (name, one) in zip(shades, parts.items(), strict=True):
            axes.plot(found.timesteps, one.variance, "o-", color=color, label=name)
            axes.plot(found.timesteps, one.squared_bias, "s--", color=color)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", nonpositive="mask")
        axes.set_xticks(found.timesteps, [str(steps) for steps in found.timesteps])
        axes.set(
            title=f"{title}: variance (solid), bias² (dashed)", xlabel="timesteps", ylabel="relative to the source"
        )
        axes.legend(fontsize="small")
    return figure
