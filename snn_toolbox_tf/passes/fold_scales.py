"""Folds a `Scale` (batch norm above all) into the weighted layer in front of it, where that is exact.

It is exact if the weighted layer's output is read by the scale alone and nothing nonlinear stands between them: a
population between them is another node, so it is never folded through. Otherwise the scale stays a synapse.
"""

import numpy as np

from snn_toolbox_tf.graph import Graph, Synapse
from snn_toolbox_tf.synapses import is_scale, is_weighted, weighted_family


def fold_scales(graph: Graph) -> None:
    """Folds every scale that can be folded, first to last."""
    for scale in graph.of_type(Synapse):
        source = graph[scale.inputs[0]]
        if not is_scale(scale) or not isinstance(source, Synapse):
            continue
        if _foldable(graph, source, scale):
            _fold(source, scale)
            source.moments = scale.moments
            graph.remove(scale.name)
            if source.origin == scale.origin and source.name != source.origin:
                # Both stand for one part of the source, whose name the scale had as the last of them.
                graph.rename(source.name, scale.name)


def _foldable(graph: Graph, source: Synapse, scale: Synapse) -> bool:
    return (
        is_weighted(source)
        and graph.readers(source.name) == 1
        and (scale.layer.config["channels"] == 1 or _same_axis(source, scale))
    )


def _same_axis(source: Synapse, scale: Synapse) -> bool:
    """Layers still run in the layout of the source here, so a convolution's channels may come first."""
    if is_scale(source) and source.layer.config["channels"] == 1:
        return True
    axis = weighted_family(source).weight_axis(source) if is_scale(source) else source.channel_axis
    return axis == weighted_family(scale).weight_axis(scale)


def _fold(source: Synapse, scale: Synapse) -> None:
    factor = scale.layer.weights["factor"]
    if is_scale(source) and source.layer.config["channels"] == 1:
        source.layer.config["axis"] = scale.layer.config["axis"]
    family = weighted_family(source)
    family.scale_output(source.layer, factor)
    if scale.layer.config["use_offset"] and np.any(scale.layer.weights["offset"]):
        family.add_bias(source.layer, scale.layer.weights["offset"], channels=source.shape[source.channel_axis])
