"""A graph with living Keras layers, run as an ANN or fed by whoever walks it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.foundation.names import scope_name
from snn_toolbox_tf.graph import Graph, InputNode, LayerSpec, MaxPool, Node, Population, Readout, Synapse
from snn_toolbox_tf.layers import SHIFT, SpikingNeurons, clip_floor_shift
from snn_toolbox_tf.synapses import build_layer, is_weighted, variables_of, weighted_family


class Network:
    """The layers of a graph: one a node, or one for all windows of the same synapses.

    Args:
        graph: A graph of InputNode, Synapse, MaxPool and Population nodes, with its weights, or (from a file) without.
        dtype: The dtype of all layers; by default each node's own.
        sum_dtype: The dtype of what grows with time, sums of currents, and of decoders.
    """

    def __init__(self, graph: Graph, dtype: str | None = None, sum_dtype: str = "float64") -> None:
        self.graph = graph
        self.sum_dtype = tf.as_dtype(sum_dtype)
        self.layers: dict[str, keras.layers.Layer] = {}
        shared: dict[str, keras.layers.Layer] = {}
        for node in graph:
            if isinstance(node, Population):
                self.layers[node.name] = _build_population(node)
            elif node.tied in shared and is_weighted(node):
                self.layers[node.name] = shared[node.tied]
            elif isinstance(node, (Synapse, MaxPool)):
                shapes = [(None, *graph[name].shape) for name in node.inputs]
                self.layers[node.name] = build_layer(node.layer, node.name, dtype or node.dtype, shapes)
                if node.tied and is_weighted(node):
                    shared[node.tied] = self.layers[node.name]
        self.decoders = [_build_decoder(graph, readout, sum_dtype) for readout in graph.readouts]

    @property
    def all_layers(self) -> list[keras.layers.Layer]:
        """The layers of its nodes and of its decoders, once each."""
        return [*dict.fromkeys(self.layers.values()), *(layer for decoder in self.decoders for layer in decoder)]

    def keep_weights_in_layers(self) -> None:
        """Leaves the weights to the layers, which may change them: the graph holds none any more."""
        for spec in self.graph.specs():
            spec.leave_weights_to_layers()

    def graph_with_weights(self) -> Graph:
        """Returns a copy of the graph with the weights that its layers have now."""
        graph = self.graph.copy()
        for node in graph.of_type(Synapse):
            node.layer.weights = _arrays(self.layers[node.name])
        for node in graph.of_type(MaxPool):
            node.layer.weights = {}
        for readout, decoder in zip(graph.readouts, self.decoders, strict=True):
            for spec, layer in zip(readout.decoder, decoder, strict=True):
                spec.weights = _arrays(layer)
        return graph

    def rebuild(self, node: Synapse) -> None:
        """Makes a node's layer anew, after its description has changed."""
        shapes = [(None, *self.graph[name].shape) for name in node.inputs]
        self.layers[node.name] = build_layer(node.layer, node.name, node.dtype, shapes)

    def weights(self) -> list[tuple[Synapse, str, keras.Variable]]:
        """Returns what layers multiply by and add: node, name and variable of each; of windows, the first node alone."""
        first: dict[str, Synapse] = {}
        for node in filter(is_weighted, self.graph):
            first.setdefault(node.shared_name, node)
        return [
            (node, name, getattr(self.layers[node.name], name))
            for node in first.values()
            for name in weighted_family(node).weight_names(node.layer)
        ]

    def weight_values(self) -> dict[tuple[str, str], np.ndarray]:
        """Returns the values of `weights` by node and name; see there."""
        return {(node.name, name): keras.ops.convert_to_numpy(variable) for node, name, variable in self.weights()}

    def with_weights(self, node: Synapse) -> Synapse:
        """Returns a copy of one node with the weights that its layer has now."""
        layer = LayerSpec(node.layer.class_name, dict(node.layer.config), _arrays(self.layers[node.name]))
        return dataclasses.replace(node, layer=layer)

    def run(
        self,
        values: Mapping[str, Any],
        population: Callable[[Population, Any], Any],
        synapse: Callable[[Synapse, list[Any]], Any] | None = None,
    ) -> dict[str, Any]:
        """Walks the graph in order, with stand-ins for its populations.

        Args:
            values: What is known already: the inputs, and any inner node that shall not be computed again.
            population: Returns a population's output for its input.
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
            elif isinstance(node, InputNode):
                raise ValueError(f"No value was given for input '{node.name}' of network '{self.graph.name}'.")
            elif isinstance(node, Synapse) and synapse is not None:
                values[node.name] = synapse(node, inputs)
            else:
                values[node.name] = self.apply(node, inputs)
        return values

    def apply(self, node: Node, inputs: list[Any]) -> Any:
        """Runs a node's layer."""
        # In TensorFlow, a name may begin with an underscore inside a scope only.
        with tf.name_scope("network"):
            return self.layers[node.name](inputs if len(inputs) > 1 else inputs[0])

    def run_as_ann(self, inputs: Mapping[str, Any], *, shift: float | None = SHIFT) -> dict[str, Any]:
        """Runs the network with each population replaced by the ReLU that it stands for.

        Args:
            inputs: A tensor `[batch, ...]` per input name.
            shift: Of the steps of quantised ReLUs, see `layers.clip_floor_shift`; None: these are only clipped.

        Returns:
            The output of every node by name, float `[batch, ...]`.
        """
        cast = {name: tf.cast(inputs[name], self.input_dtype(name)) for name in inputs}
        return self.run(cast, population=lambda node, current: source_activation(node, current, shift=shift))

    def decoded_ann_outputs(self, inputs: Mapping[str, Any], *, shift: float | None = SHIFT) -> Any:
        """Returns what `run_as_ann` gives at the outputs, decoded, in the source's structure."""
        values = self.run_as_ann(inputs, shift=shift)
        return self.decode([values[readout.node] for readout in self.graph.readouts])

    def input_dtype(self, name: str) -> str:
        """The dtype in which an input enters: that of the layers which read it."""
        readers = [node for node in self.graph.consumers(name) if node.name in self.layers]
        return self.layers[readers[0].name].compute_dtype if readers else "float32"

    def decode(self, means: list[Any]) -> Any:
        """Applies the readouts' decoders to time-averaged currents; returns float32 in the source's output structure.

        Decoders compute in float64, unless told otherwise: what softmax loses in the last bits depends on the batch size.
        """
        outputs = [tf.cast(self.decode_one(place, mean), tf.float32) for place, mean in enumerate(means)]
        return pack(self.graph.output_structure, outputs)

    def decode_one(self, place: int, mean: Any) -> Any:
        """Applies the decoder of one readout, by its place; returns what the decoder computes in."""
        output, decoder = tf.cast(mean, tf.float32), self.decoders[place]
        if decoder:
            output = tf.cast(output, self.sum_dtype)
        with tf.name_scope("decoder"):
            for layer in decoder:
                output = layer(output)
        return output

    def decode_summed(self, means: list[Any]) -> Any:
        """Does what `decode` does for what readouts have summed up in time, averaged: shares of spikes are outputs."""
        readouts = self.graph.readouts
        outputs = [
            tf.cast(mean if readout.spiking_softmax else self.decode_one(place, mean), tf.float32)
            for place, (readout, mean) in enumerate(zip(readouts, means, strict=True))
        ]
        return pack(self.graph.output_structure, outputs)

    def summed_shape(self, readout: Readout) -> tuple[int, ...]:
        """Returns the shape of what a readout sums up in time, without the batch axis: currents, or spikes."""
        return self.graph.output_shape(readout) if readout.spiking_softmax else self.graph[readout.node].shape


def relu(node: Population, current: Any, *, shift: float | None = SHIFT) -> Any:
    """Returns what the ReLU gives that a population stands for, quantised in steps, or with `shift=None` only clipped."""
    if node.levels is not None and shift is not None:
        return clip_floor_shift(current, tf.constant(node.trained_threshold, current.dtype), node.levels, shift)
    rectified = tf.nn.relu(current)
    if node.max_value is None:
        return rectified
    return tf.minimum(rectified, tf.constant(node.max_value, rectified.dtype))


def source_activation(node: Population, current: Any, *, shift: float | None = SHIFT) -> Any:
    """Returns what the ReLU gave in the source: `relu` of the current without what calibration has made of it."""
    if node.added_bias is not None:
        current = current - tf.constant(node.added_bias, current.dtype)
    if node.added_gain is not None:
        current = current / tf.constant(node.added_gain, current.dtype)
    return relu(node, current, shift=shift)


def pack(structure: Any, flat: list[Any]) -> Any:
    """Returns `flat` in the shape of `structure`."""
    return keras.tree.pack_sequence_as(structure, flat)


def _arrays(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in variables_of(layer).items()}


def _build_decoder(graph: Graph, readout: Readout, dtype: str) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    shape: tuple[int | None, ...] = (None, *graph[readout.node].shape)
    for place, spec in enumerate(readout.decoder):
        layers.append(build_layer(spec, f"{readout.name}_decoded_{place}", dtype, [shape]))
        layers[-1].trainable = False
        shape = layers[-1].compute_output_shape(shape)
    return layers


def _build_population(node: Population) -> SpikingNeurons:
    theta = node.threshold.reshape(-1) if node.threshold.size > 1 else node.threshold.reshape(())
    layer = SpikingNeurons(
        threshold=theta,
        neuron=node.neuron,
        spike_height=node.spike_height,
        axis=node.channel_axis + 1,
        initial_potential=_initial_potential(node),
        name=scope_name(node.name),
        dtype="float32",
    )
    layer.build((None, *node.shape))
    return layer


def _initial_potential(node: Population) -> np.ndarray | None:
    potential = node.initial_potential
    if potential is None or potential.size > node.shape[node.channel_axis]:
        return None if potential is None else np.broadcast_to(potential, node.shape)
    return potential.reshape(-1) if potential.size > 1 else potential.reshape(())


def inputs_of(graph: Graph) -> list[InputNode]:
    """Returns the graph's input nodes in the order of its (flattened) input structure."""
    nodes = {node.name: node for node in graph.of_type(InputNode)}
    return [nodes[name] for name in keras.tree.flatten(graph.input_structure)]
