"""`EventNetwork`: a network whose neurons pass on event times, window after window."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.graph import InputNode, Population
from snn_toolbox_tf.latency.code import LatencyCode
from snn_toolbox_tf.latency.windows import Windows, spiking_nodes
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.network import relu


@dataclasses.dataclass
class Events:
    """What happened in a network.

    Attributes:
        times: When the neurons of each population and input spiked, from the beginning of their window on, in [0, length],
            `[batch, ...]`; with timesteps in [0, S]. At the end of a window nobody spikes.
        values: Potentials and charges by node, `[batch, ...]`: what the ANN calls activations.
        clipped: Number of neurons of each population and input whose value was larger than its window, per sample.
    """

    times: dict[str, tf.Tensor]
    values: dict[str, tf.Tensor]
    clipped: dict[str, tf.Tensor]


class EventNetwork:
    """Runs a network on event times.

    A spike at time t of its window starts a current through each of its connections that lasts to the window's end: by then
    it has brought weight * (t_max - t). Layers between populations are affine in such charges, padding among them, which
    stands for neurons that never spike. At the beginning of its own window a neuron has the potential
    V = bias + sum_j W_j (t_max - t_j), whose threshold it reaches with slope 1 at t_max - V. That is
    t_min + (t_max - t_min - bias) + sum_j W_j (t_j - t_min), with spikes t_j delayed so that their windows end at t_min.

    Args:
        network: The network, with its source's weights.
        code: When neurons spike.
        lengths: Length of the window of each population, and of each input that spikes.
        signed: Inputs with negative values, which have two neurons for each value, one per sign.
    """

    def __init__(
        self, network: Network, code: LatencyCode, lengths: Mapping[str, float], signed: frozenset[str] = frozenset()
    ) -> None:
        self.network, self.code, self.lengths, self.signed = network, code, dict(lengths), signed
        spiking = spiking_nodes(network.graph, inputs=code.input == "latency")
        missing = sorted({node.name for node in spiking} ^ set(lengths))
        if missing:
            raise ValueError(
                f"Expected the length of a window of each population and input. Missing or unknown: {missing}"
            )
        self.spiking = [node.name for node in spiking]
        #: In the units of the source's activations.
        self.windows = Windows(network.graph, self.lengths)
        #: In what a run tells its times in: the same, or timesteps.
        steps = code.steps
        self.clock = (
            self.windows if steps is None else Windows(network.graph, dict.fromkeys(self.lengths, float(steps)))
        )

    def run(self, inputs: Mapping[str, Any]) -> Events:
        """Runs a batch.

        Args:
            inputs: A tensor `[batch, ...]` per input name.
        """
        events = Events({}, {}, {})
        known = {node.name: self._encoded(node, inputs[node.name], events) for node in self._inputs()}
        events.values = self.network.run(known, population=lambda node, potential: self._fired(node, potential, events))
        return events

    def _inputs(self) -> list[InputNode]:
        return self.network.graph.of_type(InputNode)

    def _encoded(self, node: InputNode, x: Any, events: Events) -> Any:
        x = tf.cast(x, self.code.dtype)
        if node.name not in self.lengths:
            return x
        if node.name in self.signed:
            # Of the two neurons, the one of the other sign stays silent.
            return tf.sign(x) * self._spiked(node, tf.abs(x), tf.abs(x) > self.lengths[node.name], events)
        # There are no neurons for negative values.
        return self._spiked(node, x, (x < 0) | (x > self.lengths[node.name]), events)

    def _fired(self, node: Population, potential: Any, events: Events) -> Any:
        # A neuron of a bounded ReLU cannot spike before it has waited for range - bound; one of a quantised ReLU spikes at
        # the time of one of its levels.
        bounded = potential if node.max_value is None and node.levels is None else relu(node, potential)
        return self._spiked(node, bounded, bounded > self.lengths[node.name], events)

    def _spiked(self, node: InputNode | Population, potential: Any, clipped: Any, events: Events) -> Any:
        times = self.code.spike_times(potential, self.lengths[node.name])
        events.times[node.name] = times
        events.clipped[node.name] = tf.reduce_sum(tf.cast(clipped, tf.int64), axis=list(range(1, times.shape.rank)))
        return self.code.charges(times, self.lengths[node.name])
