"""The plot of what `compare` finds."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snn_toolbox_tf.analysis.fidelity import PARTS, Fidelity
from snn_toolbox_tf.report import style


@style.styled()
def fidelity_figure(fidelity: Fidelity) -> Figure:
    """Draws the parts of the error and the correlation of every population."""
    rows = fidelity.populations
    figure = Figure(figsize=(style.WIDTH, 1.6 + 0.26 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    places = np.arange(len(rows))
    colours = (style.ATTENTION, style.SNN_LIGHT, style.SNN)
    for shift, part, colour in zip((-0.27, 0.0, 0.27), PARTS, colours, strict=True):
        values = [getattr(row, part) for row in rows]
        if not np.isnan(values).all():
            left.barh(places + shift, values, 0.25, color=colour, label=part)
    left.plot([row.relative_error for row in rows], places, "|", color=style.INK, markersize=12, label="error")
    left.set(title="Parts of the error", xlabel="relative to the activation")
    left.set_yticks(places, [style.label(row.name) for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.legend()
    right.plot([row.correlation for row in rows], places, "o", color=style.SNN, markersize=4)
    right.set(title="Correlation", xlabel="Pearson r")
    # Correlations are long numbers, near 1: more ticks than these would overlap.
    right.xaxis.set_major_locator(MaxNLocator(2))
    return figure
