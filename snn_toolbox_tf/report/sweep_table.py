"""The table of a parameter sweep: one row per value."""

from collections.abc import Sequence
from typing import Any

from snn_toolbox_tf.costs.text import joules
from snn_toolbox_tf.report.measures import MEASURES
from snn_toolbox_tf.report.page_tables import Table
from snn_toolbox_tf.report.text import MISSING, aligned, number, percent, quantity

Row = dict[str, Any]

#: How the columns of a sweep's table are called; the first is the setting itself.
_COLUMNS = {
    "samples": "samples",
    "accuracy": "SNN accuracy",
    "ann_accuracy": "ANN accuracy",
    "agreement": "agreement",
    "relative_error": "relative error",
    **{name: f"SNN {measure.lower}" for name, measure in MEASURES.items()},
    **{f"ann_{name}": f"ANN {measure.lower}" for name, measure in MEASURES.items()},
    "firing_rate": "firing rate",
    "spikes_per_neuron": "spikes per neuron",
    "latency": "latency",
    "synaptic_operations": "synaptic operations",
    "multiply_accumulates": "MACs",
    "operations_per_ann_mac": "operations per ANN MAC",
    "energy": "energy",
}
_FRACTIONS = ("accuracy", "ann_accuracy", "agreement")
_LARGE = ("synaptic_operations", "multiply_accumulates")


def sweep_as_text(name: str, rows: Sequence[Row]) -> str:
    """Returns the table as plain text."""
    table = sweep_table(name, rows)
    return aligned(table.columns, table.rows, texts=0)


def sweep_table(name: str, rows: Sequence[Row]) -> Table:
    """Returns the table, as it is shown."""
    columns = {
        key: f"{title} ({key.partition('/')[2]})" if "/" in key else title
        for quantity_name, title in _COLUMNS.items()
        for key in columns_of(rows, quantity_name)
    }
    cells = [[_value(row[name]), *(_cell(key.partition("/")[0], row.get(key)) for key in columns)] for row in rows]
    return Table([name, *columns.values()], cells)


def _cell(quantity_name: str, value: float | None) -> str:
    if value is None:
        return MISSING
    measure = MEASURES.get(quantity_name.removeprefix("ann_"))
    if measure is not None:
        return measure.text(value)
    if quantity_name in _FRACTIONS:
        return percent(value)
    if quantity_name == "energy":
        return joules(value)
    if quantity_name == "samples":
        return f"{value:,}"
    return quantity(value) if quantity_name in _LARGE else number(value)


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def columns_of(rows: Sequence[Row], quantity_name: str) -> list[str]:
    """Returns the columns of a quantity, one per output, that any run has: not all data may have labels."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [
        key for key in keys if key.partition("/")[0] == quantity_name and any(row.get(key) is not None for row in rows)
    ]
