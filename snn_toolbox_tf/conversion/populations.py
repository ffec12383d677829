"""Gives populations thresholds and corrections: those that the user names, or what agrees most with the source."""

import dataclasses
import warnings
from typing import Any

import numpy as np

from snn_toolbox_tf import calibration, corrections
from snn_toolbox_tf.calibration import ActivationStatistics
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.corrections import Recipe, Samples, Trial
from snn_toolbox_tf.foundation.telling import Tell, tell_nobody
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.model import trial_records
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.simulation.inputs import InputOptions

#: Input above this, behind which activations are as large, is more often a mistake than a unit.
_USUAL_SIZE = 1e6
#: Below this agreement with the source, the user is told what to try.
_POOR_AGREEMENT = 0.9
#: The number of timesteps that is found is not larger; nor is it finer than this part of the next power of two.
LARGEST_TIMESTEPS, _RESOLUTION = 256, 8


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """How populations were set, and for which number of timesteps.

    Attributes:
        timesteps: T.
        recorded: What the record of the conversion says of it.
        weights_changed: Whether the weights in the graph are other ones than the source's.
    """

    timesteps: int
    recorded: dict[str, Any]
    weights_changed: bool = False


@dataclasses.dataclass(frozen=True)
class Calibrator:
    """What populations are set from.

    Attributes:
        network: The network with its source's weights; its graph is changed.
        statistics: Of its activations.
        options: Of the conversion.
        tell: Is told of every number of timesteps that is tried.
    """

    network: Network
    statistics: ActivationStatistics
    options: ConversionOptions
    tell: Tell = tell_nobody
    #: By rule: what is tried and then taken is computed once.
    _thresholds: dict[tuple[str, bool, int], dict[str, np.ndarray]] = dataclasses.field(
        default_factory=dict, init=False
    )

    def without_data(self) -> Calibrated:
        """Sets thresholds from batch-norm statistics and weights."""
        graph, options = self.network.graph, self.options
        if self._to_be_found():
            warnings.warn(
                f"No `calibration_data` was given for model '{graph.name}': thresholds are estimated from batch-norm "
                "statistics and weights, which costs accuracy or many timesteps. Pass a few hundred typical samples, "
                "`convert_keras(model, calibration_data=x)`.",
                stacklevel=4,
            )
        self._apply(calibration.thresholds_from_model(graph, options.used_percentile))
        record = {
            "threshold_rule": "batch norm and weights",
            "percentile": options.used_percentile,
            "per_channel": options.recipe.per_channel,
        }
        return Calibrated(options.used_timesteps, record)

    def from_data(self) -> Calibrated:
        """Sets thresholds, and corrects populations."""
        graph, statistics = self.network.graph, self.statistics
        self._warn_of_useless_data()
        for node in inputs_of(graph):
            node.magnitude = float(statistics.largest[node.name].max()) or 1.0
        if self.options.timesteps == "auto":
            timesteps, tried = self._smallest_timesteps()
        else:
            timesteps = self.options.used_timesteps
            tried = {timesteps: self._trials(timesteps)}
        chosen = corrections.best_of(tried[timesteps])
        recipe = dataclasses.replace(self.options.recipe, corrections=()) if chosen is None else chosen.recipe
        thresholds = self._set_thresholds(recipe, timesteps)
        _warn_of_another_scale(graph, thresholds)
        for readout in graph.readouts:
            readout.start = 0 if chosen is None else chosen.readout_start
        if chosen is not None and recipe.corrections:
            # Biases are added to the weights that were fitted.
            corrections.write_weights(graph, chosen.weights)
            corrections.write_settings(graph, chosen.settings)
            calibration.raise_thresholds(graph, statistics.largest)
        found = None if chosen is None else chosen.agreement
        made_for = recipe.depends_on_timesteps or (chosen is not None and chosen.readout_start > 0)
        poor = found is not None and found.decisions < _POOR_AGREEMENT
        # What learns by gradient is told of afterwards, by its record.
        if chosen is not None and found is not None and poor and self.options.gradient is None:
            self._warn_of_poor_agreement(chosen, found.decisions, timesteps)
        record = {
            "percentile": self.options.used_percentile if recipe.threshold_rule == "percentile" else None,
            "threshold_rule": recipe.threshold_rule,
            "per_channel": recipe.per_channel,
            "corrections": recipe.corrections,
            "calibrated_timesteps": timesteps if made_for else None,
            "agreement": None if found is None else found.decisions,
            "trials": trial_records(tried, chosen),
        }
        return Calibrated(timesteps, record, weights_changed=recipe.fits_weights)

    def _trials(self, timesteps: int) -> list[Trial]:
        """Tries all that is to be tried for a number of timesteps; nothing, if thresholds by the options are all."""
        options = self.options
        choose = options.automatic or options.timesteps == "auto"
        if not (choose or options.recipe.corrections) or not self._to_be_found():
            return []
        if not corrections.is_feasible(self.network.graph, timesteps):
            if options.recipe.corrections:
                raise ValueError(
                    f"Corrections of model '{self.network.graph.name}' need a tensor of more than half a gigabyte for one "
                    f"sample in {timesteps} timesteps. Use fewer timesteps, or no corrections. Received: "
                    f"corrections={list(options.recipe.corrections)}"
                )
            # The rule alone, which needs no more memory than the source.
            return []
        recipes = self._recipes()
        samples = Samples.drawn(
            self.statistics.reservoir,
            self.network,
            timesteps,
            compare=choose,
            fit_weights=any(recipe.fits_weights for recipe in recipes),
        )
        if choose and samples.held_out is None:
            warnings.warn(
                f"Received {self.statistics.samples} calibration samples of model '{self.network.graph.name}'. Expected at "
                f"least {corrections.FEWEST_SAMPLES}, better a few hundred, on which ways to calibrate can be compared. "
                "Thresholds are percentiles.",
                stacklevel=6,
            )
            return []
        input_options = InputOptions(options.input, options.seed)
        trials = []
        for recipe in recipes:
            self._set_thresholds(recipe, timesteps)
            same = corrections.tried(self.network, samples, recipe, timesteps, input_options, options.schedule)
            best = corrections.best_of(same)
            trials += [] if best is None else [best]
        return trials

    def _recipes(self) -> tuple[Recipe, ...]:
        if not self.options.automatic:
            return (self.options.recipe,)
        gradient = self.options.gradient
        fit_weights = gradient is not None and gradient.train_weights
        return corrections.recipes_for(len(self.statistics.reservoir), fit_weights=fit_weights)

    def _smallest_timesteps(self) -> tuple[int, dict[int, list[Trial]]]:
        """Finds the smallest T with which decisions agree to within the tolerance: doubles it, then halves the interval.

        Agreement rises with T but for noise, so that what is found is the smallest T for which it was seen, not a proof.
        """
        wanted = 1.0 - self.options.used_tolerance
        found: dict[int, list[Trial]] = {}

        def suffices(timesteps: int) -> bool:
            found[timesteps] = self._trials(timesteps)
            best = corrections.best_of(found[timesteps])
            self.tell(f"{timesteps} timesteps: {best}")
            return best is not None and best.agreement is not None and best.agreement.decisions >= wanted

        high = 4
        while not suffices(high):
            if not found[high]:
                raise ValueError(
                    "`timesteps='auto'` compares decisions on calibration samples that are held out. Expected at least "
                    f"{corrections.FEWEST_SAMPLES} samples, thresholds that are to be found, and tensors that fit into "
                    f"memory. Received: {self.statistics.samples} samples, model '{self.network.graph.name}', and "
                    f"{high} timesteps that did not do."
                )
            if high >= LARGEST_TIMESTEPS:
                warnings.warn(
                    f"Model '{self.network.graph.name}' does not reach an agreement of {wanted:g} with {high} timesteps, "
                    "which are taken. Give a larger `tolerance`, or more typical calibration data.",
                    stacklevel=5,
                )
                return high, found
            high *= 2
        low = high // 2 if high > 4 else 0
        while high - low > max(1, high // _RESOLUTION):
            middle = (low + high) // 2
            low, high = (low, middle) if suffices(middle) else (middle, high)
        return high, found

    def _set_thresholds(self, recipe: Recipe, timesteps: int) -> dict[str, np.ndarray]:
        key = (recipe.threshold_rule, recipe.per_channel, timesteps)
        if key not in self._thresholds:
            rule = self.options.rule_for(recipe, timesteps)
            self._thresholds[key] = calibration.thresholds_from_data(
                self.statistics, rule, per_channel=recipe.per_channel
            )
        self._apply(self._thresholds[key])
        return self._thresholds[key]

    def _apply(self, thresholds: dict[str, np.ndarray]) -> None:
        graph = self.network.graph
        scaled = {population: theta * self.options.used_threshold_scale for population, theta in thresholds.items()}
        calibration.apply_thresholds(graph, scaled)
        calibration.raise_thresholds(graph, self.statistics.largest)
        for node in graph.of_type(Population):
            # A quantised ReLU rounds to nearest.
            node.neuron = (
                self.options.neuron if node.levels is None else dataclasses.replace(self.options.neuron, v0=0.5)
            )

    def _to_be_found(self) -> set[str]:
        """Names of the populations whose thresholds the source does not bring."""
        return {node.name for node in self.network.graph.of_type(Population) if node.trained_threshold is None}

    def _warn_of_useless_data(self) -> None:
        graph, statistics = self.network.graph, self.statistics
        silent = [name for name in statistics.silent_populations if name in self._to_be_found()]
        if silent:
            warnings.warn(
                f"The calibration data drives no neuron of {', '.join(silent)}: their thresholds are "
                "arbitrary. Is it scaled as the model expects?",
                stacklevel=5,
            )
        zero = [node.name for node in inputs_of(graph) if not statistics.largest[node.name].any()]
        if zero:
            warnings.warn(
                f"The calibration data for {', '.join(map(repr, zero))} is all zeros, so that thresholds come from biases "
                "alone. Expected samples like those that the network will see.",
                stacklevel=5,
            )

    def _warn_of_poor_agreement(self, chosen: Trial, share: float, timesteps: int) -> None:
        worst = chosen.worst_population
        warnings.warn(
            f"With {timesteps} timesteps the spiking network agrees with model '{self.network.graph.name}' on "
            f"{100 * share:.1f} % of the calibration samples that were held out. Most is lost at '{worst}', whose rates are "
            f"off by {100 * chosen.errors[worst]:.0f} %. Try timesteps={2 * timesteps}, more calibration data (there are "
            f"{self.statistics.samples} samples), or calibration='gradient'.",
            stacklevel=5,
        )


def _warn_of_another_scale(graph: Graph, thresholds: dict[str, np.ndarray]) -> None:
    """Says which populations will be silent if data of this size is a mistake."""
    inputs = [f"{node.magnitude:.3g} for '{node.name}'" for node in inputs_of(graph) if node.magnitude > _USUAL_SIZE]
    silenced = [name for name, theta in thresholds.items() if np.max(theta) > _USUAL_SIZE]
    if inputs and silenced:
        warnings.warn(
            f"The calibration data reaches {', '.join(inputs)}, and thresholds are as large: on much smaller input no "
            f"neuron of {', '.join(silenced)} will spike. Is it scaled as the model expects?",
            stacklevel=5,
        )
