"""`Fidelity`: how well a spiking network stands for its source, population by population."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from snn_toolbox_tf.analysis.output_agreement import agreement_text
from snn_toolbox_tf.report.text import MISSING, aligned, fixed, number, percent, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A relative error of an output that is worth a diagnosis.
LARGE_ERROR = 0.1
#: The parts of an error, which `PopulationFidelity` explains.
PARTS = ("clipping", "quantisation", "unevenness")
_COLUMNS = ("population", "rate", "dead", "clipped", "correlation", "error", *PARTS, "added", "neuron", "by")


@dataclasses.dataclass(frozen=True)
class PopulationFidelity:
    """How well one population's theta * rate stands for the ANN's activation.

    Attributes:
        name: Name of the population.
        firing_rate: Spikes per neuron and timestep, the mean over neurons and samples.
        dead: Fraction of neurons that never spiked on any sample.
        clipped: Fraction of (sample, neuron) pairs whose activation in the ANN is above the threshold.
        largest: The largest activation in the ANN, in units of its neuron's threshold.
        correlation: Pearson correlation between activation and theta * rate; NaN if one of them is constant.
        relative_error: ||theta * rate - activation|| / ||activation||, over all samples; NaN without any activation.
        clipping: The part of the error that clipping all activations at their thresholds explains, relative likewise.
        quantisation: The part that whole spikes add to it: the closed form minus the clipped ANN. NaN where there is none.
        unevenness: The part that spikes arriving unevenly add to it: the simulation minus the closed form. The three parts
            add up to the error as vectors, not as norms.
        added: The error that the population itself adds to that of its input: ||theta * rate - relu(I)|| / the larger of
            ||activation|| and ||relu(I)||, I being the mean current that reaches it. Where it is large, the network loses.
        cause: What most of `added` is: "clipping", "quantisation", "unevenness", "noise" (of Poisson input), or what plain
            neurons would not lose: "reset" (hard reset), "leak", "refractory period", "synaptic filter", "adaptation", or
            "neuron" if it is several of them; "" if nothing is added.
        neuron: The part of `added` that is the neuron's own: ||theta * rate - theta * rate of plain integrate-and-fire
            neurons||, relative likewise, which have the same thresholds and initial potentials and receive the same currents
            at the same timesteps. What calibration has added to these currents, to make up for it, plain neurons do without.
            0 if the neurons are plain ones.
    """

    name: str
    firing_rate: float
    dead: float
    clipped: float
    largest: float
    correlation: float
    relative_error: float
    clipping: float
    quantisation: float
    unevenness: float
    added: float
    cause: str
    neuron: float = 0.0


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """A spiking network against its source.

    Attributes:
        timesteps: T.
        samples: Number of samples.
        populations: The populations, in order.
        output_error: ||SNN output - ANN output|| / ||ANN output|| after T timesteps, by output.
        output_clipping: The part of it that clipping all activations at their thresholds explains: a floor that more
            timesteps do not lower.
        output_synchronous: The error that would be left if every population integrated all timesteps before it fires
            (schedule "layer_synchronous"), from the closed form; NaN where there is none.
        largest_inputs: The largest absolute value of each input.
        diagnosis: Where most of the error comes from, however small it is, and what to try next. It is printed if an output
            fails, see `fails`.
        tasks: What each output stands for: "classes", "regression", "segmentation" or "boxes".
        agreement: How far each output agrees with the ANN's after T timesteps, by name of a measure: of classes "agreement",
            of a segmentation "pixel_agreement" (shares of equal decisions), of numbers "r2_to_ann" and
            "root_mean_square_error", of boxes also "mean_box_iou".
    """

    timesteps: int
    samples: int
    populations: tuple[PopulationFidelity, ...]
    output_error: dict[str, float]
    output_clipping: dict[str, float]
    output_synchronous: dict[str, float]
    largest_inputs: dict[str, float]
    diagnosis: str = ""
    tasks: dict[str, str] = dataclasses.field(default_factory=dict)
    agreement: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def fails(self) -> bool:
        """Whether the relative error of an output is above 0.1."""
        return any(error > LARGE_ERROR for error in self.output_error.values())

    @property
    def worst(self) -> tuple[str, ...]:
        """Names of the populations, the one that adds most to the error first."""
        ordered = sorted(self.populations, key=lambda row: -np.nan_to_num(row.added, nan=-np.inf))
        return tuple(row.name for row in ordered)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Returns a table, the populations that add most to the error, and a diagnosis if the error is large."""
        table = aligned(_COLUMNS, [_cells(row) for row in self.populations], texts=1)
        outputs = ", ".join(
            f"{name}: {number(error, 3)} (clipping: {number(self.output_clipping[name], 3)}, "
            f"layer-synchronous: {number(self.output_synchronous[name], 3)})"
            for name, error in self.output_error.items()
        )
        return "\n".join(
            [
                table,
                "",
                f"relative error of the output after {self.timesteps} timesteps: {outputs}",
                *(f"output '{name}' ({self.tasks[name]}): {agreement_text(by)}" for name, by in self.agreement.items()),
                f"adds most: {', '.join(self.worst[:3])}",
                *([self.diagnosis] if self.fails else []),
            ]
        )

    def plot(self) -> "Figure":
        """Draws the parts of the error and the correlation of every population."""
        # Only drawing imports matplotlib.
        from snn_toolbox_tf.analysis.fidelity_figure import fidelity_figure

        return fidelity_figure(self)


def _cells(row: PopulationFidelity) -> list[str]:
    return [
        shorten(row.name, 40),
        fixed(row.firing_rate, 3),
        percent(row.dead, 1),
        percent(row.clipped, 2),
        fixed(row.correlation, 4),
        *(
            number(value, 3)
            for value in (row.relative_error, row.clipping, row.quantisation, row.unevenness, row.added, row.neuron)
        ),
        row.cause or MISSING,
    ]
