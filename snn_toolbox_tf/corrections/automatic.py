"""Finds thresholds and corrections for a number of timesteps: tries recipes, and keeps what agrees most with the source."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.calibration.reservoir import Reservoir
from snn_toolbox_tf.corrections.delays import settled_from
from snn_toolbox_tf.corrections.setting import Observation, Setting
from snn_toolbox_tf.corrections.stages import largest_number_of_samples, samples_to_fit
from snn_toolbox_tf.corrections.steps import CORRECTIONS
from snn_toolbox_tf.corrections.walk import Walk
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.tasks import known_tasks
from snn_toolbox_tf.tasks.classes import decisions

#: So many samples are fitted to, and held out for comparison, at most.
MOST_FITTED, MOST_HELD_OUT = 512, 256
#: Shares of T that the readout may leave out.
READOUT_STARTS = (0.0, 0.125, 0.25, 0.375, 0.5)
#: Outputs in which something is decided.
_DECIDED = ("classes", "segmentation")
#: Of few samples, this share is held out; where there are fewer still, they tell nothing about a choice.
HELD_OUT, FEWEST_SAMPLES = 0.25, 16


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A way to thresholds, and what is corrected then.

    Attributes:
        threshold_rule: Name of the rule.
        per_channel: Whether each channel has a threshold, and corrections, of its own.
        corrections: Names of the corrections, in order.
        one_threshold: Whether corrections are per channel, but one threshold is for all, as weights of few bits need.
    """

    threshold_rule: str
    per_channel: bool = True
    corrections: tuple[str, ...] = ()
    one_threshold: bool = False

    @property
    def depends_on_timesteps(self) -> bool:
        """Whether it gives something else for another number of timesteps."""
        return bool(self.corrections) or self.threshold_rule == "mean_square_error"

    @property
    def fits_weights(self) -> bool:
        """Whether weights change."""
        return "weights" in self.corrections

    def __str__(self) -> str:
        part = "channel" if self.per_channel else "population"
        corrections = "+".join(dict.fromkeys(self.corrections)) or "no corrections"
        return f"{self.threshold_rule} per {part}, {corrections}"


#: Two rounds: the best threshold depends on bias and initial potential, and they on it.
SEARCH = (*("initial_potentials", "thresholds") * 2, "biases")
#: What is tried; the first one is what everything else has to beat.
RECIPES = (Recipe("percentile"), Recipe("mean_square_error", corrections=SEARCH))
#: What is tried as well for neurons that lose charge, or pass it on late.
WITH_GAINS = Recipe("mean_square_error", corrections=(*("initial_potentials", "thresholds", "gains") * 2, "biases"))
#: With fewer samples than this a channel's own statistics may be poor.
FEW_SAMPLES = 128
#: What is tried as well where weights may change.
WITH_WEIGHTS = Recipe("mean_square_error", corrections=("initial_potentials", "thresholds", "weights"))
RECIPES_FOR_FEW = (
    Recipe("percentile", per_channel=False),
    Recipe("mean_square_error", per_channel=False, corrections=SEARCH),
)


def recipes_for(
    samples: int, *, fit_weights: bool = False, fit_gains: bool = False, one_threshold: bool = False
) -> tuple[Recipe, ...]:
    """Returns what is tried.

    Args:
        samples: Number of calibration samples.
        fit_weights: Whether weights may change.
        fit_gains: Whether there are neurons whose rates are not those of plain ones.
        one_threshold: Whether all neurons of a population have to share one threshold.
    """
    if one_threshold:
        # Gains would give each channel spikes of its own height.
        return tuple(dataclasses.replace(recipe, per_channel=False, one_threshold=True) for recipe in RECIPES)
    further = ((WITH_WEIGHTS,) if fit_weights else ()) + ((WITH_GAINS,) if fit_gains else ())
    return RECIPES + further + (RECIPES_FOR_FEW if samples < FEW_SAMPLES else ())


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How well a network does what its source does, on samples that it was not fitted to.

    Attributes:
        samples: Number of samples.
        decisions: Share of them whose class, the largest output, is the source's (of one output between 0 and 1: on which
            side of 0.5 it is); the smallest over all outputs. Of a segmentation, the share of positions; of other outputs,
            1 less the error, and 0 at least.
        error: Root mean square of the difference over that of the source's outputs; the largest over all outputs.
    """

    samples: int
    decisions: float
    error: float

    @property
    def uncertainty(self) -> float:
        """Standard error of the share of decisions."""
        share = (self.decisions * self.samples + 1) / (self.samples + 2)
        return float(np.sqrt(share * (1 - share) / self.samples))


def agreement(outputs: Any, expected: Any, rows: slice, tasks: Sequence[str] | None = None) -> Agreement:
    """Compares outputs of the spiking network with its source's, for some of the samples.

    Args:
        outputs: Its outputs.
        expected: Those of its source.
        rows: Which samples.
        tasks: What each output stands for, or "" where that is not known.
    """
    shares, errors = [], []
    flat = keras.tree.flatten(outputs)
    for ours, theirs, task in zip(flat, keras.tree.flatten(expected), tasks or [""] * len(flat), strict=True):
        ours, theirs = np.asarray(ours, np.float64)[rows], np.asarray(theirs, np.float64)[rows]
        error = float(np.sqrt(np.square(ours - theirs).mean() / max(np.square(theirs).mean(), 1e-30)))
        probability = theirs.ndim == 2 and theirs.shape[1] == 1 and theirs.min() >= 0 and theirs.max() <= 1
        classes = theirs.ndim == 2 and (theirs.shape[1] > 1 or probability) if not task else task in _DECIDED
        shares.append(float((decisions(ours) == decisions(theirs)).mean()) if classes else max(0.0, 1.0 - error))
        errors.append(error)
    return Agreement(len(ours), min(shares), max(errors))


@dataclasses.dataclass(frozen=True)
class Trial:
    """A recipe, what came of it, and how good that is (None: there was nothing to compare it on).

    Attributes:
        recipe: The recipe.
        settings: What it gave, by population.
        errors: Root mean square of the error of theta * rate over that of the source's activations, by population.
        agreement: With the source, on samples that were held out.
        readout_start: Number of timesteps that the readout leaves out.
        weights: What was fitted of the weights, by node and name.
    """

    recipe: Recipe
    settings: Mapping[str, Setting]
    errors: Mapping[str, float]
    agreement: Agreement | None
    readout_start: int = 0
    weights: Mapping[tuple[str, str], np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def worst_population(self) -> str:
        """Name of the population at which the error rises most above that of all populations before it."""
        rises, before = dict[str, float](), 0.0
        for name, error in self.errors.items():
            rises[name] = error - before
            before = max(before, error)
        return max(rises, key=lambda name: rises[name])

    def __str__(self) -> str:
        if self.agreement is None:
            return str(self.recipe)
        window = f", readout from timestep {self.readout_start + 1} on" if self.readout_start else ""
        found = f"{100 * self.agreement.decisions:.1f} % agreement, error {self.agreement.error:.3f}"
        return f"{self.recipe}{window}: {found}"


@dataclasses.dataclass(frozen=True)
class Samples:
    """Calibration samples that corrections look at.

    Attributes:
        fitted: What populations are fitted to.
        held_out: What recipes are compared on; None if there are too few samples.
    """

    fitted: Batch
    held_out: Batch | None

    @classmethod
    def drawn(
        cls,
        reservoir: Reservoir,
        network: Network,
        timesteps: int,
        *,
        compare: bool,
        fit_weights: bool = False,
        unseen: bool = False,
    ) -> "Samples":
        """Draws samples, as many as there are and as memory and time allow.

        Args:
            reservoir: The calibration data.
            network: The network that shall be corrected.
            timesteps: T.
            compare: Whether some have to be held out.
            fit_weights: Whether weights are fitted, for which there are never enough.
            unseen: Whether those that are held out are drawn last, so that `largest_number_to_round` are free.
        """
        limit = largest_number_of_samples(network.graph, timesteps)
        available = min(len(reservoir), limit)
        held_out = min(int(available * HELD_OUT), MOST_HELD_OUT) if compare and available >= FEWEST_SAMPLES else 0
        wanted = MOST_FITTED if fit_weights else min(samples_to_fit(network.graph), MOST_FITTED)
        fitted = min(available - held_out, wanted)
        if unseen and held_out:
            return cls(reservoir.samples(fitted), reservoir.samples(held_out, last=True))
        rows = reservoir.samples(fitted + held_out)
        return cls(_rows(rows, slice(fitted)), _rows(rows, slice(fitted, None)) if held_out else None)


def largest_number_to_round(samples: int) -> int:
    """Returns how many samples weights may be rounded on, of so many, such that none is held out of them later."""
    return samples - min(int(samples * HELD_OUT), MOST_HELD_OUT) if samples >= FEWEST_SAMPLES else samples


def _rows(samples: Batch, rows: slice) -> Batch:
    return {name: array[rows] for name, array in samples.items()}


def tried(
    network: Network,
    samples: Samples,
    recipe: Recipe,
    timesteps: int,
    input_options: InputOptions,
    schedule: str = "step",
    *,
    reference: Network | None = None,
    joined: Collection[str] = (),
) -> list[Trial]:
    """Corrects a network that has its thresholds, population after population.

    In the first timesteps populations fire too much. A readout that leaves some of them out may be better off.

    Args:
        network: The network with its source's weights.
        samples: Calibration samples.
        recipe: What to correct.
        timesteps: T.
        input_options: How input is encoded.
        schedule: In which order populations integrate and fire.
        reference: What gives the activations that populations are compared with, if it is not the network itself.
        joined: Names of populations that share their threshold with others, so that it is not corrected.

    Returns:
        A trial for each start of the readout; where nothing is compared, one.
    """
    settings, errors = dict[str, Setting](), dict[str, float]()

    def fit(node: Population, observation: Observation) -> Setting:
        # What the source was trained with is exact as it is.
        changes = node.trained_threshold is None
        per_channel = (recipe.per_channel or recipe.one_threshold) and changes
        setting = Setting.of(node, per_channel=per_channel).changed(one_threshold=recipe.one_threshold)
        # What is fitted to one window of a neuron would not fit the others.
        for name in recipe.corrections if changes and not node.tied else ():
            if name == "thresholds" and node.shared_name in joined:
                continue
            setting = CORRECTIONS[name](observation, setting)
        settings[node.name], errors[node.name] = setting, observation.relative_error(setting)
        return setting

    # Where nothing is fitted, those that are held out do.
    parts = [samples.fitted] if recipe.corrections or samples.held_out is None else []
    parts += [] if samples.held_out is None else [samples.held_out]
    together = {name: np.concatenate([part[name] for part in parts]) for name in samples.fitted}
    count = len(next(iter(together.values())))
    held_out = 0 if samples.held_out is None else len(next(iter(samples.held_out.values())))
    shares = READOUT_STARTS if held_out and schedule == "step" else READOUT_STARTS[:1]
    settled = settled_from(network.graph, timesteps)
    starts = {int(timesteps * share) for share in shares} | ({settled} if len(shares) > 1 else set())
    # The source's activations come from its weights, whatever is fitted.
    spiking = Network(network.graph.copy(), dtype="float32") if recipe.fits_weights else network
    walk = Walk(
        spiking, together, timesteps, input_options, (count - held_out) or count, schedule, reference or network
    )
    outputs, expected = walk.go(fit, sorted(starts))
    trial = Trial(recipe, settings, errors, None, weights=spiking.weight_values() if recipe.fits_weights else {})
    if not held_out:
        return [dataclasses.replace(trial, readout_start=settled)]
    rows, tasks = slice(count - held_out, None), known_tasks(network.graph)
    return [
        dataclasses.replace(trial, agreement=agreement(outputs[start], expected, rows, tasks), readout_start=start)
        for start in sorted(starts)
    ]


def best_of(trials: list[Trial]) -> Trial | None:
    """Returns the trial whose network agrees most with the source; among equals, the one with the least error.

    Shares of decisions that differ by less than they are certain to are equal. Of trials that were not compared, it is the
    first; None if there is none.
    """
    found = [(trial, trial.agreement) for trial in trials if trial.agreement is not None]
    if not found:
        return next(iter(trials), None)
    top = max((agreement for _, agreement in found), key=lambda agreement: agreement.decisions)
    equal = [(trial, a) for trial, a in found if a.decisions >= top.decisions - top.uncertainty]
    return min(equal, key=lambda pair: pair[1].error)[0]
