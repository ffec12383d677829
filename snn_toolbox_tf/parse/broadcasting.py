"""Sums of tensors of different shapes: each is brought to the shape of the sum first."""

import math

import numpy as np

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.synapses import NodeSequence


def broadcast(graph: Graph, source: str, name: str, shape: tuple[int, ...]) -> str | None:
    """Adds the nodes that repeat a tensor along axes of size 1.

    Args:
        graph: The graph.
        source: Name of the tensor's node.
        name: Name of the sum.
        shape: The shape to bring it to, without the batch axis.

    Returns:
        The name of the repeated tensor (`source` if nothing is to be done), or None if it cannot be done with layers: with
        more than three axes besides the last one.
    """
    before = graph[source].shape
    sizes = (1,) * (len(shape) - len(before)) + before
    if sizes == shape:
        return source
    factors = [target // size for target, size in zip(shape[:-1], sizes[:-1], strict=True)]
    if math.prod(factors) > 1 and not 1 <= len(factors) <= 3:
        return None
    sequence = NodeSequence(graph, f"{name}_{source}", source, origin=name).reshape(sizes)
    if sizes[-1] != shape[-1]:
        config = {"units": shape[-1], "use_bias": False, "activation": "linear"}
        sequence.synapse("Dense", config, (*sizes[:-1], shape[-1]), {"kernel": np.ones((1, shape[-1]))})
    if math.prod(factors) > 1:
        size = factors[0] if len(factors) == 1 else factors
        sequence.synapse(f"UpSampling{len(factors)}D", {"size": size}, shape)
    return sequence.node.name
