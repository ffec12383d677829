"""Sums of tensors of different shapes: each is brought to the shape of the sum first."""

import math
from collections.abc import Callable

import numpy as np

from snn_toolbox_tf.graph import LayerSpec, Node, Synapse


def broadcast(add: Callable[[Node], str], node: Node, name: str, shape: tuple[int, ...]) -> str | None:
    """Adds the nodes that repeat a tensor along axes of size 1.

    Args:
        add: Adds a node to the graph and returns its name.
        node: The tensor.
        name: What the new nodes are called.
        shape: The shape to bring it to, without the batch axis.

    Returns:
        The name of the repeated tensor (that of `node` if nothing is to be done), or None if it cannot be done with layers:
        with more than three axes besides the last one.
    """
    source, sizes = node.name, (1,) * (len(shape) - len(node.shape)) + node.shape
    if sizes == shape:
        return source
    if sizes != node.shape:
        source = _synapse(add, f"{name}_expanded", source, sizes, "Reshape", {"target_shape": list(sizes)})
    if sizes[-1] != shape[-1]:
        sizes = (*sizes[:-1], shape[-1])
        ones = {"kernel": np.ones((1, shape[-1]))}
        config = {"units": shape[-1], "use_bias": False, "activation": "linear"}
        source = _synapse(add, f"{name}_channels", source, sizes, "Dense", config, ones)
    factors = [target // size for target, size in zip(shape[:-1], sizes[:-1], strict=True)]
    if math.prod(factors) == 1:
        return source
    if not 1 <= len(factors) <= 3:
        return None
    size = factors[0] if len(factors) == 1 else factors
    return _synapse(add, f"{name}_repeated", source, shape, f"UpSampling{len(factors)}D", {"size": size})


def _synapse(
    add: Callable[[Node], str],
    name: str,
    source: str,
    shape: tuple[int, ...],
    class_name: str,
    config: dict,
    weights: dict[str, np.ndarray] | None = None,
) -> str:
    layer = LayerSpec(class_name, config, weights or {})
    return add(Synapse(name, [source], shape, -1, layer=layer))
