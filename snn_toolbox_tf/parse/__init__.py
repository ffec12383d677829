"""Keras model -> Graph: the only room that knows how Keras models are wired."""

import dataclasses

import keras

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.parse.lowering import Lowering, Origin
from snn_toolbox_tf.parse.source_model import check_source_model
from snn_toolbox_tf.parse.trace import trace_calls

__all__ = ["Origin", "Parsed", "parse"]


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A source model as a graph.

    Attributes:
        graph: The graph.
        origins: Everything that the source consists of, in topological order.
    """

    graph: Graph
    origins: list[Origin]


def parse(model: keras.Model) -> Parsed:
    """Returns the graph of a trained Sequential or Functional model.

    Nested models are inlined; a layer that is called several times becomes one node a call; an activation that is part
    of a layer becomes a node of its own. Layers become the few kinds that passes know: a batch norm is a `Scale`, a
    separable convolution a depthwise and a pointwise one. What has no place in a spiking network becomes an `Unsupported`
    node.

    Args:
        model: A built Sequential or Functional model. It is not changed.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is a subclassed model, is not built, has inputs of unknown size, or computes in reduced
            precision.
    """
    check_source_model(model)
    lowering = Lowering(trace_calls(model))
    return Parsed(lowering.graph, lowering.origins)
