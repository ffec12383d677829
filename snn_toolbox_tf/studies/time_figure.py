"""The figure of `time_resolution`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snn_toolbox_tf.report import style

if TYPE_CHECKING:
    from snn_toolbox_tf.studies.time_resolution import TimeResolution


@style.styled()
def errors_against_time(found: "TimeResolution") -> Figure:
    """Draws errors against the length of a timestep, with a line of slope 1, and against the number of timesteps."""
    figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    shades = style.SHADES(np.linspace(0.35, 1.0, len(found.shown_errors)))
    for shade, (name, errors) in zip(shades, found.shown_errors.items(), strict=True):
        left.plot(found.dt, errors, "o-", color=shade, label=f"{name}, slope {found.dt_slopes[name].value:.2f}")
    largest = max(errors[0] for errors in found.shown_errors.values())
    left.plot(found.dt, largest * np.array(found.dt) / found.dt[0], "--", color=style.MUTED, label="slope 1")
    left.set(xlabel=f"dt (ms), {found.duration:g} ms in all", ylabel="relative error, against continuous time")
    _logarithmic(left, found.dt)
    colors = dict(zip(found.timestep_errors, (style.SNN, style.ATTENTION), strict=True))
    for name, errors in found.timestep_errors.items():
        text = f"{name}, slope {found.timestep_slopes[name].value:.2f}"
        right.plot(found.timesteps, errors, "o-", color=colors[name], label=text)
    right.set(xlabel="timesteps", ylabel="relative error, against the ANN")
    _logarithmic(right, found.timesteps)
    return figure


def _logarithmic(axes: Axes, places: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.legend(fontsize="small")
