"""A run on event times, batch by batch, with everything that a result has."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.latency.event_network import EventNetwork, Events
from snn_toolbox_tf.latency.operations import LatencyOperations
from snn_toolbox_tf.latency.result import LatencyResult
from snn_toolbox_tf.network import inputs_of


class MeasuredEvents:
    """Runs a network, and counts.

    Args:
        events: What runs it.
        decode: Returns the outputs of the values of all nodes.

    Attributes:
        operations: What counts the operations.
    """

    def __init__(self, events: EventNetwork, decode: Callable[[dict[str, Any]], Any]) -> None:
        self._events, self._decode = events, decode
        graph = events.network.graph
        self._populations = tuple(node.name for node in graph.of_type(Population))
        self.operations = LatencyOperations(events.network, events.spiking)
        self._signature = {node.name: tf.TensorSpec((None, *node.shape)) for node in inputs_of(graph)}
        self._traced: dict[tuple[str, ...], Any] = {}

    def run(self, batch: Mapping[str, np.ndarray], recorded: tuple[str, ...]) -> LatencyResult:
        """Runs one batch, and keeps the spike times of the nodes that are named."""
        if recorded not in self._traced:
            measured = tf.function(
                lambda inputs: self._measured(inputs, recorded), input_signature=[self._signature], autograph=False
            )
            # Of several models, TensorFlow would warn that one function was traced again and again.
            self._traced[recorded] = measured.get_concrete_function()
        tensors = {name: tf.constant(array, tf.float32) for name, array in batch.items()}
        found = keras.tree.map_structure(lambda tensor: tensor.numpy(), self._traced[recorded](tensors))
        samples = len(next(iter(batch.values())))
        counts = found["spikes"]
        ones = np.ones(samples)
        return LatencyResult(
            outputs=found["outputs"],
            samples=samples,
            spike_counts={name: count.astype(np.float64) for name, count in counts.items()},
            sample_spike_counts=found["sample_spikes"],
            clipped={
                name: float(found["clipped"][name].sum()) / (samples * count.size) for name, count in counts.items()
            },
            synaptic_operations=found["operations"],
            multiply_accumulates={name: macs * ones for name, macs in self.operations.multiplied().items()},
            latency=self._events.clock.end,
            windows=self._events.clock.depth,
            timesteps_per_window=self._events.code.steps,
            populations=self._populations,
            spike_times=found["times"],
        )

    def _measured(self, inputs: Mapping[str, tf.Tensor], recorded: tuple[str, ...]) -> dict[str, Any]:
        happened = self._events.run(inputs)
        spiked = {name: tf.cast(self._spiked(happened, name), tf.int64) for name in self._events.spiking}
        return {
            "outputs": self._decode(happened.values),
            "spikes": {name: tf.reduce_sum(spikes, axis=0) for name, spikes in spiked.items()},
            "sample_spikes": {
                name: tf.reduce_sum(spikes, axis=list(range(1, spikes.shape.rank))) for name, spikes in spiked.items()
            },
            "clipped": happened.clipped,
            "operations": self.operations.count(happened.values),
            "times": {name: self._absolute(happened, name) for name in recorded},
        }

    def _spiked(self, happened: Events, name: str) -> tf.Tensor:
        """At the end of its window nobody spikes."""
        return happened.times[name] < self._events.clock[name].length

    def _absolute(self, happened: Events, name: str) -> tf.Tensor:
        """Returns times from the beginning of the run on, infinite where no spike came."""
        times = tf.cast(happened.times[name], tf.float64)
        absolute = tf.where(self._spiked(happened, name), times + self._events.clock[name].start, np.inf)
        if name not in self._events.signed:
            return absolute
        signs = happened.values[name]
        return tf.stack([tf.where(signs > 0, absolute, np.inf), tf.where(signs < 0, absolute, np.inf)], axis=-1)
