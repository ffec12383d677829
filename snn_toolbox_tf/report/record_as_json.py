"""What a report shows as JSON data."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.report.key_numbers import operations
from snn_toolbox_tf.report.latency_record import LatencyRunRecord
from snn_toolbox_tf.report.record import RunRecord


def record_as_json(record: RunRecord | LatencyRunRecord) -> dict[str, Any]:
    """Returns the record as JSON data: without the scatter's points, and with names where trace.npz has the arrays."""
    if isinstance(record, LatencyRunRecord):
        return record.as_json()
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    values["populations"] = [
        {name: value for name, value in vars(population).items() if name not in ("activation", "decoded")}
        for population in record.populations
    ]
    values["outputs"] = [
        {name: value for name, value in vars(output).items() if name != "shown"} for output in record.outputs
    ]
    values["energies"] = [found.as_dict() for found in record.energies]
    values["operations"] = operations(record).as_dict()
    if record.trace is not None:
        values["trace"] = {
            "sample": record.trace.sample,
            "rasters": {name: f"raster_{place}" for place, name in enumerate(record.trace.rasters)},
            "membranes": [
                {"population": population, "index": index, "arrays": f"membrane_{place}"}
                for place, (population, index, _, _) in enumerate(record.trace.membranes)
            ],
        }
    return plain(values)


def plain(value: Any) -> Any:
    """Returns only what JSON knows: numbers that are none become null, and what is unknown becomes text."""
    if dataclasses.is_dataclass(value):
        return {name: plain(inner) for name, inner in vars(value).items()}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
