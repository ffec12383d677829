"""A graph with living Keras layers, run as an ANN or fed by whoever walks it."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Graph, Input, LayerSpec, MaxPool, Node, Population, Readout, Synapse
from snn_toolbox_tf.neurons import IntegrateAndFire

_DISCARDED_SUFFIXES = ("_regularizer", "_constraint", "_initializer", "lora_rank", "lora_alpha", "quantization_config")


class Network:
    """The layers of a graph, one a node.

    Args:
        graph: A graph of Input, Synapse, MaxPool and Population nodes.
        dtype: The dtype of all layers; by default each node's own.
    """

    def __init__(self, graph: Graph, dtype: str | None = None) -> None:
        self.graph = graph
        self.layers: dict[str, keras.layers.Layer] = {}
        for node in graph:
            if isinstance(node, Population):
                self.layers[node.name] = _build_population(node)
            elif isinstance(node, (Synapse, MaxPool)):
                shapes = [(None, *graph[name].shape) for name in node.inputs]
                self.layers[node.name] = build_layer(node.layer, node.name, dtype or node.dtype, shapes)
        self.decoders = [_build_decoder(graph, readout) for readout in graph.readouts]

    def copy_weights_from(self, other: "Network") -> None:
        """Takes over the weights of the same graph's layers (of another dtype)."""
        for name, layer in self.layers.items():
            layer.set_weights(other.layers[name].get_weights())
        for mine, theirs in zip(self.decoders, other.decoders, strict=True):
            for layer, like in zip(mine, theirs, strict=True):
                layer.set_weights(like.get_weights())

    def run(
        self,
        values: Mapping[str, Any],
        population: Callable[[Population, Any], Any],
        max_pool: Callable[[MaxPool, Any], Any] | None = None,
        synapse: Callable[[Synapse, list[Any]], Any] | None = None,
    ) -> dict[str, Any]:
        """Walks the graph in order.

        Args:
            values: What is known already: the inputs, and any inner node that shall not be computed again.
            population: Returns a population's output for its input.
            max_pool: Likewise for max pooling; by default its layer.
            synapse: Likewise for a synapse and the list of its inputs; by default its layer.

        Returns:
            The output of every node by name.
        """
        values = dict(values)
        for node in self.graph:
            if node.name in values:
                continue
            inputs = [values[name] for name in node.inputs]
            if isinstance(node, Population):
                values[node.name] = population(node, inputs[0])
            elif isinstance(node, MaxPool):
                values[node.name] = max_pool(node, inputs[0]) if max_pool else self.apply(node, inputs)
            elif isinstance(node, Synapse):
                values[node.name] = synapse(node, inputs) if synapse else self.apply(node, inputs)
            else:
                raise ValueError(f"No value was given for input '{node.name}' of network '{self.graph.name}'.")
        return values

    def apply(self, node: Node, inputs: list[Any]) -> Any:
        """Runs a node's layer."""
        return self.layers[node.name](inputs if len(inputs) > 1 else inputs[0])

    def run_as_ann(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Runs the network with each population replaced by the ReLU that it stands for.

        Args:
            inputs: A tensor `[batch, ...]` per input name.

        Returns:
            The output of every node by name, float `[batch, ...]`.
        """
        cast = {name: tf.cast(inputs[name], self.input_dtype(name)) for name in inputs}
        return self.run(cast, population=relu)

    def input_dtype(self, name: str) -> str:
        """The dtype in which an input enters: that of the layers which read it."""
        readers = [node for node in self.graph.consumers(name) if node.name in self.layers]
        return self.layers[readers[0].name].compute_dtype if readers else "float32"

    def decode(self, means: list[Any]) -> Any:
        """Applies the readouts' decoders to time-averaged currents; returns the source's output structure."""
        outputs = []
        for mean, decoder in zip(means, self.decoders, strict=True):
            output = tf.cast(mean, tf.float32)
            for layer in decoder:
                output = layer(output)
            outputs.append(output)
        return pack(self.graph.output_structure, outputs)


def relu(node: Population, current: Any) -> Any:
    """Returns what the ReLU gives that a population stands for."""
    rectified = tf.nn.relu(current)
    if node.max_value is None:
        return rectified
    return tf.minimum(rectified, tf.constant(node.max_value, rectified.dtype))


def pack(structure: Any, flat: list[Any]) -> Any:
    """Returns `flat` in the shape of `structure`."""
    return keras.tree.pack_sequence_as(structure, flat)


def build_layer(
    spec: LayerSpec, name: str, dtype: str, input_shapes: list[tuple[int | None, ...]]
) -> keras.layers.Layer:
    """Returns the Keras layer of a spec, built and with the spec's weights."""
    config = {key: value for key, value in spec.config.items() if not key.endswith(_DISCARDED_SUFFIXES)}
    config.update({"name": name, "dtype": dtype})
    # Weights come from the spec or a file: random initial values would be work for nothing.
    config.update({key: "zeros" for key in spec.config if key.endswith("_initializer")})
    layer = vocabulary.layer_class(spec.class_name).from_config(config)
    layer.build(input_shapes if len(input_shapes) > 1 else input_shapes[0])
    layer.built = True
    for key, value in spec.weights.items():
        getattr(layer, key).assign(np.asarray(value))
    return layer


def _build_decoder(graph: Graph, readout: Readout) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    shape: tuple[int | None, ...] = (None, *graph[readout.node].shape)
    for place, spec in enumerate(readout.decoder):
        layers.append(build_layer(spec, f"{readout.name}_decoded_{place}", "float32", [shape]))
        layers[-1].trainable = False
        shape = layers[-1].compute_output_shape(shape)
    return layers


def _build_population(node: Population) -> IntegrateAndFire:
    theta = node.threshold.reshape(-1) if node.threshold.size > 1 else node.threshold.reshape(())
    layer = IntegrateAndFire(
        threshold=theta,
        v0=node.v0,
        reset=node.reset,
        spike_height=node.spike_height,
        axis=node.channel_axis + 1,
        name=node.name,
        dtype="float32",
    )
    layer.build((None, *node.shape))
    return layer


def inputs_of(graph: Graph) -> list[Input]:
    """Returns the graph's input nodes in the order of its (flattened) input structure."""
    nodes = {node.name: node for node in graph.of_type(Input)}
    return [nodes[name] for name in keras.tree.flatten(graph.input_structure)]
