"""Synapses that read spikes and nothing else: what they give is the sum of their weights' rows where there are spikes."""

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Graph, Population, Synapse
from snn_toolbox_tf.synapses.carriers import spike_carriers

#: Layers that there is a kernel for.
_CLASSES = ("Conv1D", "Conv2D", "Dense")


def event_synapses(graph: Graph) -> frozenset[str]:
    """Returns the names of the synapses that read spikes of height 1 and nothing else, and that there is a kernel for."""
    populations = graph.of_type(Population)
    if any(node.neuron.signed_spikes or node.spike_height != "unit" for node in populations):
        return frozenset()
    carriers = spike_carriers(graph)
    return frozenset(
        node.name for node in graph.of_type(Synapse) if set(node.inputs) <= carriers and has_kernel(node)
    )


def has_kernel(node: Synapse) -> bool:
    """Whether there is an event-driven kernel for a layer, whatever it reads."""
    config = node.layer.config
    return (
        node.dtype == "float32"
        and node.layer.class_name in _CLASSES
        and config.get("groups", 1) == 1
        and config.get("padding", "valid") in ("valid", "same")
        and config.get("data_format", "channels_last") == "channels_last"
    )


def event_driven(node: Synapse, layer: tf.Module, spikes: tf.Tensor) -> tf.Tensor:
    """Runs a layer on spikes.

    Args:
        node: The node, for which `has_kernel` holds.
        layer: Its layer.
        spikes: 0 or 1, float32 `[samples, ...]`.

    Returns:
        The layer's output, float32 `[samples, ...]`.
    """
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
    return tf.reshape(ops.spike_convolution(spikes, kernel, bias, window=window), [-1, *node.shape])
