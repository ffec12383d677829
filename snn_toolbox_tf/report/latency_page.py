"""Writes the report of a run in latency code."""

import json
import pathlib

from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.report.html import Tile, environment
from snn_toolbox_tf.report.latency_record import LatencyRunRecord
from snn_toolbox_tf.report.page_tables import Table
from snn_toolbox_tf.report.text import fixed, number, percent, quantity, setting


def write_latency_report(folder: pathlib.Path, record: LatencyRunRecord) -> pathlib.Path:
    """Writes report.html, report.json and summary.txt into a folder; returns the path of the page."""
    contents = {
        "report.html": _page(record),
        "report.json": json.dumps(record.as_json(), indent=1, allow_nan=False) + "\n",
        "summary.txt": record.text() + "\n",
    }
    for name, text in contents.items():
        with atomic_files.replacing(folder / name) as file:
            file.write(text.encode())
    return folder / "report.html"


def _page(record: LatencyRunRecord) -> str:
    tables = (record.output_rows(), record.population_rows(), record.operation_rows())
    outputs, populations, operations = (Table(columns, rows) for columns, rows in tables)
    groups = {
        "Conversion": {key: setting(value) for key, value in record.conversion.items()},
        **{f"Settings: {name}": {k: setting(v) for k, v in values.items()} for name, values in record.settings.items()},
        "Seconds": {stage: fixed(seconds, 2) for stage, seconds in record.seconds.items()},
    }
    return (
        environment()
        .get_template("latency.html.jinja")
        .render(
            record=record,
            tiles=_tiles(record),
            outputs=outputs,
            populations=populations,
            operations=operations,
            groups=groups,
        )
    )


def _tiles(record: LatencyRunRecord) -> list[Tile]:
    tiles = []
    for output in record.outputs[:3]:
        suffix = f": {output.name}" if len(record.outputs) > 1 else ""
        if output.ann_accuracy is not None:
            tiles.append(Tile(f"ANN accuracy{suffix}", percent(output.ann_accuracy), "on the same samples"))
        if output.accuracy is not None:
            tiles.append(Tile(f"SNN accuracy{suffix}", percent(output.accuracy)))
        if output.agreement is not None:
            tiles.append(Tile(f"Agreement with the ANN{suffix}", percent(output.agreement), "of the decisions"))
        else:
            tiles.append(Tile(f"Relative error{suffix}", number(output.relative_error, 3)))
    operations = record.synaptic_operations + record.multiply_accumulates
    return [
        *tiles,
        Tile("Spikes per neuron", fixed(record.spikes_per_neuron, 4), "per sample, at most 1"),
        Tile("Latency", f"{record.latency:,.6g}", record.time.partition(" ")[2]),
        Tile("SNN operations per sample", quantity(operations)),
        Tile("ANN MACs per sample", quantity(record.ann_multiply_accumulates)),
        Tile("Samples", f"{record.samples:,}"),
    ]
