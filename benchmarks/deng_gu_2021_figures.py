"""Draws what benchmarks/deng_gu_2021.py measured."""

import pathlib
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snn_toolbox_tf.report.style import ANN, ATTENTION, SNN, SNN_LIGHT, WIDTH, image, styled

COLORS = {"ReLU, maximum": ANN, "ReLU, percentile": ATTENTION, "threshold ReLU": SNN}


@styled()
def draw(
    largest: Mapping[str, Mapping[str, float]],
    lost: Mapping[str, Mapping[int, float]],
    best: Mapping[tuple[str, str], Mapping[int, float]],
) -> Figure:
    """Returns a figure: largest activations, losses for soft and hard reset, and the best shift.

    Args:
        largest: Largest activation by layer and activation function.
        lost: Points of accuracy by way ("thresholds | shift | reset") and T.
        best: Best shift in thresholds / T by (schedule, thresholds) and T.
    """
    figure = Figure(figsize=(WIDTH, 6.0), layout="constrained")
    (activations, shifts), (soft, hard) = figure.subplots(2, 2)
    for offset, (name, color) in zip((-0.2, 0.2), {"ReLU": SNN_LIGHT, "threshold ReLU": SNN}.items(), strict=True):
        places = [place + offset for place in range(len(largest))]
        activations.bar(places, [row[name] for row in largest.values()], 0.4, color=color, label=name)
    activations.set_xticks(range(len(largest)), range(1, len(largest) + 1))
    activations.set(title="Largest activation", xlabel="layer")
    activations.legend()
    for axes, reset in ((soft, "soft"), (hard, "hard")):
        _draw_losses(axes, lost, reset)
    hard.sharey(soft)
    for (schedule, thresholds), row in best.items():
        line = "-" if schedule == "step" else ":"
        label = thresholds if schedule == "step" else None
        shifts.plot(
            list(row), list(row.values()), line, color=COLORS[thresholds], marker="o", markersize=3.5, label=label
        )
    shifts.plot([], [], ":", color=ANN, label="layer after layer")
    shifts.axhline(0.5, color=ANN, linewidth=1, linestyle=(0, (4, 3)))
    shifts.set(title="Best shift", ylabel="thresholds / T", xlabel="timesteps", ylim=(0, 1.05))
    _ticks(shifts, next(iter(best.values())))
    shifts.legend(loc="lower right")
    return figure


def _draw_losses(axes: Axes, lost: Mapping[str, Mapping[int, float]], reset: str) -> None:
    for way, row in lost.items():
        thresholds, shift, kind = way.split(" | ")
        if kind == reset:
            none = shift == "no shift"
            style = {"linestyle": ":" if none else "-", "marker": "o", "markersize": 3.5, "color": COLORS[thresholds]}
            axes.plot(list(row), list(row.values()), label=None if none else thresholds, **style)
    axes.plot([], [], ":", color=ANN, label="no shift")
    axes.axhline(0, color=ANN, linewidth=1)
    axes.set(title=f"Accuracy lost, {reset} reset", xlabel="timesteps", ylabel="points")
    _ticks(axes, next(iter(lost.values())))
    axes.legend(loc="upper right")


def _ticks(axes: Axes, timesteps: Mapping[int, float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(timesteps), [str(steps) for steps in timesteps])


def write(
    path: pathlib.Path,
    largest: Mapping[str, Mapping[str, float]],
    lost: Mapping[str, Mapping[int, float]],
    best: Mapping[tuple[str, str], Mapping[int, float]],
) -> None:
    """Writes the figure to a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image(draw(largest, lost, best), "png", dpi=120))
