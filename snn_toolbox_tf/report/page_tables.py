"""The tables of the HTML page, as text."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from snn_toolbox_tf.costs.text import joules
from snn_toolbox_tf.report.key_numbers import operations, operations_of, shown_timesteps
from snn_toolbox_tf.report.measures import MEASURES
from snn_toolbox_tf.report.record import RunRecord
from snn_toolbox_tf.report.text import MISSING, count, fixed, number, percent, setting, shape

_READS = {"spikes": "spikes", "constant": "constant input, once per sample", "current": "current, at every timestep"}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first columns are text and all others numbers.

    Attributes:
        columns: The headings.
        rows: The cells.
        total: The last row, set apart, or nothing.
        texts: Number of columns of text.
    """

    columns: list[str]
    rows: list[list[str]]
    total: list[str] = dataclasses.field(default_factory=list)
    texts: int = 1


@dataclasses.dataclass(frozen=True)
class Group:
    """Settings that belong together: a title, keys and values, and whether they are shown at once."""

    title: str
    entries: list[tuple[str, str]]
    is_open: bool = False


def trial_table(record: RunRecord) -> Table:
    """Returns what the conversion has tried, and how far each agrees with the source; the chosen one is marked."""
    rows = [
        [
            trial["threshold_rule"],
            "channel" if trial["per_channel"] else "population",
            ", ".join(dict.fromkeys(trial["corrections"])) or MISSING,
            "chosen" if trial["chosen"] else "",
            str(trial["timesteps"]),
            str(trial["readout_start"] + 1),
            percent(trial["agreement"], 1),
            number(trial["error"], 3),
            trial["worst_population"],
        ]
        for trial in record.conversion.get("trials", [])
    ]
    columns = ["Threshold rule", "Per", "Corrections", "", "T", "Readout from", "Agreement", "Error", "Most is lost at"]
    return Table(columns, rows, texts=4)


def output_table(record: RunRecord) -> Table:
    """Returns what the curves show at powers of two timesteps and at the last."""
    shown = shown_timesteps(record.timesteps)
    rows = []
    for output in record.outputs:
        name = f"{output.name}: " if len(record.outputs) > 1 else ""
        top = f"Top-{output.top_k} accuracy" if output.top_k > 1 else "Accuracy"
        if output.accuracy is not None:
            cells = [percent(output.accuracy[position]) for position, _ in shown]
            rows.append([f"{name}{top}", *cells, percent(output.ann_accuracy)])
        for key, values in output.measures.items():
            cells = [MEASURES[key].text(values[position]) for position, _ in shown]
            rows.append([f"{name}{MEASURES[key].title}", *cells, MEASURES[key].text(output.ann_measures.get(key))])
        if output.agreement is not None:
            cells = [percent(output.agreement[position]) for position, _ in shown]
            what = "Agreement with the ANN" if output.task == "classes" else "Pixels decided as by the ANN"
            rows.append([f"{name}{what}", *cells, MISSING])
        cells = [number(output.relative_error[position], 3) for position, _ in shown]
        rows.append([f"{name}Relative error", *cells, MISSING])
    return Table(["Timesteps", *[f"{timesteps:,}" for _, timesteps in shown], "ANN"], rows)


def population_table(record: RunRecord) -> Table:
    """Returns thresholds, rates and distances from the ANN's activations, population by population."""
    rows = [
        [
            population.name,
            shape(population.shape),
            *[number(value) for value in population.threshold],
            fixed(population.firing_rate, 4),
            percent(population.dead, 1),
            percent(population.saturated, 1),
            percent(population.clipped, 1),
            fixed(population.correlation, 4),
            number(population.relative_error, 3),
            number(population.added, 3),
            number(population.neuron, 3),
            population.cause or MISSING,
        ]
        for population in record.populations
    ]
    rates, errors = (
        ["Rate", "Dead", "Saturated"],
        ["Clipped", "Correlation", "Error", "Added", "By the neuron", "Mostly by"],
    )
    return Table(["Population", "Shape", "θ min", "θ median", "θ max", *rates, *errors], rows, texts=2)


def neuron_table(record: RunRecord) -> Table:
    """Returns what the neurons of each population do."""
    everywhere = len(record.neurons) == 1
    rows = [
        ["all populations" if everywhere else ", ".join(neuron.populations), neuron.text] for neuron in record.neurons
    ]
    return Table(["Populations", "Neurons"], rows, texts=2)


def synapse_table(record: RunRecord) -> Table:
    """Returns what each synapse costs per sample, and the totals."""
    rows = [
        [
            synapse.name,
            _READS.get(synapse.reads, synapse.reads),
            f"{synapse.runs}: {synapse.why}" if synapse.runs else MISSING,
            count(synapse.connections),
            count(synapse.mean_fan_out),
            count(synapse.synaptic_operations),
            count(synapse.multiply_accumulates),
            number(operations_of(synapse).operations_per_ann_mac, 3),
        ]
        for synapse in record.synapses
    ]
    total = operations(record)
    return Table(
        [
            "Synapse",
            "Reads",
            "Runs",
            "ANN MACs",
            "Mean fan-out",
            "SNN additions",
            "SNN MACs",
            "SNN operations per ANN MAC",
        ],
        rows,
        [
            "Total",
            "",
            "",
            count(total.ann_multiply_accumulates),
            "",
            count(total.synaptic_operations),
            count(total.multiply_accumulates),
            number(total.operations_per_ann_mac, 3),
        ],
        texts=3,
    )


def energy_tables(record: RunRecord) -> list[tuple[str, Table, Table, str]]:
    """Returns, for each hardware, its name, what the network spends, what its baselines spend, and the verdict."""
    return [
        (
            f"{found.hardware.name}, {found.scope}",
            Table(
                ["Operation", "Per sample", "Energy", "Share"], found.line_rows(), ["SNN", "", joules(found.energy), ""]
            ),
            Table(
                ["Baseline", "Energy", "SNN", "Break-even timesteps", "Break-even spikes a synapse"],
                found.baseline_rows(),
            ),
            found.verdict,
        )
        for found in record.energies
    ]


def class_tables(record: RunRecord) -> dict[str, Table]:
    """Returns precision, recall and F1 of every class, by the title of each output that has them."""
    tables = {}
    for output in record.outputs:
        if output.confusion is None or not output.class_scores:
            continue
        columns = [output.class_scores[name] for name in ("precision", "recall", "f1")]
        samples = output.confusion.sum(axis=1)
        rows = [
            [str(index), f"{samples[index]:,}", *(fixed(column[index], 4) for column in columns)]
            for index in range(len(samples))
        ]
        suffix = f": {output.name}" if len(record.outputs) > 1 else ""
        tables[f"Precision, recall and F1 by class{suffix}"] = Table(
            ["Class", "Samples", "Precision", "Recall", "F1"], rows
        )
    return tables


def setting_groups(record: RunRecord) -> list[Group]:
    """Returns everything that says how the run was made."""
    run = [
        ("samples", f"{record.samples:,}"),
        ("samples compared neuron by neuron", f"{record.compared_samples:,}"),
        ("timesteps", f"{int(record.timesteps[-1]):,}"),
        *[(f"task of {output.name}", f"{output.task}: {output.task_reason}") for output in record.outputs],
        *_seeds(record.settings),
        *[(f"seconds: {stage}", fixed(seconds, 2)) for stage, seconds in record.seconds.items()],
    ]
    groups = [Group("Run", run, is_open=True)]
    for section, values in record.settings.items():
        groups += _groups(f"Settings: {section}", values)
    # Trials have a table.
    groups += _groups("Conversion", {key: value for key, value in record.conversion.items() if key != "trials"})
    groups += _groups("Versions and machine", record.versions)
    return groups


def _seeds(settings: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [
        (f"{section}: {key}", setting(value))
        for section, values in settings.items()
        for key, value in values.items()
        if re.search(r"(^|_)seeds?(_|$)", key)
    ]


def _groups(title: str, values: Mapping[str, Any]) -> list[Group]:
    """A mapping within the values, such as all thresholds by population, becomes a group of its own."""
    plain = [(str(key), setting(value)) for key, value in values.items() if not isinstance(value, Mapping)]
    groups = [Group(title, plain)] if plain else []
    for key, value in values.items():
        if isinstance(value, Mapping):
            groups += _groups(f"{title}: {key}", value)
    return groups
