"""Rounds weights to few bits, layer after layer, so that each layer gives what it gave in the source.

Layers in front are rounded already, so that a layer receives something else than in the source. It gets the weights with
which its outputs follow the source's best from there, close to its own (least squares with a ridge). Then they are rounded
with feedback to those that are not rounded yet (`grid.feedback_rounding`). What is missing on average, the bias takes up
(Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2, here on samples).
"""

import dataclasses

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, InputNode, Node, Population, Synapse
from snn_toolbox_tf.grid.feedback_rounding import damped, round_with_feedback
from snn_toolbox_tf.grid.weight_levels import levelled_synapses, places_by_channel, round_to_levels
from snn_toolbox_tf.network import Network, relu
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.synapses import weighted_family

#: Samples that are looked at, at most; bytes of the largest tensor of all of them, and of what a batch of them makes.
MOST_SAMPLES, MEMORY, BATCH_MEMORY = 256, 2**28, 2**27
#: Of more weights per output there is no covariance: it would take gigabytes.
MOST_WEIGHTS = 5000
#: So many places per weight tell which weights fit best.
_PLACES_PER_WEIGHT = 4


def samples_for_rounding(graph: Graph) -> int:
    """Returns how many samples memory allows to look at."""
    largest = max(int(np.prod(node.shape)) for node in graph)
    return max(1, min(MOST_SAMPLES, MEMORY // (4 * largest)))


def round_weights(graph: Graph, samples: Batch, bits: int) -> None:
    """Rounds the weights of a graph's layers, in place, to so many bits.

    Args:
        graph: The graph, with its weights.
        samples: Some samples, an array `[samples, ...]` per input.
        bits: From 1 to 16.
    """
    walk = _Walk(graph, samples)
    levelled = {node.name for node in levelled_synapses(graph)}
    done: dict[str, Synapse] = {}
    for node in graph:
        if isinstance(node, Synapse) and node.name in levelled:
            if node.shared_name in done:
                # All windows of the same synapses have the same weights.
                node.layer.weights = dict(done[node.shared_name].layer.weights)
                node.layer.config = dict(done[node.shared_name].layer.config)
            else:
                _round_layer(node, walk, bits)
                done[node.shared_name] = node
            walk.rebuild(node)
        walk.go_on(node)


def _round_layer(node: Synapse, walk: "_Walk", bits: int) -> None:
    family = weighted_family(node)
    kernel, places = node.layer.weights[family.kernel], places_by_channel(node)
    weights = kernel.reshape(-1)[places]
    seen = None if node.tied else walk.seen(node)
    levels = (
        round_to_levels(weights, bits)
        if seen is None
        else round_with_feedback(seen.fitted(weights), seen.covariance, bits)
    )
    rounded = np.empty(kernel.size)
    rounded[places] = levels.values
    # Arrays are replaced, never changed: copies of the graph share them.
    node.layer.weights = {**node.layer.weights, family.kernel: rounded.reshape(kernel.shape)}
    if not node.tied:
        walk.rebuild(node)
        family.add_bias(node.layer, walk.missing_mean(node), node.shape[family.weight_axis(node)])


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the weights of one output are multiplied by in the rounded network, and what its source makes of it there.

    Attributes:
        covariance: Of what weights are multiplied by, `[weights, weights]`.
        with_output: Covariance of the source's outputs with it, `[channels, weights]`.
        places: Number of places that both were seen at.
    """

    covariance: np.ndarray
    with_output: np.ndarray
    places: int

    def fitted(self, weights: np.ndarray) -> np.ndarray:
        """Returns the weights with which the source's outputs follow best from rounded inputs, close to those given."""
        if self.places < _PLACES_PER_WEIGHT * len(self.covariance):
            return weights
        ridge = damped(self.covariance)
        return np.linalg.solve(ridge, (self.with_output + weights @ (ridge - self.covariance)).T).T


class _Walk:
    """Samples on their way through the network as it is and as it was, both run as ANNs."""

    def __init__(self, graph: Graph, samples: Batch) -> None:
        self._rounded, self._source, self._samples = Network(graph), Network(graph.copy()), samples
        self._values: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
        self._of_source: dict[str, tf.Tensor] = {}
        self._last = {name: node.name for node in graph for name in node.inputs}

    def rebuild(self, node: Synapse) -> None:
        """Gives a node's layer the weights and the bias that its description has now."""
        self._rounded.rebuild(node)

    def go_on(self, node: Node) -> None:
        """Computes a node, and forgets what nothing reads any more."""
        if isinstance(node, InputNode):
            given = tf.cast(self._samples[node.name], self._source.input_dtype(node.name))
            self._values[node.name] = (given, given)
        else:
            self._values[node.name] = (self._applied(self._rounded, node, 0), self._wanted(node))
        self._of_source.pop(node.name, None)
        for name in node.inputs:
            if self._last[name] == node.name:
                self._values.pop(name, None)

    def seen(self, node: Synapse) -> Seen | None:
        """Returns what the weights of one output are multiplied by, and what comes of it; None if that is not known."""
        family, (inputs, _) = weighted_family(node), self._values[node.inputs[0]]
        first = family.columns(node.layer, tf.cast(inputs[:1], tf.float32))
        if first is None or first.shape[1] > MOST_WEIGHTS:
            return None
        wanted = self._wanted(node)
        weights, channels = int(first.shape[1]), int(wanted.shape[-1])
        size = max(1, BATCH_MEMORY // (4 * int(np.prod(first.shape))))
        # Covariances of columns and outputs together, from one product. A mean that is large against its spread would take
        # all digits of the products: the first batch's is subtracted.
        total, square, count = np.zeros(weights + channels), np.zeros((weights, weights + channels)), 0
        middle: tf.Tensor | None = None
        for start in range(0, len(inputs), size):
            rows = slice(start, start + size)
            columns = tf.convert_to_tensor(family.columns(node.layer, tf.cast(inputs[rows], tf.float32)))
            outputs = tf.reshape(tf.cast(wanted[rows], tf.float32), [-1, channels])
            both = tf.concat([columns, outputs], axis=1)
            middle = tf.reduce_mean(both, axis=0) if middle is None else middle
            both = both - middle
            total += tf.reduce_sum(both, axis=0).numpy()
            square += tf.matmul(both[:, :weights], both, transpose_a=True).numpy()
            count += int(columns.shape[0])
        mean = total / count
        covariance = square / count - np.outer(mean[:weights], mean)
        return Seen(covariance[:, :weights], covariance[:, weights:].T, count)

    def missing_mean(self, node: Synapse) -> np.ndarray:
        """Returns by how much the mean of each output channel is too small."""
        axis = weighted_family(node).weight_axis(node) + 1
        others = [other for other in range(len(node.shape) + 1) if other != axis]
        found, wanted = (
            tf.reduce_mean(tf.cast(outputs, tf.float64), axis=others).numpy()
            for outputs in (self._applied(self._rounded, node, 0), self._wanted(node))
        )
        return wanted - found

    def _wanted(self, node: Node) -> tf.Tensor:
        """Returns what a node gives in the source, which is computed once."""
        if node.name not in self._of_source:
            self._of_source[node.name] = self._applied(self._source, node, 1)
        return self._of_source[node.name]

    def _applied(self, network: Network, node: Node, place: int) -> tf.Tensor:
        inputs = [self._values[name][place] for name in node.inputs]
        if isinstance(node, Population):
            return relu(node, inputs[0])
        size = max(1, BATCH_MEMORY // (8 * max(int(np.prod(one.shape[1:])) for one in inputs)))
        starts = range(0, len(inputs[0]), size)
        return tf.concat([network.apply(node, [one[start : start + size] for one in inputs]) for start in starts], 0)
