"""Takes rectifiers apart that are more than a ReLU: one ReLU per piece, put together by Scale and Add.

A LeakyReLU becomes max(x, 0) - slope * max(-x, 0): two populations, one of which reads the negative current.
"""

import numpy as np

from snn_toolbox_tf.activations import Piece, Rectifier, rectifier_of
from snn_toolbox_tf.graph import Activation, Graph, LayerSpec, Synapse
from snn_toolbox_tf.synapses import scale_nodes, scale_spec


def split_rectifiers(graph: Graph) -> None:
    """Rewrites every activation that is a rectifier, but no plain ReLU."""
    for node in graph.of_type(Activation):
        rectifier = rectifier_of(node.layer)
        if rectifier is not None and not rectifier.plain:
            _split(graph, node, rectifier)


def _split(graph: Graph, node: Activation, rectifier: Rectifier) -> None:
    """The first piece keeps the node's name: its population stands for the nonlinearity."""
    source = node.inputs[0]
    joined = graph.unique_name(f"{node.name}_joined")
    graph.redirect(node.name, joined)
    ends = []
    for place, piece in enumerate(rectifier.pieces):
        name = node.name if place == 0 else graph.unique_name(f"{node.name}_negative")
        entry = source
        if (piece.factor, piece.offset) != (1.0, 0.0):
            entry = _scaled(graph, node, f"{name}_entry", source, piece.factor, piece.offset)
        bounds = {"max_value": piece.max_value, "negative_slope": 0.0, "threshold": 0.0}
        layer = LayerSpec("ReLU", bounds)
        rectified = Activation(name, [entry], node.shape, node.channel_axis, origin=node.origin, layer=layer)
        if place == 0:
            graph.replace(rectified)
        else:
            graph.insert(rectified, after=entry)
        ends.append(_weighed(graph, node, name, piece, rectifier.constant if place == 0 else 0.0))
    if len(ends) > 1:
        total = Synapse(joined, ends, node.shape, node.channel_axis, origin=node.origin, layer=LayerSpec("Add", {}))
        graph.insert(total, after=ends[-1])
    else:
        graph.redirect(joined, ends[0])


def _weighed(graph: Graph, node: Activation, name: str, piece: Piece, constant: float) -> str:
    """Returns the name of a piece with its gain, and the function's constant."""
    gain = np.asarray(piece.gain, np.float64)
    if gain.size == 1:
        if float(gain.reshape(())) == 1.0 and constant == 0.0:
            return name
        return _scaled(graph, node, f"{name}_gain", name, float(gain.reshape(())), constant)
    gains = gain.reshape((1,) * (len(node.shape) - gain.ndim) + gain.shape)
    for scale in scale_nodes(graph, f"{name}_gain", graph[name], gains):
        graph.insert(scale, after=scale.inputs[0])
        name = scale.name
    return name


def _scaled(graph: Graph, node: Activation, wanted: str, source: str, factor: object, offset: float) -> str:
    values = np.atleast_1d(np.asarray(factor, np.float64))
    spec = scale_spec(values, np.full(values.shape, offset) if offset else None, node.channel_axis + 1)
    name = graph.unique_name(wanted)
    scale = Synapse(name, [source], node.shape, node.channel_axis, origin=node.origin, layer=spec)
    graph.insert(scale, after=source)
    return name
