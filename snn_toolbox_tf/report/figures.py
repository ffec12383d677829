"""Figures of a run that belong to no window: curves, bars and matrices of the whole data set."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter

from snn_toolbox_tf.report import output_figures, small_multiples, style, trace_figures
from snn_toolbox_tf.report.measures import MEASURES, score_of
from snn_toolbox_tf.report.record import OutputRecord, RunRecord
from snn_toolbox_tf.report.text import percent

#: Outputs with a panel of their own, and bars in one figure; beyond that, some are chosen evenly.
_MOST_OUTPUTS, _MOST_BARS = 8, 100

#: Width of a figure that shares the report's width with another, in inches.
_HALF = 5.25


def figures(record: RunRecord, wanted: Collection[str] | None = None) -> dict[str, Figure]:
    """Draws everything that the record has data for.

    Args:
        record: The run.
        wanted: Names of the figures to draw; None for all.

    Returns:
        Figures by name, in the report's order.

    Raises:
        ValueError: If a wanted name is no figure's name.
    """
    unknown = sorted(set(wanted or ()) - set(FIGURES))
    if unknown:
        raise ValueError(f"Expected figures among {', '.join(FIGURES)}. Received: {', '.join(unknown)}")
    if wanted is None:
        # Without any classes, the figure of accuracies shows the relative errors, and one such figure is enough.
        has_classes = any(
            output.accuracy is not None or output.agreement is not None or output.measures for output in record.outputs
        )
        wanted = [name for name in FIGURES if name != "error" or has_classes]
    drawn = {name: draw(record) for name, draw in FIGURES.items() if name in wanted}
    return {name: figure for name, figure in drawn.items() if figure is not None}


@style.styled()
def accuracy(record: RunRecord) -> Figure:
    """Draws accuracy and agreement with the ANN against timesteps; the relative error of outputs without classes."""
    figure, panels = _output_panels(record)
    for axes, output in panels:
        if score_of(output) is not None:
            _draw_score(axes, record, output)
        elif output.accuracy is None and output.agreement is None:
            _draw_error(axes, record, output)
        else:
            _draw_accuracy(axes, record, output)
    return figure


@style.styled()
def error(record: RunRecord) -> Figure:
    """Draws the relative error of every output against timesteps."""
    figure, panels = _output_panels(record)
    for axes, output in panels:
        _draw_error(axes, record, output)
    return figure


@style.styled()
def early_exit(record: RunRecord) -> Figure | None:
    """Draws accuracy against mean timesteps, where samples answer when they are sure, beside that at fixed timesteps."""
    with_curve = [output for output in record.outputs if output.early_exit]
    if not with_curve:
        return None
    figure, panels = _output_panels(record, with_curve)
    for axes, output in panels:
        _draw_early_exit(axes, record, output)
    return figure


def _output_panels(
    record: RunRecord, chosen: Sequence[OutputRecord] | None = None
) -> tuple[Figure, list[tuple[Axes, OutputRecord]]]:
    outputs = style.evenly(record.outputs if chosen is None else chosen, _MOST_OUTPUTS)
    columns = min(len(outputs), 2)
    rows = -(-len(outputs) // columns)
    figure = Figure(figsize=(_HALF if columns == 1 else style.WIDTH, 3.5 * rows), layout="constrained")
    note = style.chosen(len(outputs), len(record.outputs), "outputs")
    if note:
        style.headline(figure, f"Outputs{note}")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for unused in list(grid)[len(outputs) :]:
        unused.remove()
    return figure, list(zip(figure.axes, outputs, strict=True))


def _title(record: RunRecord, output: OutputRecord, what: str) -> str:
    return f"{what}: {style.label(output.name)}" if len(record.outputs) > 1 else what


def _draw_curve(axes: Axes, record: RunRecord, values: np.ndarray, color: str, text: str, width: float = 1.8) -> None:
    marker: dict[str, Any] = {"marker": "o", "markersize": 5 if len(values) == 1 else 2.8} if len(values) <= 40 else {}
    axes.plot(record.timesteps, values, color=color, label=text, linewidth=width, clip_on=False, zorder=3, **marker)
    axes.set_xlabel("timesteps")
    style.timestep_axis(axes, int(record.timesteps[0]), int(record.timesteps[-1]), logarithmic=True)


def _draw_accuracy(axes: Axes, record: RunRecord, output: OutputRecord) -> None:
    top = f"Top-{output.top_k} accuracy" if output.top_k > 1 else "Accuracy"
    if output.agreement is not None:
        text = f"SNN decides as the ANN, {percent(output.agreement[-1])}"
        _draw_curve(axes, record, 100 * output.agreement, style.SNN_LIGHT, text, 1.4)
    if output.ann_accuracy is not None:
        text = f"ANN, {percent(output.ann_accuracy)}"
        axes.axhline(100 * output.ann_accuracy, color=style.ANN, linestyle=(0, (5, 3)), linewidth=1.4, label=text)
    if output.accuracy is not None:
        _draw_curve(axes, record, 100 * output.accuracy, style.SNN, f"SNN, {percent(output.accuracy[-1])}")
    axes.set_title(_title(record, output, top if output.accuracy is not None else "Agreement with the ANN"))
    axes.set_ylabel("samples (%)")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0) if low > 15 else 0.0, min(high, 100.0))
    handles, texts = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], texts[::-1], loc="best")


def _draw_score(axes: Axes, record: RunRecord, output: OutputRecord) -> None:
    """R² or IoU over time, as far as it says something: what is below 0 is worse than a constant."""
    name = score_of(output) or ""
    measure = MEASURES[name]
    factor = 100 if measure.kind == "share" else 1
    if name in output.ann_measures:
        ann = output.ann_measures[name]
        text = f"ANN, {measure.text(ann)}"
        axes.axhline(factor * ann, color=style.ANN, linestyle=(0, (5, 3)), linewidth=1.4, label=text)
    values = np.where(output.measures[name] >= 0, factor * output.measures[name], np.nan)
    _draw_curve(axes, record, values, style.SNN, f"SNN, {measure.text(output.measures[name][-1])}")
    axes.set_title(_title(record, output, measure.title))
    axes.set_ylabel(f"{measure.lower}{' (%)' if factor > 1 else ''}")
    axes.legend(loc="best")


def _draw_early_exit(axes: Axes, record: RunRecord, output: OutputRecord) -> None:
    if output.ann_accuracy is not None:
        text = f"ANN, {percent(output.ann_accuracy)}"
        axes.axhline(100 * output.ann_accuracy, color=style.ANN, linestyle=(0, (5, 3)), linewidth=1.4, label=text)
    if output.accuracy is not None:
        _draw_curve(axes, record, 100 * output.accuracy, style.SNN_LIGHT, "all after the same time", 1.4)
    timesteps, right = output.early_exit["mean_timesteps"], 100 * output.early_exit["accuracy"]
    text = "each when it is sure, by the confidence asked for"
    axes.plot(timesteps, right, color=style.SNN, label=text, linewidth=1.8, marker="o", markersize=2.8, zorder=4)
    axes.set_title(_title(record, output, "Accuracy with early exit"))
    axes.set(xlabel="mean timesteps until the answer", ylabel="samples (%)")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0) if low > 15 else 0.0, min(high, 100.0))
    handles, texts = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], texts[::-1], loc="best")


def _draw_error(axes: Axes, record: RunRecord, output: OutputRecord) -> None:
    # A logarithmic axis has no place for zero: an exact output has no point.
    values = np.where(output.relative_error > 0, output.relative_error, np.nan)
    _draw_curve(axes, record, values, style.SNN, "SNN")
    axes.set_title(_title(record, output, "Relative error of the output"))
    axes.set_ylabel("‖SNN − ANN‖ / ‖ANN‖")  # noqa: RUF001
    if not np.isfinite(values).any():
        axes.set_yticks([])
        text = "exactly 0 at every timestep" if (output.relative_error == 0).all() else "not defined"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=style.MUTED)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        low, high = np.nanmin(values), np.nanmax(values)
        # Whole decades, so that there is always a labelled tick at both ends.
        axes.set_ylim(10.0 ** np.floor(np.log10(low) - 1e-3), 10.0 ** np.ceil(np.log10(high) + 1e-3))


@style.styled()
def firing_rates(record: RunRecord) -> Figure | None:
    """Draws each population's mean firing rate, with the fractions of dead and saturated neurons beside."""
    if not record.populations:
        return None
    shown = style.evenly(record.populations, _MOST_BARS)
    figure = Figure(figsize=(style.WIDTH, 1.15 + 0.27 * len(shown)), layout="constrained")
    rates, ends = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1])
    places = np.arange(len(shown))
    rates.barh(places, [population.firing_rate for population in shown], height=0.66, color=style.SNN)
    rates.set_yticks(places, [style.label(population.name, 34) for population in shown])
    rates.set(xlabel="mean firing rate (spikes per neuron and timestep)", ylim=(len(shown) - 0.4, -0.6))
    style.headline(figure, "Firing rates" + style.chosen(len(shown), len(record.populations), "populations"))
    dead = np.array([100 * population.dead for population in shown])
    ends.barh(places, dead, height=0.66, color="#c3c8d0", label="dead: never spike")
    saturated = [100 * population.saturated for population in shown]
    ends.barh(places, saturated, left=dead, height=0.66, color=style.ATTENTION, label="saturated: always spike")
    ends.set(xlabel="neurons (%)", xlim=(0, 100))
    _legend_above(ends)
    for axes in (rates, ends):
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    return figure


@style.styled()
def operations(record: RunRecord) -> Figure | None:
    """Draws MACs of the ANN against synaptic operations and MACs of the SNN, synapse by synapse."""
    if not record.synapses:
        return None
    shown = style.evenly(record.synapses, _MOST_BARS)
    figure = Figure(figsize=(style.WIDTH, 1.3 + 0.4 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    series = [
        ("ANN: MACs", style.ANN, -0.19, [synapse.connections for synapse in shown]),
        ("SNN: additions (synaptic operations)", style.SNN, 0.19, [synapse.synaptic_operations for synapse in shown]),
        # A synapse of the SNN either adds or multiplies: both kinds share one row.
        ("SNN: MACs", style.SNN_LIGHT, 0.19, [synapse.multiply_accumulates for synapse in shown]),
    ]
    positive = np.array([value for *_, values in series for value in values if value > 0])
    logarithmic = len(positive) > 0 and positive.max() > 30 * positive.min()
    for text, color, offset, values in series:
        if any(values):
            axes.barh(places + offset, values, height=0.36, color=color, label=text)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(left=10.0 ** np.floor(np.log10(positive.min()) - 0.3))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_yticks(places, [style.label(synapse.name, 34) for synapse in shown])
    axes.set(xlabel="operations per sample" + (", logarithmic" if logarithmic else ""), ylim=(len(shown) - 0.4, -0.6))
    style.headline(figure, "Operations per sample" + style.chosen(len(shown), len(record.synapses), "synapses"))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    _legend_above(axes)
    return figure


def _legend_above(axes: Axes) -> None:
    # Inside, it would lie on the bars.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handlelength=1, columnspacing=1.6)


@style.styled()
def confusion(record: RunRecord) -> Figure | None:
    """Draws the confusion matrix of every output that has one: rows in per cent of their class, counts as text."""
    with_matrix = [output for output in record.outputs if output.confusion is not None]
    if not with_matrix:
        return None
    outputs = style.evenly(with_matrix, _MOST_OUTPUTS)
    columns = min(len(outputs), 2)
    rows = -(-len(outputs) // columns)
    classes = max(len(output.confusion) for output in outputs if output.confusion is not None)
    size = style.WIDTH / 2 if columns > 1 else float(np.clip(1.8 + 0.42 * classes, 3.4, 7.6))
    figure = Figure(figsize=(columns * size, rows * 0.9 * size), layout="constrained")
    for position, output in enumerate(outputs):
        axes = figure.add_subplot(rows, columns, position + 1)
        _draw_confusion(axes, np.asarray(output.confusion), columns > 1)
        axes.set_title(_title(record, output, "Confusion matrix"))
    return figure


def _draw_confusion(axes: Axes, matrix: np.ndarray, small: bool) -> None:
    classes = len(matrix)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = 100 * matrix / np.maximum(totals, 1)
    image = axes.imshow(shares, cmap=style.SHADES, vmin=0, vmax=100, interpolation="nearest", rasterized=classes > 20)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8, aspect=24, pad=0.02)
    bar.set_label("samples of the true class (%)")
    bar.outline.set_visible(False)
    step = -(-classes // 20)
    axes.set_xticks(range(0, classes, step))
    axes.set_yticks(range(0, classes, step))
    axes.set(xlabel="decision of the SNN", ylabel="true class")
    axes.grid(visible=False)
    if classes > 20:
        return
    digits = max(len(f"{matrix.max()}"), 2)
    points = min(9.5, (220 if small else 360) / (classes * digits))
    for (row, column), samples in np.ndenumerate(matrix):
        if samples:
            color = "white" if shares[row, column] > 45 else style.INK
            axes.text(column, row, f"{samples}", ha="center", va="center", color=color, fontsize=points)


FIGURES: dict[str, Callable[[RunRecord], Figure | None]] = {
    "accuracy": accuracy,
    "error": error,
    "early_exit": early_exit,
    "firing_rates": firing_rates,
    "rate_histograms": small_multiples.rate_histograms,
    "correlation": small_multiples.correlation,
    "operations": operations,
    "raster": trace_figures.raster,
    "membrane": trace_figures.membrane,
    "confusion": confusion,
    "input": trace_figures.input_image,
    "outputs": output_figures.outputs,
}
