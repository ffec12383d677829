"""The report as one HTML page that needs nothing but itself."""

import base64
import dataclasses
import math
from collections.abc import Mapping

import jinja2
from matplotlib.figure import Figure

from snn_toolbox_tf.report import key_numbers, measures, page_tables, style
from snn_toolbox_tf.report.record import OutputRecord, RunRecord
from snn_toolbox_tf.report.text import fixed, number, percent, quantity

#: Larger drawings are embedded as pixels: many thousand shapes make a page slow.
_LARGEST_SVG = 400_000

#: CSS pixels per inch.
_PIXELS = 96

#: Outputs with key numbers of their own; all are in the table.
_MOST_OUTPUTS = 3

_DESCRIPTIONS = {
    "accuracy": "How right the SNN is, and how far it agrees with the ANN, against timesteps",
    "error": "Relative error of the SNN's output against timesteps, logarithmic",
    "early_exit": "Accuracy against mean timesteps where samples answer when they are sure",
    "firing_rates": "Mean firing rate and fractions of dead and saturated neurons of each population",
    "rate_histograms": "Histograms of the neurons' mean firing rates, one panel per population",
    "correlation": "Threshold times firing rate against the activation of the ANN, one panel per population",
    "operations": "Operations per sample of each synapse: MACs of the ANN, synaptic operations and MACs of the SNN",
    "raster": "Spikes of one sample against timesteps, one row per neuron",
    "membrane": "Membrane potential of chosen neurons against timesteps, with spikes and threshold",
    "confusion": "Samples by true class and decision of the SNN",
    "input": "The sample as an image",
    "outputs": "Outputs of the first samples: target, ANN and SNN",
}


@dataclasses.dataclass(frozen=True)
class Tile:
    """A key number: what it is, its value and a remark."""

    label: str
    value: str
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class PageSection:
    """A section's title, and what the navigation calls it."""

    title: str
    short: str


@dataclasses.dataclass(frozen=True)
class Image:
    """A figure in the page: its address (all of its data), description and width in CSS pixels."""

    source: str
    description: str
    width: int


def render(record: RunRecord, figures: Mapping[str, Figure]) -> str:
    """Renders the report as one self-contained HTML page.

    Args:
        record: The run.
        figures: What `snn_toolbox_tf.report.figures.figures` gave, or some of it.

    Returns:
        The page's text. It loads nothing and runs no script.
    """
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            record=record,
            sections=_sections(record, figures),
            tiles=_tiles(record),
            images={name: embedded(figure, _DESCRIPTIONS[name]) for name, figure in figures.items()},
            outputs=page_tables.output_table(record),
            populations=page_tables.population_table(record),
            neurons=page_tables.neuron_table(record),
            synapses=page_tables.synapse_table(record),
            energies=page_tables.energy_tables(record),
            classes=page_tables.class_tables(record),
            trials=page_tables.trial_table(record),
            groups=page_tables.setting_groups(record),
            last=int(record.timesteps[-1]),
        )
    )


def environment() -> jinja2.Environment:
    """Returns how templates are read: all that they insert is escaped, and a misspelled name is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("snn_toolbox_tf.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def embedded(figure: Figure, description: str) -> Image:
    """Returns a figure for the page: drawn as SVG, or as PNG where that would be large."""
    data, kind = style.image(figure, "svg", dpi=150), "svg+xml"
    if len(data) > _LARGEST_SVG:
        data, kind = style.image(figure, "png", dpi=150), "png"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Image(source, description, round(figure.get_size_inches()[0] * _PIXELS))


def _sections(record: RunRecord, figures: Mapping[str, Figure]) -> dict[str, PageSection]:
    """The sections that have something to show, by anchor."""
    sample = not {"raster", "membrane", "input"}.isdisjoint(figures)
    has_accuracy = any(output.task == "classes" for output in record.outputs)
    over_time = PageSection(
        *(("Accuracy over time", "Accuracy") if has_accuracy else ("Outputs over time", "Over time"))
    )
    sections = {
        "notes": (PageSection("Notes", "Notes"), bool(record.notes)),
        "accuracy": (over_time, bool(record.outputs)),
        "rates": (PageSection("Firing rates", "Firing rates"), bool(record.populations)),
        "activations": (PageSection("ANN activation against θ × rate", "Activations"), "correlation" in figures),  # noqa: RUF001
        "operations": (PageSection("Operations", "Operations"), bool(record.synapses)),
        "energy": (PageSection("Energy", "Energy"), bool(record.energies)),
        "sample": (PageSection("One sample neuron by neuron", "One sample"), sample),
        "outputs": (PageSection("Outputs of the first samples", "Outputs"), "outputs" in figures),
        "confusion": (PageSection("Confusion matrix", "Confusion"), "confusion" in figures),
        "making": (PageSection("How it was made", "How it was made"), True),
    }
    return {anchor: section for anchor, (section, has_data) in sections.items() if has_data}


def _tiles(record: RunRecord) -> list[Tile]:
    tiles = []
    for output in record.outputs[:_MOST_OUTPUTS]:
        tiles += _output_tiles(record, output)
    rate = key_numbers.mean_firing_rate(record)
    if not math.isnan(rate):
        tiles.append(Tile("Mean firing rate", fixed(rate, 4), "spikes per neuron and timestep"))
    if record.synapses:
        total = key_numbers.operations(record)
        additions, macs = total.synaptic_operations, total.multiply_accumulates
        remark = f"{quantity(additions)} additions + {quantity(macs)} MACs"
        tiles.append(Tile("SNN operations per sample", quantity(additions + macs), remark))
        tiles.append(Tile("ANN MACs per sample", quantity(total.ann_multiply_accumulates)))
        remark = f"{number(total.additions_per_ann_mac, 3)} additions + {number(total.macs_per_ann_mac, 3)} MACs"
        tiles.append(Tile("SNN operations per ANN MAC", number(total.operations_per_ann_mac, 3), remark))
    compared = f"activations compared on {record.compared_samples:,}" if record.compared_samples else ""
    tiles.append(Tile("Samples", f"{record.samples:,}", compared))
    return tiles


def _output_tiles(record: RunRecord, output: OutputRecord) -> list[Tile]:
    suffix = f": {output.name}" if len(record.outputs) > 1 else ""
    last = int(record.timesteps[-1])
    after = f"after {_timesteps(last)}"
    tiles = []
    if output.accuracy is not None:
        accuracy = f"accuracy{suffix}" if output.top_k == 1 else f"top-{output.top_k} accuracy{suffix}"
        if output.ann_accuracy is None:
            tiles.append(Tile(f"SNN {accuracy}", percent(output.accuracy[-1]), after))
        else:
            points = f"{100 * (output.accuracy[-1] - output.ann_accuracy):+.2f} points".replace("-", "−")  # noqa: RUF001
            close = key_numbers.timesteps_until_close(output, record.timesteps)
            reached = ("not reached", f"in {_timesteps(last)}")
            if close is not None:
                reached = (f"{close:,}", f"{'timestep' if close == 1 else 'timesteps'}, and to the end")
            tiles += [
                Tile(f"ANN {accuracy}", percent(output.ann_accuracy), "on the same samples"),
                Tile(f"SNN {accuracy}", percent(output.accuracy[-1]), f"{_timesteps(last)}, {points}"),
                Tile(f"At most 1 point below the ANN{suffix}", *reached),
            ]
    tiles += _measure_tiles(record, output, suffix)
    if output.agreement is not None:
        of = "of the decisions" if output.task == "classes" else "of the pixels"
        tiles.append(Tile(f"Agreement with the ANN{suffix}", percent(output.agreement[-1]), of))
    return tiles or [Tile(f"Relative error{suffix}", number(output.relative_error[-1], 3), after)]


def _measure_tiles(record: RunRecord, output: OutputRecord, suffix: str) -> list[Tile]:
    score = measures.score_of(output)
    if score is None:
        return []
    shown, after = measures.MEASURES[score], f"after {_timesteps(int(record.timesteps[-1]))}"
    tiles = [Tile(f"SNN {shown.lower}{suffix}", shown.text(output.measures[score][-1]), after)]
    if score in output.ann_measures:
        tiles.insert(
            0, Tile(f"ANN {shown.lower}{suffix}", shown.text(output.ann_measures[score]), "on the same samples")
        )
    if measures.score_over_time(output) is not None:
        close = key_numbers.timesteps_until_close(output, record.timesteps)
        value = "not reached" if close is None else f"{close:,}"
        tiles.append(Tile(f"At most {key_numbers.CLOSE:g} below the ANN{suffix}", value, "timesteps, and to the end"))
    return tiles


def _timesteps(number_of: int) -> str:
    return f"{number_of:,} timestep" if number_of == 1 else f"{number_of:,} timesteps"
