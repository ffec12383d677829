"""The source model as a function of a batch."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.layers import SHIFT, shifted
from snn_toolbox_tf.network.network import inputs_of, pack
from snn_toolbox_tf.parse.source_model import flat_layers


class SourceFunction:
    """Gives a source model's outputs, traced once.

    Traced, because some channels-first operations of Keras are wrong when run eagerly. Where TensorFlow has no kernel for
    such an operation at all, as on many CPUs, XLA has one.

    Args:
        model: The source model.
        graph: Its graph; its inputs have the source's names, shapes and structure.
        shift: Of the steps of quantised ReLUs (`layers.QuantizationClipFloorShift`); None: these are only clipped.
    """

    def __init__(self, model: keras.Model, graph: Graph, *, shift: float | None = SHIFT) -> None:
        self.model = model
        self._graph, self._layers, self._shift = graph, flat_layers(model), shift
        self._others: dict[float | None, SourceFunction] = {}
        self._nodes, self._structure = inputs_of(graph), graph.input_structure
        self._function = self._traced(jit_compile=False)

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """Returns the outputs in the source's structure.

        Args:
            batch: An array or tensor `[batch, ...]` per input name.
        """
        tensors = {node.name: tf.convert_to_tensor(batch[node.name], tf.float32) for node in self._nodes}
        try:
            return self._function(tensors)
        except tf.errors.UnimplementedError:
            self._function = self._traced(jit_compile=True)
            return self._function(tensors)

    def with_shift(self, shift: float | None) -> "SourceFunction":
        """Returns the same function with the steps of quantised ReLUs elsewhere, or without them; traced once as well."""
        if shift not in self._others:
            self._others[shift] = SourceFunction(self.model, self._graph, shift=shift)
        return self._others[shift]

    def _traced(self, *, jit_compile: bool) -> Any:
        def call(tensors: dict[str, tf.Tensor]) -> Any:
            values = pack(self._structure, [tensors[node.name] for node in self._nodes])
            with shifted(self._layers, self._shift):
                return self.model(values, training=False)

        signature = {node.name: tf.TensorSpec((None, *node.shape)) for node in self._nodes}
        function = tf.function(call, input_signature=[signature], autograph=False, jit_compile=jit_compile)
        # Of several models, TensorFlow would warn that one function was traced again and again.
        return function.get_concrete_function()
