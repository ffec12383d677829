"""A network as plain data: nodes, the graph that they form, and the file format of both."""

from snn_toolbox_tf.graph.graph import Graph
from snn_toolbox_tf.graph.nodes import (
    TASKS,
    Activation,
    InputNode,
    LayerNode,
    LayerSpec,
    MaxPool,
    Node,
    Population,
    Readout,
    Refusal,
    Synapse,
    Unsupported,
    sample_axis,
)

__all__ = [
    "TASKS",
    "Activation",
    "Graph",
    "InputNode",
    "LayerNode",
    "LayerSpec",
    "MaxPool",
    "Node",
    "Population",
    "Readout",
    "Refusal",
    "Synapse",
    "Unsupported",
    "sample_axis",
]
