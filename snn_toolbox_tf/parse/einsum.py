"""EinsumDense layers that are Dense layers."""

import re
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import LayerSpec

_EQUATION = re.compile(
    r"(?P<batch>[a-zA-Z.]*)(?P<old>[a-zA-Z]),(?P<kernel>[a-zA-Z]{2})->(?P<out>[a-zA-Z.]*)(?P<new>[a-zA-Z])"
)


def acts_on_last_axis(equation: str) -> bool:
    """Whether an equation multiplies the last axis by a matrix and leaves all others alone, as Dense does.

    >>> acts_on_last_axis("abc,cd->abd"), acts_on_last_axis("...x,xy->...y"), acts_on_last_axis("abc,bd->adc")
    (True, True, False)
    """
    match = _EQUATION.fullmatch(equation.replace(" ", ""))
    if match is None or match["batch"] != match["out"]:
        return False
    return set(match["kernel"]) == {match["old"], match["new"]} and match["old"] != match["new"]


def is_dense(layer: Any) -> bool:
    """Whether an `EinsumDense` layer does what a `Dense` layer can do."""
    bias = layer.bias
    return acts_on_last_axis(layer.equation) and (bias is None or bias.shape[-1] == int(np.prod(bias.shape)))


def dense_spec(layer: LayerSpec) -> LayerSpec:
    """Returns an `EinsumDense` that acts on the last axis as a `Dense`."""
    match = _EQUATION.fullmatch(layer.config["equation"].replace(" ", ""))
    kernel = layer.weights["kernel"]
    if match is not None and match["kernel"] == match["new"] + match["old"]:
        kernel = kernel.T
    weights = {"kernel": np.ascontiguousarray(kernel)}
    bias = layer.weights.get("bias")
    if bias is not None:
        weights["bias"] = np.broadcast_to(bias.reshape(-1), (kernel.shape[1],)).copy()
    config = {"units": int(kernel.shape[1]), "use_bias": bias is not None, "activation": "linear"}
    return LayerSpec("Dense", config, weights)
