"""A graph as JSON-able data, as `.keras` files hold it."""

import dataclasses
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.graph.graph import Graph
from snn_toolbox_tf.graph.nodes import InputNode, LayerSpec, MaxPool, Node, Population, Readout, Synapse
from snn_toolbox_tf.neurons import Neuron, neuron_from_config
from snn_toolbox_tf.version import __version__

_KINDS = {kind.__name__: kind for kind in (InputNode, Synapse, MaxPool, Population)}
#: Raised whenever an older version could not read what this one writes.
FORMAT = 4
#: Formats that can be read: what the newest adds is optional.
READABLE = (2, 3, 4)
#: Fields that are written only where they are used.
_WHERE_USED = (
    *("initial_potential", "added_bias", "added_gain", "trained_threshold", "levels", "start", "timed_bias"),
    *("expected_rate", "task"),
    "spiking_softmax",
    *("tied", "delay"),
)
#: Fields of populations that are arrays.
_ARRAYS = ("threshold", "max_value", "initial_potential", "added_bias", "added_gain", "trained_threshold", "timed_bias")


class NewerFormatError(ValueError):
    """A newer version of this package wrote the network, in a format that this one does not know."""


def graph_to_config(graph: Graph) -> dict[str, Any]:
    """Returns a graph as JSON-able data, without the layers' weights."""

    def encode(value: Any) -> Any:
        if isinstance(value, LayerSpec):
            fields = {"class_name": value.class_name, "config": value.config}
            bits = {name: np.asarray(number).tolist() for name, number in value.fractional_bits.items()}
            return {**fields, "fractional_bits": bits} if bits else fields
        if isinstance(value, Neuron):
            return value.get_config()
        if isinstance(value, np.ndarray):
            return value.tolist()
        return [encode(item) for item in value] if isinstance(value, (tuple, list)) else value

    def fields(item: Any) -> dict[str, Any]:
        names = [field.name for field in dataclasses.fields(item) if field.name != "moments"]
        values = {name: encode(getattr(item, name)) for name in names}
        return {name: value for name, value in values.items() if value or name not in _WHERE_USED}

    return {
        "format": FORMAT,
        "written_by": __version__,
        "name": graph.name,
        "nodes": [{"kind": type(node).__name__, **fields(node)} for node in graph],
        "readouts": [fields(readout) for readout in graph.readouts],
        "input_structure": graph.input_structure,
        "output_structure": graph.output_structure,
    }


def graph_from_config(config: dict[str, Any]) -> Graph:
    """Returns the graph that `graph_to_config` wrote down.

    Raises:
        NewerFormatError: If a newer version has written it, in a format of its own.
        ValueError: If it has another format that is not known, or its nodes do not fit together. Whatever else was changed
            by hand raises the error that it causes.
    """
    check_format(config)

    def decode(key: str, value: Any) -> Any:
        if key == "layer":
            return LayerSpec(**value)
        if key == "decoder":
            return [LayerSpec(**spec) for spec in value]
        if key == "neuron":
            return neuron_from_config(value)
        if value is not None and key in _ARRAYS:
            return np.asarray(value, dtype=np.float64)
        return value

    def fields(item: dict[str, Any]) -> dict[str, Any]:
        return {key: decode(key, value) for key, value in item.items() if key != "kind"}

    nodes: list[Node] = []
    for item in config["nodes"]:
        kind = _KINDS[check_one_of(item["kind"], _KINDS, "kind of node")]
        nodes.append(kind(**fields(item)))
    readouts = [Readout(**fields(item)) for item in config["readouts"]]
    _check_wiring(nodes, readouts, config)
    for node in nodes:
        _check_numbers(node)
    return Graph(config["name"], nodes, readouts, config["input_structure"], config["output_structure"])


def check_format(config: Any) -> None:
    """Raises if a description has a format that this version does not read; see `graph_from_config`."""
    written = config.get("format", 1) if isinstance(config, dict) else None
    if written in READABLE:
        return
    readable = f"formats {', '.join(map(str, READABLE[:-1]))} and {READABLE[-1]}"
    if isinstance(written, int) and written > FORMAT:
        raise NewerFormatError(
            f"it is stored in format {written}, by snn_toolbox_tf {config.get('written_by', 'of a newer version')}; this is "
            f"snn_toolbox_tf {__version__}, which reads {readable}"
        )
    raise ValueError(f"it is stored in format {written!r}; this version of snn_toolbox_tf reads {readable}")


def _check_numbers(node: Node) -> None:
    """Raises for what is no number, where no constructor would notice."""
    if isinstance(node, InputNode) and not (np.isfinite(node.magnitude) and node.magnitude >= 0):
        raise ValueError(f"the magnitude of input '{node.name}' is {node.magnitude}, not a finite number of at least 0")
    if not isinstance(node, Population):
        return
    for name in _ARRAYS:
        values = getattr(node, name)
        if values is not None and np.isnan(values).any():
            raise ValueError(f"the field '{name}' of population '{node.name}' holds NaN")


def _check_wiring(nodes: list[Node], readouts: list[Readout], config: dict[str, Any]) -> None:
    """Raises if something is read that is not there, or not there yet."""
    known: set[str] = set()
    for node in nodes:
        missing = [name for name in node.inputs if name not in known]
        if missing:
            raise ValueError(f"node '{node.name}' reads {missing}, which no node before it gives")
        if node.name in known:
            raise ValueError(f"two nodes are called '{node.name}'")
        if bool(node.inputs) == isinstance(node, InputNode):
            raise ValueError(f"node '{node.name}' ({type(node).__name__}) reads {node.inputs or 'nothing'}")
        known.add(node.name)
    missing = [readout.node for readout in readouts if readout.node not in known]
    if missing:
        raise ValueError(f"outputs read {missing}, which no node gives")
    inputs = [node.name for node in nodes if isinstance(node, InputNode)]
    for kind, names in (("input", inputs), ("output", [readout.name for readout in readouts])):
        named = keras.tree.flatten(config[f"{kind}_structure"])
        if sorted(named) != sorted(names):
            raise ValueError(f"the {kind}s are {names}, but their structure names {named}")
