"""What is trained of a network, each with the size of a step that is large for it."""

import dataclasses
from collections.abc import Collection

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.network.network import Network
from snn_toolbox_tf.synapses import weighted_family


@dataclasses.dataclass(frozen=True)
class Trained:
    """A variable, and the change that is a large one for it.

    Attributes:
        variable: The variable.
        unit: The change.
    """

    variable: tf.Variable
    unit: float


def weights_of(network: Network, nodes: Collection[str] | None = None) -> list[Trained]:
    """Returns the weights of a network's layers, or of some of them; for each a change by its own size is a large one."""
    found = []
    for node, name, variable in network.weights():
        if nodes is not None and node.name not in nodes:
            continue
        kernel = _size(getattr(network.layers[node.name], weighted_family(node).kernel))
        unit = kernel if name == weighted_family(node).kernel else max(kernel, _size(variable))
        if unit > 0:
            found.append(Trained(variable.value, unit))
    return found


def _size(variable: keras.Variable) -> float:
    return float(np.sqrt(np.square(keras.ops.convert_to_numpy(variable).astype(np.float64)).mean()))
