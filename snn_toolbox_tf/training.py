"""Fine-tuning a spiking network on its grid.

While it is trained, its layers hold float master weights. Every forward pass rounds them to the grid, and gradients pass the
rounding straight through (Bengio et al. 2013), so that what is trained is what will run. When training ends, the grid is
computed anew for the weights that it led to, and the layers hold weights on the grid again.
"""

from typing import Any

import keras
import tensorflow as tf

from snn_toolbox_tf import kernels
from snn_toolbox_tf.graph import Node, Synapse
from snn_toolbox_tf.layers import RoundToGrid, straight_through_round
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.ops.surrogate import check_surrogate_gradient
from snn_toolbox_tf.passes import scales
from snn_toolbox_tf.passes.grid import requantize
from snn_toolbox_tf.simulation import block, loop
from snn_toolbox_tf.simulation.block import BlockOptions
from snn_toolbox_tf.simulation.simulator import Simulator
from snn_toolbox_tf.vocabulary import Role


class FineTuning:
    """A network's forward pass for training, and the way back to the grid.

    Args:
        simulator: The simulator whose network is trained.
        surrogate_gradient: What stands in for the derivative of a spike.

    Raises:
        ValueError: For an unknown surrogate gradient.
    """

    def __init__(self, simulator: Simulator, surrogate_gradient: str = "arctan") -> None:
        self._simulator = simulator
        self._options = BlockOptions(surrogate_gradient=check_surrogate_gradient(surrogate_gradient))
        self._network = simulator.network
        inputs = inputs_of(self._network.graph)
        # What the data will bring is known only as it passes by.
        self._largest = {node.name: tf.Variable(node.magnitude, dtype=tf.float32, trainable=False) for node in inputs}

    def on_grid(self) -> keras.StatelessScope:
        """Returns a scope in which layers compute with their weights rounded to the grid."""
        rounded = [
            (variable, straight_through_round(tf.convert_to_tensor(variable), node.layer.fractional_bits[name]))
            for node, name, variable in self._weights()
            if name in node.layer.fractional_bits
        ]
        return keras.StatelessScope(state_mapping=rounded)

    def run(self, inputs: dict[str, tf.Tensor], timesteps: int) -> Any:
        """Runs T timesteps from the initial state, differentiably: layer by layer, holding all timesteps.

        Args:
            inputs: A tensor per input, `[batch, ...]`, or frames, `[batch, timesteps, ...]`.
            timesteps: T; frames bring their own.

        Returns:
            The decoded outputs, float32 `[batch, ...]`, in the source's structure.

        Raises:
            ValueError: For frames whose number is not known while tracing.
        """
        for name, value in inputs.items():
            self._largest[name].assign(tf.maximum(self._largest[name], tf.reduce_max(tf.abs(value))))
        first = next(iter(inputs.values()))
        if self._simulator.input_options.mode == "frames":
            timesteps = first.shape[1]
            if timesteps is None:
                raise ValueError(
                    "Training needs a fixed number of frames. Received: inputs of shape "
                    f"{tuple(first.shape)}; batch the data with a static second axis."
                )
        with self.on_grid():
            segment = loop.advance(
                self._network,
                inputs,
                block.initial_state(self._network, tf.shape(first)[0], self._options),
                timesteps,
                block_length=timesteps,
                input_options=self._simulator.input_options,
                options=self._options,
            )
        return segment.outputs

    def finish(self) -> None:
        """Computes the grid for the present weights and rounds these to it; what was traced before must not be used again.

        A network without a grid (the balanced form) stays as it is.
        """
        graph, layers = self._network.graph, self._network.layers
        if not any(node.layer.fractional_bits for node in graph.of_type(Synapse)):
            return
        for node, name, variable in self._weights():
            node.layer.weights[name] = variable.numpy()
        requantize(graph, {name: float(value.numpy()) for name, value in self._largest.items()})
        for node, name, variable in self._weights():
            variable.assign(node.layer.weights[name])
        for node in graph.of_type(Synapse):
            if isinstance(layers[node.name], RoundToGrid):
                layers[node.name].bits = node.layer.config["bits"]

    def _weights(self) -> list[tuple[Synapse, str, keras.Variable]]:
        return [
            (node, name, getattr(self._network.layers[node.name], name))
            for node in self._network.graph
            if isinstance(node, Synapse) and _has_weights(node)
            for name in kernels.weight_names(node.layer)
        ]


def _has_weights(node: Node) -> bool:
    return scales.node_role(node) is Role.WEIGHTED
