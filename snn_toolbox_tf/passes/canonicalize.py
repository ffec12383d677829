"""Rewrites layers as the few kinds that later passes know.

Batch normalization becomes `Scale`; Average becomes Add and `Scale`; a separable convolution
becomes a depthwise and a pointwise one.
"""

import numpy as np

from snn_toolbox_tf.graph import Graph, LayerSpec, Synapse
from snn_toolbox_tf.kernels import scale_spec


def canonicalize(graph: Graph) -> None:
    """Applies all rewrites of this module."""
    for node in graph.of_type(Synapse):
        name = node.layer.class_name
        if name == "BatchNormalization":
            factor, offset = _batch_normalization(node.layer)
            node.moments = _moments(node.layer, factor.size)
            node.layer = scale_spec(factor, offset, node.channel_axis + 1)
        elif name == "Average":
            _split_average(graph, node)
        elif name in ("SeparableConv1D", "SeparableConv2D"):
            _split_separable(graph, node)


def _batch_normalization(layer: LayerSpec) -> tuple[np.ndarray, np.ndarray]:
    weights = layer.weights
    factor = weights.get("gamma", 1.0) / np.sqrt(weights["moving_variance"] + layer.config["epsilon"])
    return factor, weights.get("beta", 0.0) - weights["moving_mean"] * factor


def _moments(layer: LayerSpec, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of what a batch norm puts out: beta and gamma^2."""
    return layer.weights.get("beta", np.zeros(channels)), layer.weights.get("gamma", np.ones(channels)) ** 2


def _split_average(graph: Graph, node: Synapse) -> None:
    count = len(node.inputs)
    node.layer = LayerSpec("Add", {})
    scale = Synapse(
        graph.unique_name(f"{node.name}_scale"),
        [node.name],
        node.shape,
        node.channel_axis,
        layer=scale_spec(np.full(1, 1.0 / count), None, node.channel_axis + 1),
    )
    graph.insert_behind(scale)


_DEPTHWISE_ONLY = ("filters", "pointwise_initializer", "pointwise_regularizer", "pointwise_constraint")


def _split_separable(graph: Graph, node: Synapse) -> None:
    config, weights = node.layer.config, node.layer.weights
    dimensions = node.layer.class_name.removeprefix("SeparableConv")
    depthwise = {key: value for key, value in config.items() if key not in _DEPTHWISE_ONLY}
    depthwise["use_bias"] = False
    channels = weights["pointwise_kernel"].shape[-2]
    shape = list(node.shape)
    shape[node.channel_axis] = channels
    first = Synapse(
        graph.unique_name(f"{node.name}_depthwise"),
        node.inputs,
        tuple(shape),
        node.channel_axis,
        layer=LayerSpec(f"DepthwiseConv{dimensions}", depthwise, {"kernel": weights["depthwise_kernel"]}),
    )
    pointwise = {
        "filters": config["filters"],
        "kernel_size": 1,
        "data_format": config["data_format"],
        "use_bias": config["use_bias"],
        "activation": "linear",
    }
    arrays = {"kernel": weights["pointwise_kernel"]}
    if "bias" in weights:
        arrays["bias"] = weights["bias"]
    graph.insert(first, before=node.name)
    node.inputs = [first.name]
    node.layer = LayerSpec(f"Conv{dimensions}", pointwise, arrays)
