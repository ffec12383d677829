"""A graph as JSON-able data, as `.keras` files hold it."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Graph, Input, LayerSpec, MaxPool, Node, Population, Readout, Synapse

_KINDS = {kind.__name__: kind for kind in (Input, Synapse, MaxPool, Population)}


def graph_to_config(graph: Graph) -> dict[str, Any]:
    """Returns a graph as JSON-able data, without the layers' weights."""

    def encode(value: Any) -> Any:
        if isinstance(value, LayerSpec):
            fields = {"class_name": value.class_name, "config": value.config}
            bits = {name: np.asarray(number).tolist() for name, number in value.fractional_bits.items()}
            return {**fields, "fractional_bits": bits} if bits else fields
        if isinstance(value, np.ndarray):
            return value.tolist()
        return [encode(item) for item in value] if isinstance(value, (tuple, list)) else value

    def fields(item: Any) -> dict[str, Any]:
        names = [field.name for field in dataclasses.fields(item) if field.name != "moments"]
        return {name: encode(getattr(item, name)) for name in names}

    return {
        "name": graph.name,
        "nodes": [{"kind": type(node).__name__, **fields(node)} for node in graph],
        "readouts": [fields(readout) for readout in graph.readouts],
        "input_structure": graph.input_structure,
        "output_structure": graph.output_structure,
    }


def graph_from_config(config: dict[str, Any]) -> Graph:
    """Returns the graph that `graph_to_config` wrote down."""

    def decode(key: str, value: Any) -> Any:
        if key == "layer":
            return LayerSpec(**value)
        if key == "decoder":
            return [LayerSpec(**spec) for spec in value]
        if value is not None and key in ("threshold", "max_value"):
            return np.asarray(value, dtype=np.float64)
        return value

    def fields(item: dict[str, Any]) -> dict[str, Any]:
        return {key: decode(key, value) for key, value in item.items() if key != "kind"}

    nodes: list[Node] = [_KINDS[item["kind"]](**fields(item)) for item in config["nodes"]]
    readouts = [Readout(**fields(item)) for item in config["readouts"]]
    return Graph(config["name"], nodes, readouts, config["input_structure"], config["output_structure"])
