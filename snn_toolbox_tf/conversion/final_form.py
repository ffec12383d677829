"""The last step of a conversion: thresholds of 1, the grid, and what feeds biases."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf.conversion.circuits import ends_in_softmax, period_of
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.graph import Graph, InputNode
from snn_toolbox_tf.grid import Observed, observed, quantize
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.passes.feed_biases import charge_biases, feed_biases
from snn_toolbox_tf.passes.normalize import normalize


def put_on_grid(graph: Graph, options: ConversionOptions, largest: dict[str, np.ndarray]) -> None:
    """Gives a calibrated graph, in place, the form in which it runs.

    Args:
        graph: The graph with its source's weights.
        options: Of the conversion.
        largest: Largest absolute value per channel of its nodes, seen in calibration.
    """
    scale = normalize(graph) if options.form == "normalized" else None
    period = period_of(options.bias_rate) if options.bias == "neuron" else None
    circuit: dict[str, Any] = {"spiking_input": options.input == "poisson"}
    if period is not None:
        charge_biases(graph, period, **circuit)
    if scale is not None:
        seen = observed(graph, largest, scale)
        quantize(graph, seen if period in (None, 1) else _with_room_for_charges(graph, seen))
    if period is not None:
        feed_biases(graph, period, **circuit)
    for readout in graph.readouts:
        readout.spiking_softmax = options.softmax == "spiking" and ends_in_softmax(readout)


def _with_room_for_charges(graph: Graph, seen: Observed) -> Observed:
    """Calibration has seen biases, and not the larger charges that come together with a spike of the bias neuron."""
    silent = {node.name: np.zeros((1, *node.shape), np.float32) for node in graph.of_type(InputNode)}
    charges = Network(graph).run_as_ann(silent)
    room = {name: value + 2 * float(np.abs(charges[name]).max()) for name, value in seen.analog.items()}
    return dataclasses.replace(seen, analog=room)
