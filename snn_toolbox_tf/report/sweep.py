"""A parameter sweep as one table and one plot: HTML, PNG, CSV and JSON."""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snn_toolbox_tf import files
from snn_toolbox_tf.report import style
from snn_toolbox_tf.report.html import embedded, environment
from snn_toolbox_tf.report.page_tables import Table
from snn_toolbox_tf.report.text import number, percent, quantity
from snn_toolbox_tf.report.versions import versions

Row = dict[str, Any]

#: How the columns of a sweep's table are called; the first is the setting itself.
_COLUMNS = {
    "accuracy": "SNN accuracy",
    "ann_accuracy": "ANN accuracy",
    "agreement": "agreement",
    "relative_error": "relative error",
    "firing_rate": "firing rate",
    "synaptic_operations": "synaptic operations",
    "multiply_accumulates": "MACs",
}
_FRACTIONS = ("accuracy", "ann_accuracy", "agreement")
_LARGE = ("synaptic_operations", "multiply_accumulates")


@style.styled()
def sweep_figure(name: str, rows: Sequence[Row], *, logarithmic: bool) -> Figure:
    """Draws accuracy (or agreement with the ANN, or relative error) and synaptic operations against a setting.

    Args:
        name: The setting.
        rows: The sweep's table.
        logarithmic: Whether the setting's axis is logarithmic.
    """
    figure = Figure(figsize=(style.WIDTH, 3.8), layout="constrained")
    quality, cost = figure.subplots(1, 2)
    if rows[0]["accuracy"] is not None:
        _plot(quality, name, rows, "accuracy", 100, "SNN", logarithmic)
        if rows[0]["ann_accuracy"] is not None:
            _plot(quality, name, rows, "ann_accuracy", 100, "ANN", logarithmic)
        quality.set(title="Accuracy", ylabel="accuracy (%)")
        quality.legend()
    elif rows[0]["agreement"] is not None:
        _plot(quality, name, rows, "agreement", 100, "SNN", logarithmic)
        quality.set(title="Agreement with the ANN", ylabel="samples (%)")
    else:
        _plot(quality, name, rows, "relative_error", 1, "SNN", logarithmic)
        quality.set(title="Relative error of the output", ylabel="relative error")
    _plot(cost, name, rows, "synaptic_operations", 1e-6, "SNN", logarithmic)
    cost.set(title="Synaptic operations per sample", ylabel="millions")
    cost.set_ylim(bottom=0)
    return figure


def _plot(axes: Axes, name: str, rows: Sequence[Row], key: str, factor: float, label: str, logarithmic: bool) -> None:
    settings = [row[name] for row in rows]
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in settings)
    places = settings if numeric else list(range(len(rows)))
    ann = label == "ANN"
    axes.plot(
        places,
        [factor * row[key] for row in rows],
        color=style.ANN if ann else style.SNN,
        linestyle="--" if ann else "-",
        marker="" if ann else "o",
        markersize=4,
        label=label,
    )
    axes.set_xlabel(style.label(name))
    if not numeric:
        axes.set_xticks(places, [style.label(str(value), 14) for value in settings])
    elif logarithmic and min(settings) > 0:
        axes.set_xscale("log")


def sweep_as_text(name: str, rows: Sequence[Row]) -> str:
    """Returns the table as plain text."""
    table = _table(name, rows)
    widths = [max(len(row[column]) for row in [table.columns, *table.rows]) for column in range(len(table.columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in [table.columns, *table.rows]
    )


def _table(name: str, rows: Sequence[Row]) -> Table:
    columns = {key: title for key, title in _COLUMNS.items() if rows[0][key] is not None}
    cells = [[_value(row[name]), *(_cell(key, row[key]) for key in columns)] for row in rows]
    return Table([name, *columns.values()], cells)


def _cell(key: str, value: float) -> str:
    if key in _FRACTIONS:
        return percent(value)
    return quantity(value) if key in _LARGE else number(value)


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def write_sweep_report(folder: pathlib.Path, title: str, name: str, rows: Sequence[Row], *, logarithmic: bool) -> None:
    """Writes report.html, sweep.png, sweep.csv and sweep.json.

    Args:
        folder: Where to write.
        title: Name of the source model.
        name: The setting that was varied.
        rows: One row per value; "folder" names the folder of its run.
        logarithmic: Whether the setting's axis is logarithmic.
    """
    figure = sweep_figure(name, rows, logarithmic=logarithmic)
    page = (
        environment()
        .get_template("sweep.html.jinja")
        .render(
            title=title,
            name=name,
            contents=_table(name, rows),
            folders=[row["folder"] for row in rows],
            samples=rows[0]["samples"],
            picture=embedded(figure, f"Accuracy and synaptic operations against {name}"),
            versions=versions(),
        )
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    contents = {
        "report.html": page.encode(),
        "sweep.png": style.image(figure, "png", dpi=150),
        "sweep.csv": text.getvalue().encode(),
        "sweep.json": json.dumps({"param_name": name, "table": list(rows), "versions": versions()}, indent=1).encode(),
    }
    for file_name, content in contents.items():
        with files.replacing(folder / file_name) as file:
            file.write(content)
