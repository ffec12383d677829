"""The report's numbers as CSV, for spreadsheets and other programs."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.report.key_numbers import operations, operations_of
from snn_toolbox_tf.report.record import RunRecord


def tables(record: RunRecord) -> dict[str, str]:
    """Returns all tables as CSV text by file name; numbers in full precision, empty where there is none."""
    return {
        "timesteps.csv": _timesteps(record),
        "populations.csv": _populations(record),
        **_neurons(record),
        "synapses.csv": _synapses(record),
        "operations.csv": csv_text(["quantity", "per_sample"], operations(record).as_dict().items()),
        **_early_exit(record),
        **_by_class(record),
        **_by_unit(record),
    }


def _timesteps(record: RunRecord) -> str:
    columns: dict[str, Any] = {"timesteps": record.timesteps}
    for output in record.outputs:
        curves = {
            "accuracy": output.accuracy,
            "agreement": output.agreement,
            "relative_error": output.relative_error,
            **output.measures,
        }
        for quantity, values in curves.items():
            if values is not None:
                columns[f"{output.name}:{quantity}"] = values
    return csv_text(list(columns), zip(*columns.values(), strict=True))


def _early_exit(record: RunRecord) -> dict[str, str]:
    """A row per confidence; networks of several outputs have no early exit."""
    curve = next((output.early_exit for output in record.outputs if output.early_exit), None)
    return {"early_exit.csv": csv_text(list(curve), zip(*curve.values(), strict=True))} if curve else {}


def _populations(record: RunRecord) -> str:
    columns = [
        "population",
        "shape",
        "neurons",
        "threshold_min",
        "threshold_median",
        "threshold_max",
        "firing_rate",
        "dead",
        "saturated",
        "clipped",
        "correlation",
        "relative_error",
        "clipping",
        "quantisation",
        "unevenness",
        "added",
        "neuron",
        "cause",
    ]
    rows = [
        [
            population.name,
            "x".join(str(size) for size in population.shape),
            math.prod(population.shape),
            *population.threshold,
            population.firing_rate,
            population.dead,
            population.saturated,
            population.clipped,
            population.correlation,
            population.relative_error,
            population.clipping,
            population.quantisation,
            population.unevenness,
            population.added,
            population.neuron,
            population.cause,
        ]
        for population in record.populations
    ]
    return csv_text(columns, rows)


def _neurons(record: RunRecord) -> dict[str, str]:
    """A row per population, a column per parameter that any of them has."""
    names = list(dict.fromkeys(key for neuron in record.neurons for key in (*neuron.parameters, *neuron.per_timestep)))
    rows = []
    for neuron in record.neurons:
        known = {**neuron.parameters, **neuron.per_timestep}
        values = [known.get(name, "") for name in names]
        rows += [[population, neuron.model, *values] for population in neuron.populations]
    return {"neurons.csv": csv_text(["population", "model", *names], rows)} if rows else {}


def _synapses(record: RunRecord) -> str:
    columns = [
        "synapse",
        "reads",
        "runs",
        "why",
        "connections",
        "mean_fan_out",
        "synaptic_operations",
        "multiply_accumulates",
        "operations_per_ann_mac",
    ]
    rows = [
        [
            synapse.name,
            synapse.reads,
            synapse.runs,
            synapse.why,
            synapse.connections,
            synapse.mean_fan_out,
            synapse.synaptic_operations,
            synapse.multiply_accumulates,
            operations_of(synapse).operations_per_ann_mac,
        ]
        for synapse in record.synapses
    ]
    return csv_text(columns, rows)


def _by_class(record: RunRecord) -> dict[str, str]:
    """Two tables per output: the matrix, whose rows are true classes and whose columns are decisions, and the scores."""
    texts: dict[str, str] = {}
    for output in record.outputs:
        if output.confusion is None:
            continue
        ending = ""
        if len(record.outputs) > 1:
            # Layer names may hold characters that file names cannot, and may then coincide.
            ending = "_" + re.sub(r"[^\w.-]+", "_", output.name)
            ending += f"_{len(texts)}" if f"confusion{ending}.csv" in texts else ""
        rows = [[true, *row] for true, row in enumerate(output.confusion)]
        texts[f"confusion{ending}.csv"] = csv_text(["true_class", *range(len(output.confusion))], rows)
        if output.class_scores:
            columns = output.confusion.sum(axis=1), *output.class_scores.values()
            rows = [[true, *row] for true, row in enumerate(zip(*columns, strict=True))]
            texts[f"classes{ending}.csv"] = csv_text(["class", "samples", *output.class_scores], rows)
    return texts


def _by_unit(record: RunRecord) -> dict[str, str]:
    """A table for each output that is no classes: a row per number, or per class of a segmentation."""
    texts: dict[str, str] = {}
    for place, output in enumerate(record.outputs):
        if output.by_unit:
            what = "class" if output.task == "segmentation" else "unit"
            rows = [[number, *row] for number, row in enumerate(zip(*output.by_unit.values(), strict=True))]
            ending = f"_{place}" if len(record.outputs) > 1 else ""
            texts[f"measures{ending}.csv"] = csv_text([what, *output.by_unit], rows)
    return texts


def csv_text(columns: Sequence[Any], rows: Iterable[Iterable[Any]]) -> str:
    """Returns a table as CSV; numbers in full precision, empty where there is none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return file.getvalue()


def _cell(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return "" if isinstance(plain, float) and not math.isfinite(plain) else plain
