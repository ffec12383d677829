"""A run as plain text, for the terminal."""

import textwrap

from snn_toolbox_tf.report.key_numbers import operations, shown_timesteps
from snn_toolbox_tf.report.latency_record import LatencyRunRecord
from snn_toolbox_tf.report.measures import MEASURES
from snn_toolbox_tf.report.neuron_record import PLAIN
from snn_toolbox_tf.report.record import OutputRecord, RunRecord
from snn_toolbox_tf.report.text import MISSING, aligned, count, fixed, number, percent, shorten


def summarize(record: RunRecord | LatencyRunRecord) -> str:
    """Returns accuracies, firing rates and operations as tables in plain text."""
    if isinstance(record, LatencyRunRecord):
        return record.text()
    blocks = [f"{record.title}: {record.samples:,} samples, {int(record.timesteps[-1]):,} timesteps"]
    blocks += [record.conversion_text] if record.conversion_text else []
    blocks += [_neurons(record)] if any(neuron.text != PLAIN for neuron in record.neurons) else []
    blocks += [_output(record, output) for output in record.outputs]
    if record.populations:
        blocks.append(_populations(record))
    if record.synapses:
        blocks.append(_operations(record))
    blocks += [textwrap.fill(found.verdict, 110) for found in record.energies]
    if record.notes:
        blocks.append("\n".join(f"Note: {note}" for note in record.notes))
    return "\n\n".join(blocks)


def _neurons(record: RunRecord) -> str:
    if len(record.neurons) == 1:
        return record.neurons[0].text
    return "\n".join(f"{', '.join(neuron.populations)}: {neuron.text}" for neuron in record.neurons)


def _output(record: RunRecord, output: OutputRecord) -> str:
    columns, curves, ann = ["timesteps"], [], []
    if output.accuracy is not None:
        columns.append("accuracy" if output.top_k == 1 else f"top-{output.top_k} accuracy")
        curves.append([percent(value) for value in output.accuracy])
        ann.append(percent(output.ann_accuracy))
    for name, values in output.measures.items():
        columns.append(MEASURES[name].lower)
        curves.append([MEASURES[name].text(value) for value in values])
        ann.append(MEASURES[name].text(output.ann_measures.get(name)))
    if output.agreement is not None:
        columns.append("agreement" if output.task == "classes" else "pixels as the ANN")
        curves.append([percent(value) for value in output.agreement])
        ann.append(MISSING)
    columns.append("relative error")
    curves.append([number(value, 3) for value in output.relative_error])
    ann.append(MISSING)
    rows = [
        [f"{value:,}", *[curve[position] for curve in curves]] for position, value in shown_timesteps(record.timesteps)
    ]
    if output.accuracy is not None or output.ann_measures:
        rows.append(["ANN", *ann])
    title = f"{output.name}\n" if len(record.outputs) > 1 else ""
    return title + aligned(columns, rows, texts=0)


def _populations(record: RunRecord) -> str:
    columns = ["population", "firing rate", "dead", "clipped", "correlation", "error", "added"]
    rows = [
        [
            shorten(population.name, 40),
            fixed(population.firing_rate, 4),
            percent(population.dead, 1),
            percent(population.clipped, 1),
            fixed(population.correlation, 4),
            number(population.relative_error, 3),
            number(population.added, 3),
        ]
        for population in record.populations
    ]
    return aligned(columns, rows, texts=1)


def _operations(record: RunRecord) -> str:
    total = operations(record)
    rows = [
        ["SNN additions (synaptic operations)", count(round(total.synaptic_operations))],
        ["SNN multiply-accumulates (MACs)", count(round(total.multiply_accumulates))],
        ["ANN multiply-accumulates (MACs)", count(round(total.ann_multiply_accumulates))],
        ["SNN operations (additions + MACs) per ANN MAC", number(total.operations_per_ann_mac, 3)],
        ["  of these additions", number(total.additions_per_ann_mac, 3)],
        ["  of these MACs", number(total.macs_per_ann_mac, 3)],
    ]
    return aligned(["operations per sample", ""], rows, texts=1)
