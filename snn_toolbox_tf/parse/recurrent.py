"""Recurrent layers, unrolled: one population for each step of the sequence, all of them windows of the same neurons.

A step of the sequence is a window of T timesteps. Recurrent connections have a conduction delay of T: in timestep k of a
window, a neuron receives the spikes that its layer has emitted in timestep k of the window before. So a network whose
windows stand side by side, each with a copy of the neurons, computes the same; passes, calibration and simulation need not
know of sequences. What the windows have in common, `Node.tied` says.
"""

from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.activations import rectifier_of
from snn_toolbox_tf.graph import Activation, LayerSpec, Node, Refusal, Synapse
from snn_toolbox_tf.parse import refusals
from snn_toolbox_tf.parse.place import Place, as_float64
from snn_toolbox_tf.parse.specs import function_spec
from snn_toolbox_tf.synapses import scale_spec

#: Layers, and cells, that multiply rates by each other.
_GATED = {"LSTM", "GRU", "LSTMCell", "GRUCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}


def lower_recurrent(place: Place, layer: Any) -> str:
    """Adds the nodes of a SimpleRNN, or of an RNN of such cells, with their activations; returns the last one's name."""
    refusal = _refusal_of(layer, len(place.inputs))
    if refusal is not None:
        return place.refuse(type(layer).__name__, refusal)
    steps = _unrolled(place, layer, place.name)
    return _sequence(place, place.name, [[step] for step in steps]) if layer.return_sequences else steps[-1]


def lower_bidirectional(place: Place, layer: Any) -> str | list[str]:
    """Adds the nodes of two recurrent layers, one of which reads the sequence backwards, and of what joins them."""
    directions = (layer.forward_layer, layer.backward_layer)
    refused = [_refusal_of(direction, len(place.inputs)) for direction in directions]
    if layer.merge_mode == "mul":
        refused.append(refusals.PRODUCT_OF_DIRECTIONS)
    for refusal in filter(None, refused):
        return place.refuse("Bidirectional", refusal)
    forward, backward = (
        _unrolled(place, direction, f"{place.name}_{way}")
        for direction, way in zip(directions, ("forward", "backward"), strict=True)
    )
    if layer.return_sequences:
        # What the backward layer puts out last belongs to the first position.
        backward = backward[::-1]
    else:
        forward, backward = forward[-1:], backward[-1:]

    def given(positions: list[list[str]]) -> str:
        if layer.return_sequences:
            return _sequence(place, place.name, positions)
        return _join(place, place.name, "Concatenate", positions[0])

    if layer.merge_mode == "concat":
        return given([list(pair) for pair in zip(forward, backward, strict=True)])
    ends = [given([[step] for step in steps]) for steps in (forward, backward)]
    if layer.merge_mode is None:
        return ends
    total = _join(place, place.name, "Add", ends)
    if layer.merge_mode == "sum":
        return total
    half = scale_spec(np.full(1, 0.5), None, -1)
    return _add(place, Synapse(place.name, [total], place.graph[total].shape, layer=half))


def _refusal_of(layer: Any, inputs: int) -> Refusal | None:
    """Returns why a recurrent layer that reads so many tensors has no place in a spiking network, or None."""
    if type(layer).__name__ in _GATED:
        return refusals.GATED
    if type(layer) not in (keras.layers.SimpleRNN, keras.layers.RNN):
        return refusals.UNKNOWN_CELL
    for cell in _cells(layer):
        if type(cell).__name__ in _GATED:
            return refusals.GATED
        if type(cell) is not keras.layers.SimpleRNNCell:
            return refusals.UNKNOWN_CELL
        spec = function_spec(cell.activation)
        rectifier = rectifier_of(spec)
        if rectifier is None or not rectifier.plain:
            return refusals.recurrent_activation(spec.config.get("activation", spec.class_name))
    if layer.stateful:
        return refusals.STATEFUL
    return refusals.STATE_IN_OR_OUT if layer.return_state or inputs > 1 else None


def _cells(layer: Any) -> list[Any]:
    """The cells of a recurrent layer; in each step, each reads the one before."""
    stacked = type(layer.cell) is keras.layers.StackedRNNCells
    return list(layer.cell.cells) if stacked else [layer.cell]


def _unrolled(place: Place, layer: Any, name: str) -> list[str]:
    """Adds the steps of a recurrent layer; returns the names of its populations, in the order in which they come."""
    source, cells = place.inputs[0], _cells(layer)
    steps: list[str] = []
    for number, cell in enumerate(cells, start=1):
        own = f"{name}_cell_{number}" if len(cells) > 1 else name
        if steps:
            source = _sequence(place, own, [[step] for step in steps])
        steps = _steps_of_cell(place, own, source, cell, backwards=layer.go_backwards and number == 1)
    return steps


def _steps_of_cell(place: Place, wanted: str, source: str, cell: Any, *, backwards: bool) -> list[str]:
    """Adds the windows of a cell: input weights once for all of them, the rest for each."""
    graph, units = place.graph, cell.units
    length = graph[source].shape[0]
    # What its windows share, they find by this name.
    name = graph.unique_name(wanted)
    weights = {"kernel": as_float64(cell.kernel)}
    if cell.use_bias:
        weights["bias"] = as_float64(cell.bias)
    recurrent, activation = {"kernel": as_float64(cell.recurrent_kernel)}, function_spec(cell.activation)
    _add(place, Synapse(name, [source], (length, units), layer=_dense(units, weights)))
    steps: list[str] = []
    for window in range(length):
        position = length - 1 - window if backwards else window
        indices = 1 + position * units + np.arange(units)
        picked = LayerSpec("Select", {"target_shape": [units]}, {"indices": indices})
        current = _add(place, Synapse(f"{name}_input_{window}", [name], (units,), layer=picked))
        if steps:
            back = Synapse(
                f"{name}_recurrent_{window}",
                steps[-1:],
                (units,),
                layer=_dense(units, recurrent),
                delay=1,
                tied=f"{name}/recurrent",
            )
            terms, add = [current, _add(place, back)], LayerSpec("Add", {})
            current = _add(place, Synapse(f"{name}_sum_{window}", terms, (units,), layer=add, tied=f"{name}/sum"))
        steps.append(_add(place, Activation(f"{name}_step_{window}", [current], (units,), layer=activation, tied=name)))
    return steps


def _dense(units: int, weights: dict[str, np.ndarray]) -> LayerSpec:
    config = {"units": units, "use_bias": "bias" in weights, "activation": "linear"}
    return LayerSpec("Dense", config, dict(weights))


def _sequence(place: Place, wanted: str, positions: list[list[str]]) -> str:
    """Adds a sequence, `[positions, features]`, of the vectors that stand side by side at each position."""
    vectors = [vector for position in positions for vector in position]
    features = sum(place.graph[vector].shape[0] for vector in positions[0])
    row = _join(place, place.graph.unique_name(f"{wanted}_joined"), "Concatenate", vectors)
    shape = (len(positions), features)
    layer = LayerSpec("Reshape", {"target_shape": list(shape)})
    return _add(place, Synapse(place.graph.unique_name(f"{wanted}_sequence"), [row], shape, layer=layer))


def _join(place: Place, name: str, class_name: str, inputs: list[str]) -> str:
    """Adds a sum, or puts vectors side by side; of one alone there is nothing to join."""
    if len(inputs) == 1:
        return inputs[0]
    shape = place.graph[inputs[0]].shape
    if class_name == "Concatenate":
        shape = (sum(place.graph[one].shape[0] for one in inputs),)
    config = {"axis": -1} if class_name == "Concatenate" else {}
    return _add(place, Synapse(name, inputs, shape, layer=LayerSpec(class_name, config)))


def _add(place: Place, node: Node) -> str:
    """Adds a node under a name that no other has."""
    node.name = place.graph.unique_name(node.name)
    return place.add(node)
