"""Fine-tuning a spiking network on its grid.

While it is trained, its layers hold float master weights. Every forward pass rounds them to the grid, and gradients pass the
rounding straight through (Bengio et al. 2013), so that what is trained is what will run. When training ends, the grid is
computed anew for the weights that it led to, and the layers hold weights on the grid again.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.grid import requantize
from snn_toolbox_tf.layers import RoundToGrid, straight_through_round
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.ops.surrogate import SURROGATE_GRADIENTS
from snn_toolbox_tf.simulation.block import BlockOptions
from snn_toolbox_tf.simulation.runner import Runner
from snn_toolbox_tf.synapses import variables_of


class FineTuning:
    """A network's forward pass for training, and the way back to the grid.

    Args:
        runner: What runs the network that is trained.

    Attributes:
        active: Whether the network is being trained, so that its weights may be off the grid.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._network = runner.network
        self._options = BlockOptions(surrogate_gradient="arctan")
        self._before: list[np.ndarray] = []
        # The weights as they were when they were last known to be on the grid; None: not known.
        self._settled: list[np.ndarray] | None = self._views()
        # What the data will bring is known only as it passes by.
        self._largest = {
            node.name: tf.Variable(node.magnitude, dtype=tf.float32, trainable=False)
            for node in inputs_of(self._network.graph)
        }
        self.active = False

    def start(self, surrogate_gradient: str) -> None:
        """Begins training.

        Raises:
            ValueError: For an unknown surrogate gradient.
            RuntimeError: If it has begun already.
        """
        if self.active:
            raise RuntimeError("This network is being fine-tuned already. Expected one fine-tuning at a time.")
        checked = check_one_of(surrogate_gradient, SURROGATE_GRADIENTS, "surrogate_gradient")
        self._options = BlockOptions(surrogate_gradient=checked)
        self._before = [variable.numpy() for _, _, variable in self._network.weights()]
        for node in inputs_of(self._network.graph):
            self._largest[node.name].assign(node.magnitude)
        self.active = True

    def on_grid(self) -> keras.StatelessScope:
        """Returns a scope in which layers compute with their weights rounded to the grid, differentiably."""
        return keras.StatelessScope(state_mapping=self._rounded())

    @contextlib.contextmanager
    def held_on_grid(self) -> Iterator[None]:
        """While the network is trained: puts rounded weights into the layers, and takes them back at the end."""
        if not self.active:
            yield
            return
        masters = []
        for variable, rounded in self._rounded():
            masters.append((variable, variable.numpy()))
            variable.assign(rounded)
        try:
            yield
        finally:
            for variable, master in masters:
                variable.assign(master)

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
        if self._runner.input_options.mode == "frames":
            timesteps = first.shape[1]
            if timesteps is None:
                raise ValueError(
                    "Training needs a fixed number of frames. Received: inputs of shape "
                    f"{tuple(first.shape)}; batch the data with a static second axis."
                )
        with self.on_grid():
            loop = self._runner.loop()
            state = loop.initial_state(tf.shape(first)[0], self._options)
            return loop.advance(inputs, state, timesteps, block_length=timesteps, options=self._options).outputs

    def finish(self) -> bool:
        """Ends training: computes the grid for the present weights and rounds these to it.

        What was traced before must not be used again. A network without a grid (the unnormalized form) stays as it is, and
        so does one whose weights have not changed.

        Returns:
            Whether the weights have changed.

        Raises:
            FloatingPointError: If weights or inputs are no numbers; the weights from before the training are put back.
        """
        self.active = False
        before, self._before = self._before, []
        if all(map(np.array_equal, before, self._values())):
            return False
        bad = self._not_finite()
        if bad:
            for (_, _, variable), value in zip(self._network.weights(), before, strict=True):
                variable.assign(value)
            raise FloatingPointError(
                f"Training has met infinite values or NaN: {', '.join(bad)}. The weights from before it were put back. "
                "Check the data, or lower the learning rate."
            )
        self._put_on_grid()
        return True

    def trust(self) -> None:
        """Takes the weights, if they are on their grid, as they come from a file, the next time that `settle` is called."""
        self._settled = None

    def settle(self) -> bool:
        """Computes the grid for weights that were changed in a layer, and rounds them to it.

        What was traced before must not be used again if they were.

        Returns:
            Whether they were.

        Raises:
            FloatingPointError: If they are no numbers.
        """
        if self.active:
            return False
        now = self._views()
        if self._is_settled(now):
            self._settled = now
            return False
        bad = self._not_finite()
        if bad:
            raise FloatingPointError(
                f"Infinite values or NaN were put into {', '.join(bad)}. Expected finite weights: set them again."
            )
        self._put_on_grid()
        return True

    def _views(self) -> list[np.ndarray]:
        """All weights, to be compared with those of later; of a network without a grid, which may have any, none.

        As long as someone looks at its memory, TensorFlow puts new values elsewhere: where the memory is the same, so are
        the weights, and nothing has to be read.
        """
        return self._values() if self._has_grid() else []

    def _values(self) -> list[np.ndarray]:
        """All weights, in TensorFlow's own memory."""
        return [np.asarray(memoryview(tf.convert_to_tensor(variable))) for _, _, variable in self._network.weights()]

    def _has_grid(self) -> bool:
        return any(node.layer.fractional_bits for node in self._network.graph.of_type(Synapse))

    def _is_settled(self, now: list[np.ndarray]) -> bool:
        if self._settled is not None:
            return all(map(_same, self._settled, now))
        return not self._not_finite() and self._on_grid()

    def _on_grid(self) -> bool:
        return all(np.array_equal(variable.numpy(), rounded.numpy()) for variable, rounded in self._rounded())

    def _put_on_grid(self) -> None:
        if not self._has_grid():
            return
        # On a copy, so that an error leaves nothing half-done.
        graph = self._network.graph_with_weights()
        requantize(graph, {name: float(value.numpy()) for name, value in self._largest.items()})
        specs = {node.name: node.layer for node in graph.of_type(Synapse)}
        for node in self._network.graph.of_type(Synapse):
            spec, layer = specs[node.name], self._network.layers[node.name]
            node.layer.fractional_bits.update(spec.fractional_bits)
            for name, variable in variables_of(layer).items():
                variable.assign(spec.weights[name])
            if isinstance(layer, RoundToGrid):
                layer.bits = node.layer.config["bits"] = spec.config["bits"]
        self._settled = self._views()

    def _not_finite(self) -> list[str]:
        """Names what is infinite or NaN."""
        bad = [
            f"the weights of '{node.name}'"
            for (node, _, _), value in zip(self._network.weights(), self._values(), strict=True)
            if not np.isfinite(value).all()
        ]
        bad += [f"input '{name}'" for name, value in self._largest.items() if not np.isfinite(value.numpy())]
        return list(dict.fromkeys(bad))

    def _rounded(self) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Pairs of a weight that has a grid, and its rounded value."""
        return [
            (variable, straight_through_round(tf.convert_to_tensor(variable), node.layer.fractional_bits[name]))
            for node, name, variable in self._network.weights()
            if name in node.layer.fractional_bits
        ]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.may_share_memory(one, other) or np.array_equal(one, other)
