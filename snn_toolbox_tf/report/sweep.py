"""A parameter sweep as one table and one plot: HTML, PNG, CSV and JSON."""

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.report import style
from snn_toolbox_tf.report.html import embedded, environment
from snn_toolbox_tf.report.sweep_table import Row, columns_of, sweep_table
from snn_toolbox_tf.report.tables import csv_text
from snn_toolbox_tf.report.text import setting

#: What the left panel shows: the first of these that there is.
_QUALITIES = {
    "accuracy": ("Accuracy", "accuracy (%)", 100.0),
    "mean_iou": ("Mean IoU", "mean IoU (%)", 100.0),
    "mean_box_iou": ("Mean IoU of boxes", "mean IoU of boxes (%)", 100.0),
    "r2": ("R²", "R²", 1.0),
    "agreement": ("Agreement with the ANN", "samples (%)", 100.0),
    "relative_error": ("Relative error of the output", "relative error", 1.0),
}


def _quality(rows: Sequence[Row]) -> str:
    return next(key for key in _QUALITIES if columns_of(rows, key))


@style.styled()
def sweep_figure(name: str, rows: Sequence[Row], *, logarithmic: bool) -> Figure:
    """Draws accuracy (or IoU, R², agreement with the ANN, relative error) and operations against a setting.

    Args:
        name: The setting.
        rows: The sweep's table.
        logarithmic: Whether the setting's axis is logarithmic.
    """
    figure = Figure(figsize=(style.WIDTH, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    quality = _quality(rows)
    title, label, factor = _QUALITIES[quality]
    for place, key in enumerate(columns_of(rows, quality)):
        output = key.partition("/")[2]
        colour = (style.SNN, style.ATTENTION, style.SNN_LIGHT)[place % 3]
        line = {"color": colour, "marker": "o", "markersize": 4, "label": f"SNN {output}".strip()}
        _plot(left, name, rows, key, factor, line, logarithmic)
    for key in columns_of(rows, f"ann_{quality}"):
        line = {"color": style.ANN, "linestyle": "--", "label": f"ANN {key.partition('/')[2]}".strip()}
        _plot(left, name, rows, key, factor, line, logarithmic)
    left.set(title=title, ylabel=label)
    left.legend()
    _plot(
        right,
        name,
        rows,
        "operations_per_ann_mac",
        1.0,
        {"color": style.SNN, "marker": "o", "markersize": 4},
        logarithmic,
    )
    right.set(title="SNN operations per ANN MAC", ylabel="(additions + MACs) / MACs of the ANN")
    right.set_ylim(bottom=0)
    return figure


def _plot(
    axes: Axes, name: str, rows: Sequence[Row], key: str, factor: float, line: dict[str, Any], logarithmic: bool
) -> None:
    settings = [row[name] for row in rows]
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in settings)
    places = settings if numeric else list(range(len(rows)))
    axes.plot(places, [math.nan if row.get(key) is None else factor * row[key] for row in rows], **line)
    axes.set_xlabel(style.label(name))
    if numeric and logarithmic and min(settings) > 0:
        axes.set_xscale("log")
        # The values themselves, as the powers of ten between them say little.
        axes.set_xticks(style.evenly(settings, 8), [f"{value:g}" for value in style.evenly(settings, 8)])
        axes.xaxis.set_minor_locator(NullLocator())
    elif not numeric:
        axes.set_xticks(places, [style.label(str(value), 14) for value in settings])


def write_sweep_report(
    folder: pathlib.Path,
    title: str,
    name: str,
    rows: Sequence[Row],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    logarithmic: bool,
) -> None:
    """Writes report.html, sweep.png, sweep.csv and sweep.json.

    Args:
        folder: Where to write.
        title: Name of the source model.
        name: The setting that was varied.
        rows: One row per value; "folder" names the folder of its run.
        settings: All settings by section and key; that of `name` is not the only value.
        logarithmic: Whether the setting's axis is logarithmic.
    """
    figure = sweep_figure(name, rows, logarithmic=logarithmic)
    page = (
        environment()
        .get_template("sweep.html.jinja")
        .render(
            title=title,
            name=name,
            contents=sweep_table(name, rows),
            folders=[row["folder"] for row in rows],
            picture=embedded(
                figure, f"{_QUALITIES[_quality(rows)][0]} and operations per MAC of the ANN against {name}"
            ),
            groups={
                section: {key: setting(value) for key, value in values.items()} for section, values in settings.items()
            },
            versions=versions(),
        )
    )
    data = {"param_name": name, "settings": settings, "table": list(rows), "versions": versions()}
    contents = {
        "report.html": page.encode(),
        "sweep.png": style.image(figure, "png", dpi=150),
        "sweep.csv": csv_text(list(rows[0]), (row.values() for row in rows)).encode(),
        "sweep.json": json.dumps(data, indent=1, allow_nan=False, default=str).encode(),
    }
    for file_name, content in contents.items():
        with atomic_files.replacing(folder / file_name) as file:
            file.write(content)
