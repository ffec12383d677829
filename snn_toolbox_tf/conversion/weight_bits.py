"""Weights of few bits: rounded before thresholds are found, so that thresholds and corrections make up for it.

Neurons of a layer have to share one threshold then: with one per channel, each spike would stand for something else, and
what a weight is multiplied by would not be the same along an output channel. So the differences between channels go into
the weights first, before these are rounded (cross-layer equalisation, Nagel et al. 2019, "Data-free quantization through
weight equalization and bias correction", section 4.1, with activations in place of ranges of weights).
"""

import dataclasses

import numpy as np

from snn_toolbox_tf import calibration
from snn_toolbox_tf.calibration import ActivationStatistics
from snn_toolbox_tf.calibration.weight_rounding import round_weights, samples_for_rounding
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.corrections import Recipe, largest_number_to_round
from snn_toolbox_tf.graph import Graph, InputNode, Population, Synapse
from snn_toolbox_tf.grid.weight_levels import has_levels, levelled_synapses, places_by_channel
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import InputData, in_structure
from snn_toolbox_tf.passes.normalize import normalize
from snn_toolbox_tf.synapses import weighted_family


@dataclasses.dataclass(frozen=True)
class Reduced:
    """A network whose weights have few bits.

    Attributes:
        network: The network, whose graph is the one that was given.
        reference: The same network before weights were rounded, which its populations are compared with.
        statistics: Of the network's activations.
        heights: What an activation of 1 of each population is in units of the source, broadcastable to the population.
    """

    network: Network
    reference: Network
    statistics: ActivationStatistics
    heights: dict[str, np.ndarray]


def reduce_weights(graph: Graph, statistics: ActivationStatistics, options: ConversionOptions, bits: int) -> Reduced:
    """Rounds the weights of a graph, in place, to so many bits.

    Args:
        graph: The graph with its source's weights.
        statistics: Of its activations.
        options: Of the conversion.
        bits: From 1 to 16.
    """
    if _may_stay(graph, bits):
        # The source was trained with such weights: nothing is left to round, and nothing may be moved between channels.
        network = Network(graph)
        return Reduced(network, network, statistics, {})
    recipe = Recipe("mean_square_error") if options.automatic else options.recipe
    rule = options.rule_for(recipe, options.used_timesteps)
    thresholds = calibration.thresholds_from_data(statistics, rule, per_channel=True)
    calibration.apply_thresholds(graph, thresholds)
    calibration.raise_thresholds(graph, statistics.largest)
    heights = {node.name: node.threshold for node in graph.of_type(Population)}
    normalize(graph)
    for node in graph.of_type(Population):
        # Thresholds are found anew, in these units.
        node.spike_height = "threshold"
    reference = Network(graph.copy())
    count = min(samples_for_rounding(graph), largest_number_to_round(len(statistics.reservoir)))
    samples = statistics.reservoir.samples(count)
    round_weights(graph, samples, bits)
    network = Network(graph)
    return Reduced(network, reference, _observed(network, statistics), heights)


def _may_stay(graph: Graph, bits: int) -> bool:
    """Whether all weights have levels of so many bits, and neurons can share thresholds without a change of units."""
    if joined_populations(graph):
        return False
    trained = [node.trained_threshold for node in graph.of_type(Population) if node.trained_threshold is not None]
    one_each = all(np.ptp(theta) == 0 for theta in trained)
    return one_each and all(_has_levels(node, bits) for node in levelled_synapses(graph))


def _has_levels(node: Synapse, bits: int) -> bool:
    kernel = node.layer.weights[weighted_family(node).kernel]
    return has_levels(kernel.reshape(-1)[places_by_channel(node)], bits)


def _observed(network: Network, statistics: ActivationStatistics) -> ActivationStatistics:
    """Returns statistics of a network on the samples that those of another one have kept."""
    arrays = in_structure(statistics.reservoir.samples(len(statistics.reservoir)), network.graph)
    return calibration.observe_activations(network, InputData(arrays, network.graph, argument="calibration_data"))


def joined_populations(graph: Graph) -> list[set[str]]:
    """Returns the populations, by shared names, that one layer with weights reads together: these share a threshold too.

    Where a layer reads input beside spikes, the input's name is in the set.
    """
    sources: dict[str, set[str]] = {}
    groups: list[set[str]] = []
    levelled = {node.name for node in levelled_synapses(graph)}
    for node in graph:
        if isinstance(node, (Population, InputNode)):
            sources[node.name] = {node.shared_name}
            continue
        read = set[str]().union(*(sources[name] for name in node.inputs))
        if node.name in levelled and len(read) > 1:
            together = [group for group in groups if group & read]
            groups = [group for group in groups if not group & read] + [read.union(*together)]
        sources[node.name] = read
    return groups


def share_thresholds(graph: Graph) -> None:
    """Gives all neurons of a population, and of populations that one layer reads together, the same threshold, in place.

    It is the largest of theirs, but no larger than the bound of a bounded ReLU, or a threshold that was trained; and 1 where
    input is read together with spikes.
    """
    populations = graph.of_type(Population)
    inputs = {node.name for node in graph.of_type(InputNode)}
    groups = joined_populations(graph)
    for names in [
        *groups,
        *({node.shared_name} for node in populations if not any(node.shared_name in g for g in groups)),
    ]:
        members = [node for node in populations if node.shared_name in names]
        theta = max(float(node.threshold.max()) for node in members)
        bounds = [
            float((node.max_value / node.neuron.highest_rate).min()) for node in members if node.max_value is not None
        ]
        bounds += [float(node.trained_threshold.min()) for node in members if node.trained_threshold is not None]
        theta = 1.0 if names & inputs else min([theta, *bounds])
        for node in members:
            node.threshold = node.channel_vector(theta)


def thresholds_in_source_units(graph: Graph, reduced: Reduced | None) -> dict[str, np.ndarray]:
    """Returns the threshold of each population in units of the source's activations.

    Args:
        graph: The calibrated graph.
        reduced: What its weights of few bits come from; None: they are the source's.
    """
    heights = {} if reduced is None else reduced.heights
    return {node.name: node.threshold * heights.get(node.name, 1.0) for node in graph.of_type(Population)}
