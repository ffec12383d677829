"""What the results of a run depend on, so that an unfinished one is gone on with by the same only."""

import json
from typing import Any

import numpy as np

from snn_toolbox_tf.config import Settings
from snn_toolbox_tf.config.sections import affects
from snn_toolbox_tf.foundation.digests import array_hash
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.graph.file_format import graph_to_config


def settings_fingerprint(settings: Settings) -> dict[str, Any]:
    """Returns the settings that results depend on, and the versions."""
    kept = {
        f"[{section}] {key}": value
        for section, values in settings.as_dict().items()
        for key, value in values.items()
        if affects(key) not in ("nothing", "files")
    }
    return {**kept, "versions": versions()}


def graph_hash(graph: Graph) -> str:
    """Returns a digest of what a network computes; names do not count, as Keras makes them up.

    Args:
        graph: The network's graph, with its weights.
    """
    places = {node.name: str(place) for place, node in enumerate(graph)}
    config = graph_to_config(graph)
    held = [spec.weights for spec in graph.specs()]
    for place, node in enumerate(config["nodes"]):
        node["name"], node["inputs"], node["origin"] = str(place), [places[name] for name in node["inputs"]], ""
        for spec in filter(None, [node.get("layer")]):
            spec["config"] = {key: value for key, value in spec["config"].items() if key != "name"}
    for readout in config["readouts"]:
        readout["name"], readout["node"] = "", places[readout["node"]]
        for spec in readout["decoder"]:
            spec["config"] = {key: value for key, value in spec["config"].items() if key != "name"}
    description = json.dumps([config["nodes"], config["readouts"]], sort_keys=True, default=str)
    arrays = [array for specs in held for _, array in sorted(specs.items())]
    return array_hash([np.frombuffer(description.encode(), np.uint8), *arrays])
