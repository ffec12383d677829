"""Gives populations their thresholds and corrections: those that the user names, or those that agree most with the source."""

import dataclasses
import warnings
from typing import Any

import numpy as np

from snn_toolbox_tf import calibration, corrections
from snn_toolbox_tf.calibration import ActivationStatistics
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.corrections import Recipe, Samples, Trial
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.simulation.inputs import InputOptions

#: Input above this, behind which activations are as large, is more often a mistake than a unit.
_USUAL_SIZE = 1e6


@dataclasses.dataclass(frozen=True)
class Calibrator:
    """What populations are set from.

    Attributes:
        network: The network with its source's weights; its graph is changed.
        statistics: Of its activations.
        options: Of the conversion.
    """

    network: Network
    statistics: ActivationStatistics
    options: ConversionOptions

    def without_data(self) -> dict[str, Any]:
        """Sets thresholds from batch-norm statistics and weights; returns what the record says of it."""
        graph, options = self.network.graph, self.options
        if self._to_be_found():
            warnings.warn(
                f"No `calibration_data` was given for model '{graph.name}': thresholds are estimated from batch-norm "
                "statistics and weights, which costs accuracy or many timesteps. Pass a few hundred typical samples, "
                "`convert_keras(model, calibration_data=x)`.",
                stacklevel=4,
            )
        self._apply(calibration.thresholds_from_model(graph, options.used_percentile))
        return {"threshold_rule": "batch norm and weights", "per_channel": options.recipe.per_channel}

    def from_data(self) -> dict[str, Any]:
        """Sets thresholds, and corrects populations; returns what the record says of it."""
        graph, options, statistics = self.network.graph, self.options, self.statistics
        self._warn_of_useless_data()
        for node in inputs_of(graph):
            node.magnitude = float(statistics.largest[node.name].max()) or 1.0
        chosen, trials = self._correct()
        recipe = options.recipe if chosen is None else chosen.recipe
        thresholds = self._set_thresholds(recipe)
        _warn_of_another_scale(graph, thresholds)
        if chosen is not None and recipe.corrections:
            corrections.write_settings(graph, chosen.settings)
            calibration.raise_thresholds(graph, statistics.largest)
        for_any = not recipe.corrections and recipe.threshold_rule != "mean_square_error"
        found = None if chosen is None else chosen.agreement
        return {
            "threshold_rule": recipe.threshold_rule,
            "per_channel": recipe.per_channel,
            "corrections": recipe.corrections,
            "calibrated_timesteps": None if for_any else options.timesteps,
            "agreement": None if found is None else found.decisions,
            "trials": tuple(map(str, trials)),
        }

    def _correct(self) -> tuple[Trial | None, list[Trial]]:
        """Tries recipes; returns the one to take (None: thresholds by the options, and no corrections) and what was tried."""
        options = self.options
        if not (options.automatic or options.recipe.corrections) or not self._to_be_found():
            return None, []
        samples = Samples.drawn(self.statistics.reservoir, self.network, options.timesteps, compare=options.automatic)
        if options.automatic and samples.held_out is None:
            return None, []
        input_options = InputOptions(options.input, options.seed)
        trials = []
        recipes = corrections.recipes_for(len(self.statistics.reservoir))
        for recipe in recipes if options.automatic else (options.recipe,):
            self._set_thresholds(recipe)
            trials.append(corrections.tried(self.network, samples, recipe, options.timesteps, input_options))
        return (corrections.best_of(trials), trials) if options.automatic else (trials[0], [])

    def _set_thresholds(self, recipe: Recipe) -> dict[str, np.ndarray]:
        rule = (
            self.options.rule if recipe.threshold_rule == "custom" else self.options.rule_named(recipe.threshold_rule)
        )
        thresholds = calibration.thresholds_from_data(self.statistics, rule, per_channel=recipe.per_channel)
        self._apply(thresholds)
        return thresholds

    def _apply(self, thresholds: dict[str, np.ndarray]) -> None:
        graph = self.network.graph
        scaled = {population: theta * self.options.threshold_scale for population, theta in thresholds.items()}
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
