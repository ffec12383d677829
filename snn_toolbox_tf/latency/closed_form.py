"""The quantised closed form of a clocked network: an independent oracle.

A population with S timesteps in a window of range R is a ReLU whose values are rounded to multiples of u = R / S:

    x = u * clip(floor(V / u + 1/2), 0, S)

(without 1/2 where values are rounded down), and so is an input. It knows nothing of times.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Node
from snn_toolbox_tf.latency.latency_model import LatencyModel
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import as_arrays
from snn_toolbox_tf.network.network import relu


def quantized_values(model_snn: LatencyModel, x: Any) -> tuple[dict[str, np.ndarray], Any]:
    """Evaluates the closed form.

    Args:
        model_snn: A network with timesteps.
        x: Arrays in the structure of the source's inputs, `[samples, ...]`.

    Returns:
        Whole numbers of timesteps by population and input, float64 `[samples, ...]`: by how many a neuron spikes before the
        end of its window, negative for the neurons of negative inputs; and the decoded outputs, float32, in the source's
        structure.

    Raises:
        ValueError: If the network runs in continuous time, in which nothing is quantised.
    """
    record = model_snn.conversion
    steps, half = record.code.steps, 0.5 if record.code.rounding == "nearest" else 0.0
    if steps is None:
        raise ValueError(
            f"LatencyModel '{model_snn.name}' runs in continuous time. Expected one that was converted with "
            "`timesteps_per_window`."
        )
    exact = Network(model_snn.network.graph_with_weights(), dtype="float64")
    counts: dict[str, Any] = {}

    def rounded(node: Node, value: Any) -> Any:
        unit = record.ranges[node.name] / steps
        counts[node.name] = np.clip(np.floor(value / unit + half), 0, steps)
        return unit * counts[node.name]

    known = {}
    for name, array in as_arrays(x, exact.graph, argument="x").items():
        value = np.asarray(array, np.float32).astype(np.float64)
        if name in record.ranges:
            positive, negative = rounded(exact.graph[name], value), np.zeros(())
            if name in record.signed_inputs:
                steps_up = counts[name]
                negative = rounded(exact.graph[name], -value)
                counts[name] = steps_up - counts[name]
            value = positive - negative
        known[name] = tf.constant(value)
    values = exact.run(known, population=lambda node, value: tf.constant(rounded(node, relu(node, value).numpy())))
    outputs = exact.decode([values[readout.node] for readout in exact.graph.readouts])
    return counts, keras.tree.map_structure(np.asarray, outputs)
