"""How a scale (one factor per channel or element of a tensor) moves through affine layers that carry no weights.

A scale is a float64 array that broadcasts against a tensor's per-sample shape: `true value = scale * normalised value`.
"""

import numpy as np

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Graph, MaxPool, Node, Population, Synapse, sample_axis
from snn_toolbox_tf.kernels import per_channel
from snn_toolbox_tf.vocabulary import Role

Scale = np.ndarray


def node_role(node: Node) -> Role | None:
    """The role of a synapse; max pooling counts as channelwise, other nodes have none."""
    if isinstance(node, MaxPool):
        return Role.CHANNELWISE
    return vocabulary.role(node.layer.class_name) if isinstance(node, Synapse) else None


def moves_values_only(node: Node) -> bool:
    """Whether a node with one input puts out nothing but values of that input, and zeros."""
    if node_role(node) is Role.REARRANGING:
        return True
    if isinstance(node, MaxPool):
        return node.rule == "winner_take_all"
    if not isinstance(node, Synapse):
        return False
    name, config = node.layer.class_name, node.layer.config
    if name.startswith("AveragePooling"):
        return all(size == 1 for size in np.ravel(config["pool_size"]))
    return name.startswith(("ZeroPadding", "Cropping"))


def spike_carriers(graph: Graph) -> set[str]:
    """Returns the names of populations, and of what only moves their spikes about."""
    names: set[str] = set()
    for node in graph:
        wiring = node_role(node) is Role.CONCATENATE or moves_values_only(node)
        if isinstance(node, Population) or (wiring and all(name in names for name in node.inputs)):
            names.add(node.name)
    return names


def current_readers(graph: Graph) -> set[str]:
    """Returns the names of weighted layers that read what spikes have become on the way, with no population between."""
    spiking, carriers = graph.spiking_ancestry(), spike_carriers(graph)
    return {
        node.name
        for node in graph
        if node_role(node) is Role.WEIGHTED
        and node.name in spiking
        and any(name not in carriers for name in node.inputs)
    }


def push(node: Node, source: Node, scale: Scale) -> Scale | None:
    """Returns the scale of a weightless node's output if its input has this scale, or None if it has none."""
    return _carry(node, scale, source, node, backwards=False)


def pull(node: Node, source: Node, scale: Scale) -> Scale | None:
    """Returns the scale that an input of a weightless node must have for its output to have this one, or None."""
    return _carry(node, scale, node, source, backwards=True)


def _carry(node: Node, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
    rank = len(end.shape)
    if scale.size == 1:
        return scale.reshape((1,) * rank)
    role = node_role(node)
    if role in (Role.ROUND, Role.SUM):
        return scale
    padding = _padding(node)
    if padding is not None:
        return _padded(scale, start, padding, crop=backwards != node_class(node).startswith("Cropping"))
    if role is Role.CHANNELWISE:
        # All layers run channels last.
        vector = per_channel(scale, start.shape)
        return None if vector is None else vector.reshape((1,) * (rank - 1) + (-1,))
    if role is Role.REARRANGING:
        return _rearranged(node, scale, start, end, backwards=backwards)
    return None


def node_class(node: Node) -> str:
    """The class name of a node's layer; empty if it has none."""
    return node.layer.class_name if isinstance(node, (Synapse, MaxPool)) else ""


def _padding(node: Node) -> list[tuple[int, int]] | None:
    """What a padding or cropping layer adds or takes at both ends of each axis; None for other layers."""
    name = node_class(node)
    if not isinstance(node, Synapse) or not name.startswith(("ZeroPadding", "Cropping")):
        return None
    config = node.layer.config["padding" if name.startswith("Zero") else "cropping"]
    # One dimension has a plain pair, several have one pair each.
    pairs = [config] if not isinstance(config[0], (list, tuple)) else config
    return [*((int(first), int(last)) for first, last in pairs), (0, 0)]


def _padded(scale: Scale, start: Node, padding: list[tuple[int, int]], *, crop: bool) -> Scale:
    """Padded zeros may have any scale: they take that of their neighbours."""
    result = scale
    for axis, (first, last) in enumerate(padding):
        if scale.shape[axis] == 1:
            continue
        if crop:
            result = np.take(result, range(first, start.shape[axis] - last), axis=axis)
        else:
            result = np.pad(result, [(first, last) if i == axis else (0, 0) for i in range(result.ndim)], mode="edge")
    return result


def _rearranged(node: Node, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
    if isinstance(node, Synapse) and node.layer.class_name == "Permute":
        order = [axis - 1 for axis in node.layer.config["dims"]]
        return scale.transpose(np.argsort(order) if backwards else order)
    if isinstance(node, Synapse) and node.layer.class_name == "Select":
        return _selected(node.layer.weights["indices"], scale, start, end, backwards=backwards)
    return np.broadcast_to(scale, start.shape).reshape(end.shape)


def _selected(indices: np.ndarray, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
    """Zeros, and what nobody reads, may have any scale: they take that of their channel."""
    given = np.broadcast_to(scale, start.shape).reshape(-1)
    indices = indices.astype(np.int64)
    result = np.full(int(np.prod(end.shape)) + 1, np.nan)
    if backwards:
        result[indices] = given
        if not (result[indices] == given)[indices > 0].all():
            return None
        result = result[1:]
    else:
        result = np.concatenate([[np.nan], given])[indices]
    channels = result.reshape(-1, end.shape[-1])
    known = np.nan_to_num(np.fmax.reduce(channels, axis=0), nan=1.0)
    return np.where(np.isnan(channels), known, channels).reshape(end.shape)


def concatenation_axis(node: Synapse) -> int:
    """The axis of a Concatenate, counted without the batch axis."""
    return sample_axis(node.layer.config.get("axis", -1), len(node.shape))


def weight_axis(node: Synapse) -> int:
    """The axis of a weighted layer's output along which it has weights of its own: all layers run channels last."""
    if node.layer.class_name == "Scale":
        return sample_axis(node.layer.config["axis"], len(node.shape))
    return len(node.shape) - 1


def concatenated(graph: Graph, node: Synapse, scales: list[Scale]) -> Scale:
    """The scale of a Concatenate's output for those of its inputs."""
    axis = concatenation_axis(node)
    rank = len(node.shape)
    parts = []
    common = np.broadcast_shapes(*[tuple(1 if i == axis else s.shape[i] for i in range(rank)) for s in scales])
    for name, scale in zip(node.inputs, scales, strict=True):
        size = graph[name].shape[axis]
        parts.append(np.broadcast_to(scale, tuple(size if i == axis else common[i] for i in range(rank))))
    return np.concatenate(parts, axis=axis)


def sliced(graph: Graph, node: Synapse, index: int, scale: Scale) -> Scale:
    """The part of a Concatenate's output scale that belongs to its input number `index`."""
    axis = concatenation_axis(node)
    if scale.shape[axis] == 1:
        return scale
    start = sum(graph[name].shape[axis] for name in node.inputs[:index])
    return np.take(scale, range(start, start + graph[node.inputs[index]].shape[axis]), axis=axis)
