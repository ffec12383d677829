"""A graph as JSON-able data, as `.keras` files hold it."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf.graph.graph import Graph
from snn_toolbox_tf.graph.nodes import InputNode, LayerSpec, MaxPool, Node, Population, Readout, Synapse
from snn_toolbox_tf.neurons import Neuron, neuron_from_config

_KINDS = {kind.__name__: kind for kind in (InputNode, Synapse, MaxPool, Population)}
#: Raised whenever an older version could not read what this one writes.
FORMAT = 2


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
        return {name: encode(getattr(item, name)) for name in names}

    return {
        "format": FORMAT,
        "name": graph.name,
        "nodes": [{"kind": type(node).__name__, **fields(node)} for node in graph],
        "readouts": [fields(readout) for readout in graph.readouts],
        "input_structure": graph.input_structure,
        "output_structure": graph.output_structure,
    }


def graph_from_config(config: dict[str, Any]) -> Graph:
    """Returns the graph that `graph_to_config` wrote down.

    Raises:
        ValueError: If another version has written it, or it was changed by hand.
    """
    written = config.get("format", 1) if isinstance(config, dict) else None
    if written != FORMAT:
        raise ValueError(
            f"This spiking network is stored in format {written!r}; this version of snn_toolbox_tf reads format {FORMAT}. "
            "Convert the source model anew, or use the version that wrote it."
        )

    def decode(key: str, value: Any) -> Any:
        if key == "layer":
            return LayerSpec(**value)
        if key == "decoder":
            return [LayerSpec(**spec) for spec in value]
        if key == "neuron":
            return neuron_from_config(value)
        if value is not None and key in ("threshold", "max_value"):
            return np.asarray(value, dtype=np.float64)
        return value

    def fields(item: dict[str, Any]) -> dict[str, Any]:
        return {key: decode(key, value) for key, value in item.items() if key != "kind"}

    try:
        nodes: list[Node] = [_KINDS[item["kind"]](**fields(item)) for item in config["nodes"]]
        readouts = [Readout(**fields(item)) for item in config["readouts"]]
        return Graph(config["name"], nodes, readouts, config["input_structure"], config["output_structure"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"The file's description of the spiking network is damaged or was changed by hand: {error!r}. Convert the "
            "source model anew."
        ) from error
