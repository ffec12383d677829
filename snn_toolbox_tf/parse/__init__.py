"""Keras model -> Graph: the only rooms that know how Keras models are wired."""

import keras

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.parse.check import check_model
from snn_toolbox_tf.parse.lower import Lowering, Origin
from snn_toolbox_tf.parse.trace import trace_calls

__all__ = ["Origin", "parse", "parse_with_origins"]


def parse(model: keras.Model) -> Graph:
    """Returns the graph of a trained Sequential or Functional model.

    Nested models are inlined; a layer that is called several times becomes one node a call; an activation that is part
    of a layer becomes a node of its own. What has no place in a spiking network becomes an `Unsupported` node.

    Args:
        model: A built Sequential or Functional model. It is not changed.

    Returns:
        The graph.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is a subclassed model, is not built, has inputs of unknown size, or computes in reduced
            precision.
    """
    return parse_with_origins(model)[0]


def parse_with_origins(model: keras.Model) -> tuple[Graph, list[Origin]]:
    """Returns the graph, and everything that the source consists of, in topological order; see `parse`."""
    check_model(model)
    lowering = Lowering(trace_calls(model))
    return lowering.graph, lowering.origins
