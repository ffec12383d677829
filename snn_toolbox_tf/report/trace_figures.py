"""Figures of the one sample that was recorded neuron by neuron."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snn_toolbox_tf.report import style
from snn_toolbox_tf.report.record import RunRecord

#: Neurons with a panel of their own.
_MOST_NEURONS = 12


@style.styled()
def raster(record: RunRecord) -> Figure | None:
    """Draws every spike of the recorded neurons, populations from top to bottom."""
    if record.trace is None or not record.trace.rasters:
        return None
    rasters = list(record.trace.rasters.items())
    shown = style.evenly(rasters)
    band = float(np.clip(7.2 / len(shown), 0.34, 0.9))
    figure = Figure(figsize=(style.WIDTH, 1.0 + band * len(shown)), layout="constrained")
    axes = figure.subplots()
    timesteps = max(len(spikes) for _, (_, spikes) in shown)
    for place, (_, (_, spikes)) in enumerate(shown):
        _draw_band(axes, spikes, place, band)
        if place:
            axes.axhline(place, color=style.LINE, linewidth=0.8, zorder=0)
    places = np.arange(len(shown)) + 0.5
    labels = [f"{style.label(name, 30)}  ({_neurons(len(neurons))})" for name, (neurons, _) in shown]
    axes.set_yticks(places, labels)
    axes.set(xlabel="timestep", xlim=(0.5, timesteps + 0.5), ylim=(len(shown), 0))
    style.timestep_axis(axes, 1, timesteps)
    note = style.chosen(len(shown), len(rasters), "populations")
    style.headline(figure, f"Spikes on sample {record.trace.sample:,}{note}")
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    return figure


def _neurons(number: int) -> str:
    return f"{number} neuron" if number == 1 else f"{number} neurons"


def _draw_band(axes: Axes, spikes: np.ndarray, place: int, band: float) -> None:
    timesteps, neurons = spikes.shape
    times, rows = np.nonzero(spikes)
    heights = place + 0.08 + 0.84 * (rows + 0.5) / max(neurons, 1)
    # A spike fills its row and most of its timestep, but stays visible where there are many of both.
    tall = float(np.clip(0.84 * band * 72 / max(neurons, 1) * 0.85, 1.2, 12))
    wide = float(np.clip(500 / max(timesteps, 1) * 0.6, 0.35, 3.0))
    axes.plot(
        times + 1, heights, "|", color=style.SNN, markersize=tall, markeredgewidth=wide, rasterized=len(times) > 2000
    )


@style.styled()
def membrane(record: RunRecord) -> Figure | None:
    """Draws the membrane potential of chosen neurons, with their spikes and the threshold."""
    if record.trace is None or not record.trace.membranes:
        return None
    shown = style.evenly(record.trace.membranes, _MOST_NEURONS)
    figure = Figure(figsize=(style.WIDTH, 0.9 + 1.35 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (population, index, potential, spikes) in zip(panels, shown, strict=True):
        _draw_membrane(axes, potential, spikes)
        axes.set_title(f"{style.label(population, 44)} [{index}]", fontsize=9, fontweight="normal", pad=4)
    panels[-1].set_xlabel("timestep")
    timesteps = max(len(potential) for _, _, potential, _ in shown)
    panels[-1].set_xlim(0.5, timesteps + 0.5)
    style.timestep_axis(panels[-1], 1, timesteps)
    note = style.chosen(len(shown), len(record.trace.membranes), "neurons")
    style.headline(figure, f"Membrane potential after reset on sample {record.trace.sample:,}{note}")
    figure.supylabel("potential / threshold", fontsize=9, color=style.MUTED)
    return figure


def _draw_membrane(axes: Axes, potential: np.ndarray, spikes: np.ndarray) -> None:
    timesteps = np.arange(1, len(potential) + 1)
    axes.axhline(1.0, color=style.ANN, linestyle=(0, (5, 3)), linewidth=1)
    marker: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(potential) <= 80 else {}
    axes.plot(timesteps, potential, color=style.SNN, linewidth=1.2, zorder=3, **marker)
    low, high = min(0.0, float(potential.min())), max(1.0, float(potential.max()))
    margin = 0.08 * (high - low)
    # Spikes are ticks above everything that the potential reaches.
    top = high + 3 * margin
    fired = timesteps[spikes > 0]
    axes.vlines(fired, high + margin, top, color=style.ATTENTION, linewidth=np.clip(400 / len(potential), 0.5, 1.8))
    axes.set_ylim(low - margin, top + margin / 2)
    axes.grid(axis="x", visible=False)


@style.styled()
def input_image(record: RunRecord) -> Figure | None:
    """Draws the recorded sample as an image; values are stretched to the range of the screen."""
    if record.trace is None or record.trace.input is None:
        return None
    image = np.asarray(record.trace.input, np.float64)
    low, high = float(image.min()), float(image.max())
    image = (image - low) / (high - low or 1.0)
    height, width = image.shape[:2]
    # A very long image keeps its proportions but not the whole figure.
    ratio = float(np.clip(height / width, 0.2, 3.0))
    figure = Figure(figsize=(2.6, 0.4 + 2.6 * ratio), layout="constrained")
    axes = figure.subplots()
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if max(height, width) < 300 else "auto")
    axes.set_axis_off()
    axes.set_title(f"Sample {record.trace.sample:,}")
    return figure
