"""Rounds weights to few bits, layer after layer, so that each layer gives what it gave in the source.

Layers in front are rounded already, so that a layer receives something else than in the source. It gets the weights with
which its outputs follow the source's best from there, close to its own (least squares with a ridge). Then they are rounded
one after the other: what is missed is passed on to the weights that are not rounded yet (Frantar et al. 2023, "GPTQ: Accurate
Post-Training Quantization for Generative Pre-trained Transformers", algorithm 1, after the optimal brain surgeon of Hassibi &
Stork 1993). What is missing on average, the bias takes up (Nagel et al. 2019, "Data-free quantization through weight
equalization and bias correction", section 4.2, here on samples).
"""

import dataclasses

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph, InputNode, Node, Population, Synapse
from snn_toolbox_tf.grid.weight_levels import Levels, levelled_synapses, places_by_channel, round_to_levels
from snn_toolbox_tf.network import Network, relu
from snn_toolbox_tf.network.input_data import Batch
from snn_toolbox_tf.synapses import weighted_family

#: Samples that are looked at, at most; bytes of the largest tensor of all of them, and of what a batch of them makes.
MOST_SAMPLES, MEMORY, BATCH_MEMORY = 256, 2**28, 2**27
#: What is added to all variances, relative to their mean.
_DAMPING = 0.01
#: Weights that are rounded before what they leave is passed on to all that come later.
_BLOCK = 64
#: Factors of the scale that are tried for a few levels.
_SCALES, _FEW_LEVELS = (0.7, 0.8, 0.9, 1.0, 1.1), 3


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
        if self.places < 4 * len(self.covariance):
            return weights
        damping = _DAMPING * (np.diag(self.covariance).mean() or 1.0) * np.eye(len(self.covariance))
        return np.linalg.solve(self.covariance + damping, (self.with_output + weights @ damping).T).T


class _Walk:
    """Samples on their way through the network as it is and as it was, both run as ANNs."""

    def __init__(self, graph: Graph, samples: Batch) -> None:
        self._graph, self._source = graph, Network(graph.copy())
        self._rounded = Network(graph)
        self._values: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
        self._samples = samples
        order = list(graph)
        self._last = {name: node.name for node in order for name in node.inputs}

    def rebuild(self, node: Synapse) -> None:
        """Gives a node's layer the weights and the bias that its description has now."""
        self._rounded.rebuild(node)

    def go_on(self, node: Node) -> None:
        """Computes a node, and forgets what nothing reads any more."""
        if isinstance(node, InputNode):
            given = tf.cast(self._samples[node.name], self._source.input_dtype(node.name))
            self._values[node.name] = (given, given)
        else:
            self._values[node.name] = (self._applied(self._rounded, node, 0), self._applied(self._source, node, 1))
        for name in node.inputs:
            if self._last[name] == node.name:
                self._values.pop(name, None)

    def seen(self, node: Synapse) -> "Seen | None":
        """Returns what the weights of one output are multiplied by, and what comes of it; None if that is not known."""
        family, (inputs, _) = weighted_family(node), self._values[node.inputs[0]]
        first = family.columns(node.layer, tf.cast(inputs[:1], tf.float32))
        if first is None:
            return None

        def columns_of(start: int) -> tf.Tensor:
            return family.columns(node.layer, tf.cast(inputs[start : start + size], tf.float32))

        size = max(1, BATCH_MEMORY // (4 * int(np.prod(first.shape))))
        total, square, count = np.zeros(first.shape[1]), np.zeros((first.shape[1],) * 2), 0
        wanted = self._applied(self._source, node, 1)
        channels = int(wanted.shape[-1])
        sums, product = np.zeros(channels), np.zeros((first.shape[1], channels))
        for start in range(0, len(inputs), size):
            columns = columns_of(start)
            total += tf.reduce_sum(columns, axis=0).numpy()
            square += tf.matmul(columns, columns, transpose_a=True).numpy()
            count += int(columns.shape[0])
            outputs = tf.reshape(tf.cast(wanted[start : start + size], tf.float32), [-1, channels])
            sums += tf.reduce_sum(outputs, axis=0).numpy()
            product += tf.matmul(columns, outputs, transpose_a=True).numpy()
        mean = total / count
        return Seen(square / count - np.outer(mean, mean), (product / count - np.outer(mean, sums / count)).T, count)

    def missing_mean(self, node: Synapse) -> np.ndarray:
        """Returns by how much the mean of each output channel is too small."""
        axis = weighted_family(node).weight_axis(node) + 1
        means = [
            tf.reduce_mean(tf.cast(self._applied(network, node, place), tf.float64), axis=_others(node, axis)).numpy()
            for place, network in enumerate((self._rounded, self._source))
        ]
        return means[1] - means[0]

    def _applied(self, network: Network, node: Node, place: int) -> tf.Tensor:
        inputs = [self._values[name][place] for name in node.inputs]
        if isinstance(node, Population):
            return relu(node, inputs[0])
        size = max(1, BATCH_MEMORY // (8 * max(int(np.prod(one.shape[1:])) for one in inputs)))
        starts = range(0, len(inputs[0]), size)
        return tf.concat([network.apply(node, [one[start : start + size] for one in inputs]) for start in starts], 0)


def _others(node: Node, axis: int) -> list[int]:
    return [other for other in range(len(node.shape) + 1) if other != axis]


def round_with_feedback(weights: np.ndarray, covariance: np.ndarray, bits: int) -> Levels:
    """Rounds weights `[channels, weights]` so that their products with inputs of this covariance change least.

    Args:
        weights: The weights, float64.
        covariance: Of what they are multiplied by, float64 `[weights, weights]`.
        bits: From 1 to 16.
    """
    variance = np.diag(covariance).copy()
    damping = _DAMPING * (variance.mean() or 1.0)
    # What varies most is rounded first, when all others can still make up for it.
    order = np.argsort(-variance, kind="stable")
    damped = covariance[np.ix_(order, order)] + damping * np.eye(len(order))
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    start = round_to_levels(weights, bits, importance=variance + damping)
    best, least = start, np.full(len(weights), np.inf)
    for scale in _SCALES if 2 ** (bits - 1) - 1 <= _FEW_LEVELS else (1.0,):
        codes = np.empty_like(start.codes)
        codes[:, order] = _codes(weights[:, order], start.scales * scale, factor, bits)
        found = _refitted(codes, weights, covariance + damping * np.eye(len(order)))
        missed = weights - found.values
        error = np.einsum("ci,ij,cj->c", missed, covariance, missed, optimize=True)
        better = error < least
        best = Levels(np.where(better[:, None], found.codes, best.codes), np.where(better, found.scales, best.scales))
        least = np.where(better, error, least)
    return best


def _codes(weights: np.ndarray, scales: np.ndarray, factor: np.ndarray, bits: int) -> np.ndarray:
    """Returns whole numbers for weights in the order in which they are rounded.

    Args:
        weights: The weights, `[channels, weights]`.
        scales: By channel.
        factor: The upper Cholesky factor of the inverse covariance.
        bits: From 1 to 16.
    """
    left, codes = weights.copy(), np.zeros(weights.shape, np.int32)
    most, steps = 2 ** (bits - 1) - 1, np.where(scales > 0, scales, 1.0)
    count = weights.shape[1]
    for begin in range(0, count, _BLOCK):
        end = min(begin + _BLOCK, count)
        passed = np.empty((len(weights), end - begin))
        for place in range(begin, end):
            column = left[:, place]
            rounded = np.clip(np.round(column / steps), -most, most) if most else np.where(column < 0, -1, 1)
            codes[:, place] = rounded
            missed = (column - scales * rounded) / factor[place, place]
            left[:, place + 1 : end] -= np.outer(missed, factor[place, place + 1 : end])
            passed[:, place - begin] = missed
        left[:, end:] -= passed @ factor[begin:end, end:]
    return codes


def _refitted(codes: np.ndarray, weights: np.ndarray, covariance: np.ndarray) -> Levels:
    """Returns levels with the scales of least squared error for these whole numbers."""
    weighted = codes @ covariance
    power = (weighted * codes).sum(axis=1)
    scales = (weighted * weights).sum(axis=1) / np.where(power > 0, power, 1.0)
    return Levels(codes, np.where(power > 0, scales, 0.0))
