"""The figure of an energy balance."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from snn_toolbox_tf.report import style

if TYPE_CHECKING:
    from snn_toolbox_tf.costs.energy import Energy


@style.styled()
def bars(found: "Energy") -> Figure:
    """Draws what a spiking network and its baselines spend, divided into operations, memory and addresses."""
    parts = {f"SNN, {found.hardware.name}": found.lines, **{one.name: one.lines for one in found.baselines}}
    names = dict.fromkeys(line.name for lines in parts.values() for line in lines)
    colors = style.SHADES(np.linspace(0.9, 0.2, max(len(names), 1)))
    figure = Figure(figsize=(style.WIDTH, 1.4 + 0.5 * len(parts)), layout="constrained")
    axes = figure.subplots()
    starts = np.zeros(len(parts))
    for name, color in zip(names, colors, strict=True):
        values = np.array([sum(line.energy for line in lines if line.name == name) for lines in parts.values()]) / 1e3
        axes.barh(list(parts), values, left=starts, color=color, label=name, height=0.6)
        starts += values
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="energy of a sample (nJ)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
