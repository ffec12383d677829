"""What a TimeDistributed wrapper does: the nodes of what it wraps, with one more axis in front.

Most layers do the same with one more axis, or can be told to. Where not, the axis becomes part of the channels while the
layer runs, and its weights are repeated.
"""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.chain import Chain
from snn_toolbox_tf.graph import Activation, Graph, Input, LayerSpec, MaxPool, Node, Synapse, Unsupported
from snn_toolbox_tf.passes.canonicalize import canonicalize
from snn_toolbox_tf.passes.use_channels_last import use_channels_last
from snn_toolbox_tf.vocabulary import Role

#: Synapses that do the same with one more axis in front.
_INDIFFERENT = ("Dense", "Scale", "Add", "Subtract", "Concatenate")
_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose")


def distribute(inner: Graph, graph: Graph, source: str, names: dict[str, str]) -> str:
    """Adds the nodes of a wrapped layer or model, each of which works on all steps at once.

    Args:
        inner: Graph of what is wrapped, with one input and one readout; it is changed.
        graph: The graph to add to.
        source: Name of the node that is read, `[steps, ...]`.
        names: The names that inner nodes shall have; those of others are made up.

    Returns:
        The name of the node that gives the output.
    """
    canonicalize(inner)
    use_channels_last(inner)
    inner.sort()
    steps = graph[source].shape[0]
    placed: dict[str, str] = {}
    for node in inner:
        if isinstance(node, Input):
            placed[node.name] = source
            continue
        wanted = names.get(node.name) or f"{next(iter(names.values()))}_{node.name}"
        copy = dataclasses.replace(node, name=graph.unique_name(wanted), inputs=[placed[name] for name in node.inputs])
        placed[node.name] = _distribute_node(graph, copy, inner[node.inputs[0]].shape, steps)
    return placed[inner.readouts[0].node]


def _distribute_node(graph: Graph, node: Node, before: tuple[int, ...], steps: int) -> str:
    """Adds a node, which has its inputs already, for all steps; `before` is the shape of its input in one step."""
    if isinstance(node, MaxPool):
        return _fold(graph, node, before, steps)
    if isinstance(node, (Activation, Synapse)):
        layer = _one_axis_more(node.layer, node.shape, before, steps)
        if layer is None and isinstance(node, Synapse) and _foldable(node.layer):
            return _fold(graph, node, before, steps)
        if layer is not None:
            node.layer = layer
        else:
            refusal = vocabulary.DISTRIBUTED
            node = Unsupported(node.name, node.inputs, node.shape, node.channel_axis, class_name=node.layer.class_name)
            node.reason, node.remedy = refusal.reason, refusal.remedy
    node.shape, node.channel_axis = (steps, *node.shape), node.channel_axis + 1
    graph.insert(node)
    return node.name


def _one_axis_more(spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int) -> LayerSpec | None:
    """Returns the layer that does the same with one more axis in front, or None if Keras has none."""
    class_name, config = spec.class_name, spec.config
    if class_name in ("Flatten", "Reshape"):
        return LayerSpec("Reshape", {"target_shape": [steps, *shape]})
    if class_name == "Permute":
        return LayerSpec("Permute", {"dims": [1, *(dim + 1 for dim in config["dims"])]})
    if class_name == "Select":
        indices, size = spec.weights["indices"], int(np.prod(before))
        shifted = [np.where(indices > 0, indices + step * size, 0) for step in range(steps)]
        return LayerSpec("Select", {"target_shape": [steps, *shape]}, {"indices": np.concatenate(shifted)})
    if class_name in _INDIFFERENT or class_name not in vocabulary.ROLES:
        axis = {"axis": _shifted(config["axis"])} if "axis" in config else {}
        return LayerSpec(class_name, {**config, **axis}, spec.weights)
    if class_name in _CONVOLUTIONS and _plain(config):
        return _one_dimension_more(spec)
    return None


def _shifted(axis: Any) -> Any:
    """Axes that are counted from the front move by one."""
    if isinstance(axis, (list, tuple)):
        return [_shifted(one) for one in axis]
    return axis + 1 if axis is not None and axis > 0 else axis


def _plain(config: dict[str, Any]) -> bool:
    """Whether a convolution is one that TensorFlow's kernels of one dimension more can do."""
    dilated = any(rate > 1 for rate in np.ravel(config.get("dilation_rate", 1)))
    return not dilated and config.get("groups", 1) == 1 and config.get("padding") != "causal"


def _one_dimension_more(spec: LayerSpec) -> LayerSpec:
    """A convolution with a window of size 1 along the new axis."""
    dimensions = int(spec.class_name[len("Conv")])
    config = dict(spec.config)
    for key, value in (("kernel_size", 1), ("strides", 1), ("dilation_rate", 1), ("output_padding", 0)):
        if config.get(key) is not None:
            config[key] = [value, *np.broadcast_to(config[key], dimensions).tolist()]
    weights = {**spec.weights, "kernel": spec.weights["kernel"][np.newaxis]}
    return LayerSpec(spec.class_name.replace(f"{dimensions}D", f"{dimensions + 1}D"), config, weights)


def _foldable(spec: LayerSpec) -> bool:
    """Whether a layer keeps channels apart, or can be told to keep groups of them apart."""
    return vocabulary.role(spec.class_name) is Role.CHANNELWISE or (
        spec.class_name.startswith("DepthwiseConv") or spec.class_name in ("Conv1D", "Conv2D")
    )


def _fold(graph: Graph, node: Synapse | MaxPool, before: tuple[int, ...], steps: int) -> str:
    """Adds a layer that runs with the steps as part of the channels."""
    chain, rank = Chain(graph, node.name, node.inputs[0]), len(before)
    chain.permute([*range(1, rank), 0, rank]).reshape((*before[:-1], steps * before[-1]))
    node.layer = _for_channels(node.layer, steps)
    shape, rank = node.shape, len(node.shape)
    chain.add(dataclasses.replace(node, shape=(*shape[:-1], steps * shape[-1])))
    chain.reshape((*shape[:-1], steps, shape[-1])).permute([rank - 1, *range(rank - 1), rank])
    return chain.end()


def _for_channels(spec: LayerSpec, times: int) -> LayerSpec:
    """Returns a layer for so many times as many channels, each set of which it treats alike."""
    config, weights = dict(spec.config), dict(spec.weights)
    if "kernel" in weights:
        kernel, axis = weights["kernel"], -2 if spec.class_name.startswith("Depthwise") else -1
        weights["kernel"] = np.concatenate([kernel] * times, axis=axis)
        if axis == -1:
            # As groups: an output channel reads the inputs of its own group.
            config["groups"] = config.get("groups", 1) * times
            config["filters"] = config["filters"] * times
    if "bias" in weights:
        weights["bias"] = np.tile(weights["bias"], times)
    return LayerSpec(spec.class_name, config, weights)
