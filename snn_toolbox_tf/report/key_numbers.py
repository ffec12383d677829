"""The few numbers that sum a run up, from its record."""

import dataclasses
import math
from typing import Any

import numpy as np

from snn_toolbox_tf.report.latency_record import LatencyRunRecord
from snn_toolbox_tf.report.measures import score_over_time
from snn_toolbox_tf.report.record import OutputRecord, RunRecord, SynapseRecord

#: How close to the ANN's accuracy (or IoU, or R²) counts as reached: one percentage point.
CLOSE = 0.01

#: The ratios of `Operations`: the whole first, then its parts.
RATIOS = ("operations_per_ann_mac", "additions_per_ann_mac", "macs_per_ann_mac")


@dataclasses.dataclass(frozen=True)
class Operations:
    """Operations per sample, summed over all synapses.

    Attributes:
        ann_multiply_accumulates: MACs of the same layers in the ANN.
        synaptic_operations: Spikes times fan-out: additions in the SNN.
        multiply_accumulates: MACs in the SNN, of synapses that read real values: once per sample for the analog input, at
            every timestep for a current.
    """

    ann_multiply_accumulates: float
    synaptic_operations: float
    multiply_accumulates: float

    @property
    def operations_per_ann_mac(self) -> float:
        """Additions and MACs of the SNN, together, per MAC of the ANN; NaN if the ANN has none.

        It counts operations, and is no energy: a MAC costs more than an addition. Its parts are never shown without it.
        """
        return self._per_ann_mac(self.synaptic_operations + self.multiply_accumulates)

    @property
    def additions_per_ann_mac(self) -> float:
        """The part of `operations_per_ann_mac` that is additions."""
        return self._per_ann_mac(self.synaptic_operations)

    @property
    def macs_per_ann_mac(self) -> float:
        """The part of `operations_per_ann_mac` that is MACs."""
        return self._per_ann_mac(self.multiply_accumulates)

    def _per_ann_mac(self, count: float) -> float:
        return count / self.ann_multiply_accumulates if self.ann_multiply_accumulates else math.nan

    def as_dict(self) -> dict[str, float | None]:
        """Returns counts and ratios by name; None for a ratio that there is not."""
        ratios = {name: getattr(self, name) for name in RATIOS}
        return {
            **dataclasses.asdict(self),
            **{name: value if math.isfinite(value) else None for name, value in ratios.items()},
        }


def operations(record: RunRecord) -> Operations:
    """Returns the operations per sample of a whole network."""
    return operations_of(*record.synapses)


def operations_of(*synapses: SynapseRecord) -> Operations:
    """Returns the operations per sample of some synapses."""
    return Operations(
        sum(synapse.connections for synapse in synapses),
        sum(synapse.synaptic_operations for synapse in synapses),
        sum(synapse.multiply_accumulates for synapse in synapses),
    )


def mean_firing_rate(record: RunRecord) -> float:
    """Returns spikes per neuron and timestep, the mean over all neurons; NaN without populations."""
    neurons = np.array([math.prod(population.shape) for population in record.populations], np.float64)
    rates = np.array([population.firing_rate for population in record.populations])
    return float((neurons * rates).sum() / neurons.sum()) if neurons.sum() else math.nan


def headline(record: RunRecord | LatencyRunRecord) -> dict[str, Any]:
    """Returns a run in one row, as tables of several runs show it.

    Of several outputs, each has its own entries, "accuracy/<output>" and so on. Energies, in pJ, are "energy/<hardware>".
    """
    if isinstance(record, LatencyRunRecord):
        return record.headline()
    row: dict[str, Any] = {"samples": record.samples, "timesteps": int(record.timesteps[-1])}
    for output in record.outputs:
        ending = f"/{output.name}" if len(record.outputs) > 1 else ""
        error = float(output.relative_error[-1])
        row |= {
            f"accuracy{ending}": None if output.accuracy is None else float(output.accuracy[-1]),
            f"ann_accuracy{ending}": output.ann_accuracy,
            f"agreement{ending}": None if output.agreement is None else float(output.agreement[-1]),
            f"relative_error{ending}": error if math.isfinite(error) else None,
        }
        row |= {f"{name}{ending}": _finite(values[-1]) for name, values in output.measures.items()}
        row |= {f"ann_{name}{ending}": _finite(value) for name, value in output.ann_measures.items()}
    energies = {f"energy/{found.hardware.name}": found.energy for found in record.energies}
    return row | {"firing_rate": mean_firing_rate(record), **operations(record).as_dict(), **energies}


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def timesteps_until_close(output: OutputRecord, timesteps: np.ndarray) -> int | None:
    """Returns from how many timesteps on the SNN stays within one percentage point of the ANN; None if it never does.

    Points are those of accuracy, or of the score of an output that is no classes: 0.01 of IoU or R².
    """
    found = score_over_time(output)
    if found is None:
        return None
    ours, theirs = found
    # The tolerance keeps 0.97 against 0.98 from failing by rounding.
    far = np.flatnonzero(~(ours >= theirs - CLOSE - 1e-9))
    first = far[-1] + 1 if len(far) else 0
    return int(timesteps[first]) if first < len(timesteps) else None


def shown_timesteps(timesteps: np.ndarray) -> list[tuple[int, int]]:
    """Returns (position, timesteps) of powers of two among the timesteps, and of the last; at most nine."""
    last = len(timesteps) - 1
    powers = [place for place, value in enumerate(timesteps[:-1]) if value > 0 and int(value) & (int(value) - 1) == 0]
    # Of many, every second one up to the largest.
    while len(powers) > 8:
        powers = powers[::-1][::2][::-1]
    return [(position, int(timesteps[position])) for position in (*powers, last)]
