"""Writes the report of a run: a page for readers, and the same numbers for programs."""

import json
import os
import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.report import html, style
from snn_toolbox_tf.report.figures import figures
from snn_toolbox_tf.report.record import RunRecord, TraceRecord
from snn_toolbox_tf.report.record_as_json import record_as_json
from snn_toolbox_tf.report.summary import summarize
from snn_toolbox_tf.report.tables import tables


def write_report(
    folder: str | os.PathLike[str], record: RunRecord, figures_wanted: Collection[str] | None = None
) -> pathlib.Path:
    """Writes report.html, report.json, summary.txt, plots/*.png, tables/*.csv and, with a traced sample, trace.npz.

    Args:
        folder: Where to; it is created. Files of the same names are replaced, others stay.
        record: The run.
        figures_wanted: Names of the figures to draw, see `snn_toolbox_tf.report.figures.figures`; None for all.

    Returns:
        The absolute path of report.html.
    """
    folder = pathlib.Path(folder).resolve()
    drawn = figures(record, figures_wanted)
    texts = {
        "report.html": html.render(record, drawn),
        "report.json": json.dumps(record_as_json(record), indent=1, allow_nan=False) + "\n",
        "summary.txt": summarize(record) + "\n",
        **{f"tables/{name}": text for name, text in tables(record).items()},
    }
    contents = {
        **{name: text.encode() for name, text in texts.items()},
        **{f"plots/{name}.png": style.image(figure, "png", dpi=150) for name, figure in drawn.items()},
    }
    for name, content in contents.items():
        with atomic_files.replacing(folder / name) as file:
            file.write(content)
    if record.trace is not None:
        with atomic_files.replacing(folder / "trace.npz") as file:
            np.savez(file, **_trace_arrays(record.trace))
    return folder / "report.html"


def _trace_arrays(trace: TraceRecord) -> dict[str, Any]:
    """Arrays by place, not by population: names of layers may be no names of files."""
    arrays: dict[str, Any] = {}
    for place, (neurons, spikes) in enumerate(trace.rasters.values()):
        arrays |= {f"raster_{place}_neurons": neurons, f"raster_{place}_spikes": spikes}
    for place, (_, _, potential, spikes) in enumerate(trace.membranes):
        arrays |= {f"membrane_{place}_potential": potential, f"membrane_{place}_spikes": spikes}
    if trace.input is not None:
        arrays["input"] = trace.input
    return arrays
