"""Synapses that read spikes and nothing else: what they give is the sum of their weights' rows where there are spikes."""

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Graph, Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.synapses.carriers import spike_carriers

#: What runs synapses that read spikes: their Keras layers, kernels that work only where there are spikes, or what is faster.
ENGINES = ("auto", "dense", "event")
#: The event-driven kernel is chosen for so many outputs or more, and a smaller share of active inputs: with some distance to
#: where both take as long on AVX-512 (benchmarks/event_kernels.py). Narrow layers gain in the kernel and lose around it.
FEWEST_OUTPUTS, LARGEST_RATE = 64, 0.25
#: A part of the samples tells the share of active inputs.
LOOKED_AT = 1 / 8
#: Layers that there is a kernel for.
_CLASSES = ("Conv1D", "Conv2D", "Dense")


def event_synapses(graph: Graph, engine: str) -> frozenset[str]:
    """Returns the names of the synapses that an engine may run event-driven.

    They read unsigned spikes of height 1 and nothing else, and there is a kernel for them; with "auto", one that may pay.
    """
    populations = graph.of_type(Population)
    if engine == "dense" or any(node.neuron.signed_spikes or node.spike_height != "unit" for node in populations):
        return frozenset()
    carriers = spike_carriers(graph)
    return frozenset(
        node.name
        for node in graph.of_type(Synapse)
        if set(node.inputs) <= carriers and has_kernel(node) and (engine == "event" or node.shape[-1] >= FEWEST_OUTPUTS)
    )


def has_kernel(node: Synapse) -> bool:
    """Whether there is an event-driven kernel for a layer, whatever it reads."""
    config = node.layer.config
    return (
        node.dtype == "float32"
        and node.layer.class_name in _CLASSES
        and config.get("groups", 1) == 1
        and config.get("activation") in (None, "linear")
        and config.get("padding", "valid") in ("valid", "same")
        and config.get("data_format", "channels_last") == "channels_last"
    )


def run_on_spikes(network: Network, node: Synapse, spikes: tf.Tensor, *, engine: str) -> tf.Tensor:
    """Runs a layer of `event_synapses` on spikes; "auto" decides by how many there are.

    Args:
        network: The network.
        node: The layer's node.
        spikes: 0 or 1, float32 `[samples, ...]`.
        engine: "auto" or "event".

    Returns:
        The layer's output, float32 `[samples, ...]`; the same bits either way.
    """
    layer = network.layers[node.name]
    if engine == "event":
        return _event_driven(node, layer, spikes)
    # In the middle, all timesteps being there one after the other; a stretch of samples is no copy.
    count = tf.cast(tf.shape(spikes)[0], tf.float32)
    middle = tf.cast(count / 2, tf.int32)
    part = spikes[middle : middle + tf.cast(tf.math.ceil(count * LOOKED_AT), tf.int32)]
    # Of no samples it is NaN, and the layer runs.
    return tf.cond(
        tf.reduce_mean(part) < LARGEST_RATE,
        lambda: _event_driven(node, layer, spikes),
        lambda: tf.ensure_shape(network.apply(node, [spikes]), [None, *node.shape]),
    )


def _event_driven(node: Synapse, layer: keras.layers.Layer, spikes: tf.Tensor) -> tf.Tensor:
    kernel = tf.convert_to_tensor(layer.kernel)
    bias = tf.convert_to_tensor(layer.bias) if layer.use_bias else None
    config = node.layer.config
    channels = spikes.shape[-1]
    if node.layer.class_name == "Dense":
        # Each position of the axes in front of the last one is a column.
        spikes = tf.reshape(spikes, [-1, 1, int(np.prod(spikes.shape[1:-1], dtype=int)), channels])
        kernel, strides, dilations = kernel[tf.newaxis, tf.newaxis], (1, 1), (1, 1)
    else:
        dimensions = 1 if node.layer.class_name == "Conv1D" else 2
        strides, dilations = (
            (1,) * (2 - dimensions) + tuple(np.broadcast_to(config.get(key, 1), dimensions).tolist())
            for key in ("strides", "dilation_rate")
        )
        if dimensions == 1:
            spikes, kernel = spikes[:, tf.newaxis], kernel[tf.newaxis]
    window = ops.ConvolutionWindow(strides, dilations, config.get("padding", "valid"))
    current = ops.spike_convolution(spikes, kernel, bias, window=window)
    return tf.ensure_shape(tf.reshape(current, [-1, *node.shape]), [None, *node.shape])
