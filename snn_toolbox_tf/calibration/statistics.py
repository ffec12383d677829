"""One pass over the calibration data: what each population's ReLU gives, in bounded memory."""

import dataclasses

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.calibration.histogram import PositiveHistogram, layout_for
from snn_toolbox_tf.calibration.reservoir import Reservoir
from snn_toolbox_tf.graph import InputNode, Node, Population
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.network.input_data import Batch, InputData, in_structure

_BATCH_SIZE = 64
#: Bytes that the histograms of a network may take.
MEMORY = 2**23


@dataclasses.dataclass
class ActivationStatistics:
    """What was seen of a network's activations, in units of the source.

    Attributes:
        histograms: Positive activations per population and channel; of populations that are windows of the same neurons,
            those of all windows together, under the name that they have in common.
        largest: Largest absolute value per channel of every node but the populations, by name (inputs included);
            broadcastable to the node's shape.
        samples: Number of samples seen.
        first_batch: The first samples (at most 64), one float32 array per input.
        reservoir: Samples drawn from all of them, for what looks at samples again.
    """

    histograms: dict[str, PositiveHistogram]
    largest: dict[str, np.ndarray]
    samples: int
    first_batch: Batch
    reservoir: Reservoir

    @property
    def silent_populations(self) -> list[str]:
        """Names of populations that no sample drives."""
        return [name for name, histogram in self.histograms.items() if not histogram.total.any()]


def observe_activations(network: Network, data: InputData) -> ActivationStatistics:
    """Runs the network as an ANN over all the calibration data.

    Args:
        network: The network with its source's weights.
        data: The calibration data.

    Returns:
        Statistics that do not depend on the order of the data or on its division into batches; and samples, which do.

    Raises:
        TypeError, ValueError: For unusable data in a stream, see `InputData`; and if activations are not finite.
    """
    graph = network.graph
    populations = graph.of_type(Population)
    others = [node for node in graph if not isinstance(node, Population)]

    def observe(inputs: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        values = network.run_as_ann(inputs)
        activations = {node.name: values[node.name] for node in populations}
        largest = {node.name: _largest_per_channel(node, values[node.name]) for node in others}
        return activations, largest

    signature = {node.name: tf.TensorSpec((None, *node.shape)) for node in inputs_of(graph)}
    traced = tf.function(observe, input_signature=[signature], autograph=False).get_concrete_function()
    channels = {node.shared_name: node.shape[node.channel_axis] for node in populations}
    layout = layout_for(sum(channels.values()), MEMORY)
    histograms = {name: PositiveHistogram(count, layout) for name, count in channels.items()}
    largest = {node.name: node.channel_vector(0.0) for node in others}
    statistics = ActivationStatistics(histograms, largest, 0, {}, Reservoir())
    for batch in data.batches(_BATCH_SIZE):
        activations, peaks = traced({name: tf.constant(array) for name, array in batch.items()})
        _check_finite(graph.name, {name: value.numpy() for name, value in peaks.items()})
        for node in populations:
            by_channel = np.moveaxis(activations[node.name].numpy(), node.channel_axis + 1, -1)
            statistics.histograms[node.shared_name].add(by_channel.reshape(-1, by_channel.shape[-1]))
        for name, value in peaks.items():
            statistics.largest[name] = np.maximum(statistics.largest[name], value.numpy().astype(np.float64))
        statistics.reservoir.add(batch)
        statistics.samples += len(next(iter(batch.values())))
        statistics.first_batch = statistics.first_batch or batch
    return statistics


def _check_finite(name: str, largest: dict[str, np.ndarray]) -> None:
    bad = [node for node, values in largest.items() if not np.isfinite(values).all()]
    if bad:
        raise ValueError(
            f"The activations of model '{name}' are not finite on this data, first in '{bad[0]}'. Expected weights "
            "and inputs for which float32 suffices: is the data scaled as the model expects, and did the training converge?"
        )


def _largest_per_channel(node: Node, values: tf.Tensor) -> tf.Tensor:
    others = [axis for axis in range(values.shape.rank) if axis != node.channel_axis + 1]
    largest = tf.reduce_max(tf.abs(values), axis=others, keepdims=True)
    return largest[0]


def observe_random_input(network: Network, seed: int, samples: int = 16) -> ActivationStatistics:
    """Likewise for `random_input`: what remains without calibration data."""
    arrays = in_structure(random_input(network, seed, samples), network.graph)
    return observe_activations(network, InputData(arrays, network.graph, argument="random input"))


def random_input(network: Network, seed: int, samples: int = 16) -> Batch:
    """Returns seeded input, uniform in [0, 1), or in 0, 1, ..., 255 for an input of integers."""
    generator = np.random.default_rng(seed)

    def draw(node: InputNode) -> np.ndarray:
        values = generator.random((samples, *node.shape), dtype=np.float32)
        return values if "float" in node.dtype else np.floor(256 * values)

    return {node.name: draw(node) for node in inputs_of(network.graph)}
