"""Figures with one small panel per population."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snn_toolbox_tf.report import style
from snn_toolbox_tf.report.record import PopulationRecord, RunRecord
from snn_toolbox_tf.report.text import fixed


@style.styled()
def rate_histograms(record: RunRecord) -> Figure | None:
    """Draws how many neurons of each population have which mean firing rate."""
    counted = [population for population in record.populations if population.rate_histogram.sum()]
    shown = style.evenly(counted)
    if not shown:
        return None
    figure, panels = _panels(shown, ratio=0.68)
    note = style.chosen(len(shown), len(counted), "populations")
    style.headline(figure, f"Neurons by mean firing rate{note}")
    for axes, population in zip(panels, shown, strict=True):
        counts = population.rate_histogram
        edges = np.linspace(0.0, 1.0, len(counts) + 1)
        axes.stairs(counts, edges, fill=True, color=style.SNN)
        # Most neurons are silent or nearly so: on a linear axis their bin would hide all others.
        axes.set_yscale("log")
        axes.set(xlim=(0, 1), ylim=(0.7, max(10.0, 1.6 * counts.max())))
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.minorticks_off()
        axes.set_title(style.label(population.name), fontsize=9, fontweight="normal", pad=4)
    figure.supxlabel("spikes per timestep", fontsize=9, color=style.MUTED)
    figure.supylabel("neurons", fontsize=9, color=style.MUTED)
    return figure


@style.styled()
def correlation(record: RunRecord) -> Figure | None:
    """Draws threshold times firing rate against the ANN's activation of the same neurons and samples."""
    compared = [population for population in record.populations if len(population.activation)]
    shown = style.evenly(compared)
    if not shown:
        return None
    figure, panels = _panels(shown, ratio=1.0)
    note = style.chosen(len(shown), len(compared), "populations")
    style.headline(figure, f"Threshold × firing rate against the ANN's activation{note}")  # noqa: RUF001
    for axes, population in zip(panels, shown, strict=True):
        _draw_scatter(axes, population)
    figure.supxlabel("activation of the ANN", fontsize=9, color=style.MUTED)
    figure.supylabel("θ × firing rate of the SNN", fontsize=9, color=style.MUTED)  # noqa: RUF001
    return figure


def _draw_scatter(axes: Axes, population: PopulationRecord) -> None:
    points = np.stack([population.activation, population.decoded]).astype(np.float64)
    low, high = (float(limit(points, initial=0.0)) for limit in (np.min, np.max))
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=style.ANN, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
    # Transparency shows density where points pile up; few points are drawn stronger.
    alpha = 0.25 if points.shape[1] > 300 else 0.6
    axes.plot(*points, ".", color=style.SNN, markersize=3.5, alpha=alpha, markeredgewidth=0, rasterized=True, zorder=2)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    r = fixed(population.correlation, 4)
    axes.set_title(f"{style.label(population.name, 24)}\n", fontsize=9, fontweight="normal", pad=4)
    axes.annotate(
        f"r = {r}",
        (0, 1),
        (0, 4),
        "axes fraction",
        "offset points",
        fontsize=9,
        color=style.MUTED,
        annotation_clip=False,
    )


def _panels(shown: Sequence[PopulationRecord], ratio: float) -> tuple[Figure, list[Axes]]:
    # Three or four columns, whichever leaves fewer places empty; one panel is as large as one of two.
    columns = 2 if len(shown) <= 2 else min((4, 3), key=lambda number: -len(shown) % number)
    rows = -(-len(shown) // columns)
    width = style.WIDTH / max(columns, 3)
    figure = Figure(figsize=(width * columns, 0.62 + ratio * width * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in panels[len(shown) :]:
        unused.remove()
    return figure, panels[: len(shown)]
