"""Layers of users, which they have registered as affine."""

from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.graph import LayerSpec, Refusal
from snn_toolbox_tf.parse.place import Place, as_float64
from snn_toolbox_tf.synapses import FAMILIES, WeightedFamily, registered_name, variables_of

_NOT_AFFINE = Refusal(
    "it was registered with `snn.register_layer`, but is not affine: on random input f(a + b) differs from "
    "f(a) + f(b) - f(0)",
    "take the nonlinearity out of it, or make it a model of Keras layers",
)
_NOT_ONE_TENSOR = Refusal(
    "it was registered with `snn.register_layer`, but does not make one tensor of one tensor",
    "rebuild it from layers with one input and one output",
)
_TOLERANCE = 1e-4


def _without_bias_option(option: str) -> Refusal:
    return Refusal(
        f"it was registered as a layer with weights, but its configuration has no '{option}', by which conversion gives "
        "a layer a bias (a batch norm behind it is folded into it) or takes it away",
        f"give its constructor the argument `{option}`, and return it from `get_config()`",
    )


def lower_registered(place: Place, layer: Any) -> str:
    """Adds the node of a registered layer; refuses it if it is not affine."""
    class_name = registered_name(layer) or ""
    if len(place.inputs) != 1 or None in place.shape:
        return place.refuse(class_name, _NOT_ONE_TENSOR)
    if not _is_affine(layer, place.source.shape):
        return place.refuse(class_name, _NOT_AFFINE)
    family, config = FAMILIES[class_name], layer.get_config()
    if isinstance(family, WeightedFamily) and family.uses_bias not in config:
        return place.refuse(class_name, _without_bias_option(family.uses_bias))
    arrays = {name: _as_array(value) for name, value in variables_of(layer).items()}
    return place.synapse(LayerSpec(class_name, config, arrays))


def _as_array(weight: keras.Variable) -> np.ndarray:
    array = keras.ops.convert_to_numpy(weight)
    return array if array.dtype.kind in "iub" else as_float64(array)


def _is_affine(layer: Any, shape: tuple[int, ...]) -> bool:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, *shape)).astype(np.float32)
    batch = np.stack([first, second, first + second, np.zeros_like(first)])
    one, other, both, none = as_float64(layer(keras.ops.convert_to_tensor(batch)))
    size = max(np.abs(one).max(), np.abs(other).max(), 1e-30)
    return bool(np.abs(one + other - none - both).max() <= _TOLERANCE * size)
