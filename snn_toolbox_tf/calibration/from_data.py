"""One pass over the calibration data: what each population's ReLU gives, in bounded memory."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import data as data_module
from snn_toolbox_tf.calibration.histogram import PositiveHistogram
from snn_toolbox_tf.graph import Input, Population
from snn_toolbox_tf.network import Network

_BATCH_SIZE = 64


@dataclasses.dataclass
class ActivationStatistics:
    """What was seen of the balanced network's activations.

    Attributes:
        histograms: Positive activations per population and channel.
        largest: Largest absolute value of every node that depends on the input alone, by name; inputs included.
        samples: Number of samples seen.
        first_batch: The first samples (at most 64), one float32 array per input.
    """

    histograms: dict[str, PositiveHistogram]
    largest: dict[str, float]
    samples: int
    first_batch: data_module.Batch


def observe_activations(network: Network, calibration_data: Any) -> ActivationStatistics:
    """Runs the network as an ANN over all the calibration data.

    Args:
        network: The balanced network.
        calibration_data: Arrays or a stream of batches, see `data.batches`.

    Returns:
        Statistics that do not depend on the order of the data or on its division into batches.

    Raises:
        TypeError, ValueError: For unusable data, see `data.as_arrays`.
    """
    graph = network.graph
    populations = graph.of_type(Population)
    spiking = graph.spiking_ancestry()
    analog = [node for node in graph if node.name not in spiking]

    @tf.function(reduce_retracing=True, autograph=False)
    def observe(inputs: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        values = network.run_as_ann(inputs)
        activations = {node.name: values[node.name] for node in populations}
        largest = {node.name: tf.reduce_max(tf.abs(values[node.name])) for node in analog}
        return activations, largest

    statistics = ActivationStatistics({}, {node.name: 0.0 for node in analog}, 0, {})
    for node in populations:
        statistics.histograms[node.name] = PositiveHistogram(node.shape[node.channel_axis])
    for batch in data_module.batches(calibration_data, graph, _BATCH_SIZE, argument="calibration_data"):
        activations, largest = observe({name: tf.constant(array) for name, array in batch.items()})
        for node in populations:
            by_channel = np.moveaxis(activations[node.name].numpy(), node.channel_axis + 1, -1)
            statistics.histograms[node.name].add(by_channel.reshape(-1, by_channel.shape[-1]))
        for name, value in largest.items():
            statistics.largest[name] = max(statistics.largest[name], float(value))
        statistics.samples += len(next(iter(batch.values())))
        statistics.first_batch = statistics.first_batch or batch
    return statistics


def observe_random_input(network: Network, seed: int, samples: int = 16) -> ActivationStatistics:
    """Likewise for seeded random input, uniform in [0, 1): what remains without calibration data."""
    generator = np.random.default_rng(seed)
    arrays = {
        node.name: generator.random((samples, *node.shape), dtype=np.float32) for node in network.graph.of_type(Input)
    }
    return observe_activations(network, arrays)
