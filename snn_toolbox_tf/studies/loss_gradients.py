"""The gradient of the loss with respect to the input: of the source, and of the spiking network through its surrogate.

The loss is the cross entropy of the true class.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import inputs_of, pack
from snn_toolbox_tf.simulation.block import BlockOptions
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.simulation.readout import readout_key, time_average
from snn_toolbox_tf.simulation.schedules import neurons_of
from snn_toolbox_tf.studies.attacks import LossGradient
from snn_toolbox_tf.tasks.kinds import last_activation


def source_gradient(model: keras.Model, graph: Graph, batch_size: int) -> LossGradient:
    """Returns what gives the gradient of the source's loss.

    Args:
        model: A source with one input and one output.
        graph: Its graph.
        batch_size: Samples at once.
    """
    structure = graph.input_structure
    return _by_batches(lambda x: model(pack(structure, [x]), training=False), graph, batch_size)


def surrogate_gradient(model_snn: SpikingModel, timesteps: int, name: str, batch_size: int) -> LossGradient:
    """Returns what gives the gradient of the spiking network's loss after T timesteps, through its surrogate gradient.

    Input is the data itself, a constant current. Poisson spikes have no gradient of their own; the data is what they have as
    their mean.

    Args:
        model_snn: A network with one input and one output, stepped in time, see `why_without_surrogate`.
        timesteps: T.
        name: The surrogate gradient, see `snn_toolbox_tf.ops.surrogate`.
        batch_size: Samples at once; all their timesteps are held in memory.
    """
    network, options = model_snn.network, BlockOptions(surrogate_gradient=name)
    loop = model_snn.runner.loop(InputOptions("analog"))
    ((node,), (readout,)) = inputs_of(network.graph), network.graph.readouts

    def outputs(x: tf.Tensor) -> tf.Tensor:
        state = loop.initial_state(tf.shape(x)[0], options)
        after = loop.advance({node.name: x}, state, timesteps, block_length=timesteps, options=options).state
        kept = after.nodes[readout_key(readout)]
        # Of a spiking softmax, what its draws are made of; of other outputs, the sum of their current.
        mean = time_average(readout.start, kept.get("potential", kept["sum"]), timesteps)
        return network.decode_one(0, mean)

    return _by_batches(outputs, network.graph, batch_size)


def why_without_surrogate(model_snn: SpikingModel) -> str | None:
    """Returns why a network has no surrogate gradient, or None if it has one."""
    if model_snn.runner.schedule != "step":
        return f"it has schedule='{model_snn.runner.schedule}'"
    signed = [name for name, neuron in neurons_of(model_snn.network.graph).items() if neuron.signed_spikes]
    return f"it has signed spikes in {signed}" if signed else None


def cross_entropy(labels: tf.Tensor, outputs: tf.Tensor, activation: str) -> tf.Tensor:
    """Returns the cross entropy of each sample, float64 `[samples]`.

    It is computed from what enters the softmax or sigmoid, in float64: where float32 probabilities round to 0 or 1, the
    gradient that they leave is 0, or leads astray.

    Args:
        labels: Class indices, `[samples]`.
        outputs: `[samples, classes]`, or `[samples, 1]` of a sigmoid; a tensor of a graph.
        activation: The function that they come from, "softmax", "sigmoid" or another one; behind that they are taken as
            logits, unless there is one class.
    """
    if outputs.shape[-1] == 1:
        logits = _entering("Sigmoid", outputs, lambda p: tf.math.log(p) - tf.math.log1p(-p))[:, 0]
        return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, logits.dtype), logits)
    logits = _entering("Softmax", outputs, tf.math.log) if activation == "softmax" else tf.cast(outputs, tf.float64)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _entering(operation: str, outputs: tf.Tensor, inverse: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Returns what enters the operation that outputs come from, or where that is another one, its inverse of them."""
    if outputs.op.type == operation:
        return tf.cast(outputs.op.inputs[0], tf.float64)
    smallest = tf.constant(np.finfo(np.float32).tiny, tf.float64)
    return inverse(tf.clip_by_value(tf.cast(outputs, tf.float64), smallest, 1.0 - 2.0**-53))


def _by_batches(outputs: Callable[[tf.Tensor], Any], graph: Graph, batch_size: int) -> LossGradient:
    """Returns the gradient of the cross entropy of what a function gives, traced once."""
    (node,) = inputs_of(graph)
    (readout,) = graph.readouts
    activation = last_activation(readout)
    signature = [tf.TensorSpec((None, *node.shape), tf.float32), tf.TensorSpec((None,), tf.int64)]

    def gradient(x: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            (output,) = keras.tree.flatten(outputs(x))
            # A sum: what a sample gets does not depend on the others of its batch.
            loss = tf.reduce_sum(cross_entropy(labels, output, activation))
        found = tape.gradient(loss, x)
        return tf.zeros_like(x) if found is None else found

    traced = [tf.function(gradient, input_signature=signature, autograph=False)]

    def run(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(traced[0](tf.constant(x), tf.constant(labels)))
        except tf.errors.UnimplementedError:
            # Some channels-first operations are there on CPUs for XLA only.
            traced[0] = tf.function(gradient, input_signature=signature, autograph=False, jit_compile=True)
            return np.asarray(traced[0](tf.constant(x), tf.constant(labels)))

    def every(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        places = range(0, len(x), batch_size)
        parts = [run(x[place : place + batch_size], labels[place : place + batch_size]) for place in places]
        # A gradient that is no number leads nowhere.
        return np.nan_to_num(np.concatenate(parts), nan=0.0)

    return every
