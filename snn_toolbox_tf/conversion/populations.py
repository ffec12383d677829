"""Gives populations thresholds and corrections: those that the user names, or what agrees most with the source."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf import calibration, corrections
from snn_toolbox_tf.calibration import ActivationStatistics
from snn_toolbox_tf.conversion.data_warnings import warn_of_another_scale, warn_of_poor_agreement, warn_of_useless_data
from snn_toolbox_tf.conversion.neuron_options import headroom, recurrent_names
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.conversion.search import Search, to_be_found
from snn_toolbox_tf.conversion.weight_bits import Reduced, joined_populations, share_thresholds
from snn_toolbox_tf.corrections import Recipe
from snn_toolbox_tf.corrections.setting import Setting
from snn_toolbox_tf.foundation.telling import Tell, tell_nobody
from snn_toolbox_tf.foundation.warning import warn_user
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.model import trial_records
from snn_toolbox_tf.network import Network, inputs_of


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
        reduced: What weights of few bits come from; None: weights are the source's.
    """

    network: Network
    statistics: ActivationStatistics
    options: ConversionOptions
    tell: Tell = tell_nobody
    reduced: Reduced | None = None
    #: By rule: what is tried and then taken is computed once.
    _thresholds: dict[tuple[str, bool, int], dict[str, np.ndarray]] = dataclasses.field(
        default_factory=dict, init=False
    )

    def without_data(self) -> Calibrated:
        """Sets thresholds from batch-norm statistics and weights."""
        graph, options = self.network.graph, self.options
        if to_be_found(graph):
            warn_user(
                f"No `calibration_data` was given for model '{graph.name}': thresholds are estimated from batch-norm "
                "statistics and weights, which costs accuracy or many timesteps. Pass a few hundred typical samples, "
                "`convert_keras(model, calibration_data=x)`.",
            )
        self._apply(calibration.thresholds_from_model(graph, options.used_percentile))
        self._compensate()
        record = {
            "threshold_rule": "batch norm and weights",
            "percentile": options.used_percentile,
            "per_channel": options.recipe.per_channel,
        }
        return Calibrated(options.used_timesteps, record)

    def from_data(self) -> Calibrated:
        """Sets thresholds, and corrects populations."""
        graph, statistics, options = self.network.graph, self.statistics, self.options
        warn_of_useless_data(graph, statistics, to_be_found(graph))
        for node in inputs_of(graph):
            node.magnitude = float(statistics.largest[node.name].max()) or 1.0
        reference = None if self.reduced is None else self.reduced.reference
        search = Search(self.network, statistics, options, self._set_thresholds, self.tell, reference, self._joined)
        found = search.run()
        timesteps, chosen = found.timesteps, found.chosen
        recipe = dataclasses.replace(options.recipe, corrections=()) if chosen is None else chosen.recipe
        thresholds = self._set_thresholds(recipe, timesteps)
        warn_of_another_scale(graph, thresholds)
        settled = corrections.settled_from(graph, timesteps) if options.schedule == "step" else 0
        for readout in graph.readouts:
            readout.start = settled if chosen is None else chosen.readout_start
        if chosen is not None and recipe.corrections:
            # Biases are added to the weights that were fitted.
            corrections.write_weights(graph, chosen.weights)
            corrections.write_settings(graph, chosen.settings)
            self._raise_thresholds()
        else:
            self._compensate()
        # What learns by gradient is told of afterwards, by its record.
        if chosen is not None and options.gradient is None:
            warn_of_poor_agreement(graph, chosen, timesteps, statistics.samples)
        recurrent = recurrent_names(graph)
        if recurrent and options.corrections:
            warn_user(
                f"Corrections are not made for recurrent neurons: those of {', '.join(map(repr, recurrent))} in model "
                f"'{graph.name}' have the threshold rule alone. Received: corrections={list(options.corrections)}",
            )
        trained = bool(graph.of_type(Population)) and not to_be_found(graph)
        if trained and options.recipe.corrections:
            warn_user(
                f"All thresholds of model '{graph.name}' were trained with it, and are taken as they are: there is nothing "
                f"to correct. Received: corrections={list(options.recipe.corrections)}. Leave them out.",
            )
        made_for = recipe.depends_on_timesteps or any(readout.start for readout in graph.readouts)
        agreement = None if chosen is None else chosen.agreement
        record = {
            "percentile": options.used_percentile if recipe.threshold_rule == "percentile" and not trained else None,
            "threshold_rule": "trained" if trained else recipe.threshold_rule,
            "per_channel": recipe.per_channel,
            "corrections": recipe.corrections,
            "calibrated_timesteps": timesteps if made_for else None,
            "agreement": None if agreement is None else agreement.decisions,
            "trials": trial_records(found.tried, chosen),
        }
        return Calibrated(timesteps, record, weights_changed=recipe.fits_weights or self.reduced is not None)

    def _compensate(self) -> None:
        """Gives populations the current that makes up for their leak; corrections begin with it."""
        settings = {node.name: Setting.of(node, per_channel=False) for node in self.network.graph.of_type(Population)}
        if any(setting.bias.any() for setting in settings.values()):
            corrections.write_settings(self.network.graph, settings)

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
        for node in graph.of_type(Population):
            neuron = self.options.neuron_of(node.shared_name)
            # A quantised ReLU rounds to nearest.
            node.neuron = neuron if node.levels is None else dataclasses.replace(neuron, v0=0.5)
            node.threshold = node.threshold * headroom(node)
            node.initial_potential = None
        # How large a threshold may be depends on the neuron.
        self._raise_thresholds()
        corrections.wait_with_biases(self.network)

    def _raise_thresholds(self) -> None:
        graph = self.network.graph
        calibration.raise_thresholds(graph, self.statistics.largest)
        if self.reduced is not None:
            share_thresholds(graph)

    @property
    def _joined(self) -> frozenset[str]:
        """Names of populations that share their threshold with others."""
        groups = [] if self.reduced is None else joined_populations(self.network.graph)
        return frozenset[str]().union(*groups)
