"""What a run in latency code is shown as: numbers, text for the terminal, JSON."""

import dataclasses
from typing import Any

from snn_toolbox_tf.report.text import MISSING, aligned, count, fixed, number, percent, shorten


@dataclasses.dataclass(frozen=True)
class LatencyOutputRecord:
    """One output on all samples.

    Attributes:
        name: Name of the source's output layer.
        relative_error: ||SNN output - ANN output|| / ||ANN output|| over all samples.
        largest_error: max |SNN output - ANN output| / max |ANN output|.
        agreement: Share of samples with the ANN's decision; None if the output is no vector of classes.
        accuracy: Top-k accuracy; None without labels.
        ann_accuracy: The same of the ANN; None without labels.
    """

    name: str
    relative_error: float
    largest_error: float
    agreement: float | None = None
    accuracy: float | None = None
    ann_accuracy: float | None = None


@dataclasses.dataclass(frozen=True)
class LatencyPopulationRecord:
    """One population, or an input that spikes.

    Attributes:
        name: Its name.
        window: Length of its window: the largest value that a spike stands for.
        start: When its window begins, in the network's units of time.
        spikes_per_neuron: Mean number of spikes of a neuron per sample, at most 1.
        silent: Share of neurons that never spiked.
        clipped: Share of (sample, neuron) pairs whose value was larger than the window.
    """

    name: str
    window: float
    start: float
    spikes_per_neuron: float
    silent: float
    clipped: float


@dataclasses.dataclass(frozen=True)
class LatencyRunRecord:
    """Everything that the report of a run in latency code shows.

    Attributes:
        title: Name of the source model.
        samples: Number of samples.
        timesteps_per_window: S, or None in continuous time.
        windows: Number of windows that follow each other.
        latency: Time until the outputs, in timesteps or in units of the source's activations.
        outputs: The network's outputs.
        populations: Its populations and inputs that spike.
        spikes_per_neuron: Mean over all neurons of populations.
        synaptic_operations: Spikes times fan-out, per sample.
        multiply_accumulates: Of synapses that read no spikes, per sample.
        ann_multiply_accumulates: Of the same layers in the ANN, per sample.
        settings: All settings by section and key.
        conversion: How the network was converted.
        conversion_text: The same in two lines.
        versions: Versions and machine.
        seconds: Seconds per stage.
        notes: What the reader should know.
    """

    title: str
    samples: int
    timesteps_per_window: int | None
    windows: int
    latency: float
    outputs: list[LatencyOutputRecord]
    populations: list[LatencyPopulationRecord]
    spikes_per_neuron: float
    synaptic_operations: float
    multiply_accumulates: float
    ann_multiply_accumulates: float
    settings: dict[str, dict[str, Any]]
    conversion: dict[str, Any]
    conversion_text: str
    versions: dict[str, str]
    seconds: dict[str, float]
    notes: list[str]

    @property
    def operations_per_ann_mac(self) -> float | None:
        """Additions and multiply-accumulates per multiply-accumulate of the ANN; None if it has none."""
        operations = self.synaptic_operations + self.multiply_accumulates
        return operations / self.ann_multiply_accumulates if self.ann_multiply_accumulates else None

    @property
    def time(self) -> str:
        """The latency in words."""
        unit = "units of time" if self.timesteps_per_window is None else "timesteps"
        return f"{self.latency:,.6g} {unit}, {self.windows} windows"

    def headline(self) -> dict[str, Any]:
        """Returns the run in one row."""
        row: dict[str, Any] = {"samples": self.samples, "timesteps_per_window": self.timesteps_per_window}
        for output in self.outputs:
            ending = f"/{output.name}" if len(self.outputs) > 1 else ""
            row |= {f"{key}{ending}": value for key, value in vars(output).items() if key != "name"}
        return row | {
            "spikes_per_neuron": self.spikes_per_neuron,
            "latency": self.latency,
            "windows": self.windows,
            "synaptic_operations": self.synaptic_operations,
            "multiply_accumulates": self.multiply_accumulates,
            "ann_multiply_accumulates": self.ann_multiply_accumulates,
            "operations_per_ann_mac": self.operations_per_ann_mac,
        }

    def as_json(self) -> dict[str, Any]:
        """Returns everything as JSON data."""
        return {**dataclasses.asdict(self), "operations_per_ann_mac": self.operations_per_ann_mac}

    def output_rows(self) -> tuple[list[str], list[list[str]]]:
        """Returns the table of outputs: columns and rows."""
        columns = ["output", "accuracy", "ANN", "agreement", "relative error", "largest error"]
        rows = [
            [
                output.name,
                percent(output.accuracy),
                percent(output.ann_accuracy),
                percent(output.agreement),
                number(output.relative_error, 3),
                number(output.largest_error, 3),
            ]
            for output in self.outputs
        ]
        return columns, rows

    def population_rows(self) -> tuple[list[str], list[list[str]]]:
        """Returns the table of populations: columns and rows."""
        columns = ["population", "window begins", "largest value", "spikes per neuron", "silent", "clipped"]
        rows = [
            [
                shorten(population.name, 40),
                f"{population.start:,.6g}",
                number(population.window),
                fixed(population.spikes_per_neuron, 4),
                percent(population.silent, 1),
                percent(population.clipped, 4),
            ]
            for population in self.populations
        ]
        return columns, rows

    def operation_rows(self) -> tuple[list[str], list[list[str]]]:
        """Returns the table of operations: columns and rows."""
        per_mac = self.operations_per_ann_mac
        return ["operations per sample", ""], [
            ["SNN additions (synaptic operations)", count(round(self.synaptic_operations))],
            ["SNN multiply-accumulates (MACs)", count(round(self.multiply_accumulates))],
            ["ANN multiply-accumulates (MACs)", count(round(self.ann_multiply_accumulates))],
            ["SNN operations (additions + MACs) per ANN MAC", MISSING if per_mac is None else number(per_mac, 3)],
        ]

    def text(self) -> str:
        """Returns the run as plain text."""
        spikes = f"{fixed(self.spikes_per_neuron, 4)} spikes per neuron, latency {self.time}"
        tables = [self.output_rows(), self.population_rows(), self.operation_rows()]
        blocks = [f"{self.title}: {self.samples:,} samples, latency code", self.conversion_text, spikes]
        blocks += [aligned(columns, rows, texts=1) for columns, rows in tables]
        if self.notes:
            blocks.append("\n".join(f"Note: {note}" for note in self.notes))
        return "\n\n".join(blocks)
