"""What a simulation costs: synaptic operations (a spike times its fan-out) and multiply-accumulates.

A synapse that reads spikes adds a weight per spike and outgoing connection. A synapse that reads real values (the analog
input, or a current, as a pointwise after a depthwise convolution does) multiplies and accumulates, all of it at every
timestep; for a constant input, once per sample. The two are never added up.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import kernels
from snn_toolbox_tf.graph import Graph, Input, LayerSpec, Population, Synapse
from snn_toolbox_tf.network import Network, build_layer
from snn_toolbox_tf.passes import scales
from snn_toolbox_tf.vocabulary import Role


@dataclasses.dataclass(frozen=True)
class SynapseCost:
    """How to count one synapse's operations.

    Attributes:
        name: The synapse.
        source: The node that it reads.
        reads: "spikes", "constant" (once per sample) or "current" (once per timestep).
        fan_out: Outgoing connections of each element of the source: float64, the source's shape.
    """

    name: str
    source: str
    reads: str
    fan_out: np.ndarray


def synapse_costs(graph: Graph, input_mode: str) -> list[SynapseCost]:
    """Returns one entry per synapse that costs anything.

    Args:
        graph: The network's graph.
        input_mode: "analog", "poisson" or "frames".

    Returns:
        Costs in the graph's order. Layers that only move values, sums and biases cost nothing here.
    """
    carries = _carriers(graph, input_mode)
    costs = []
    for node in graph.of_type(Synapse):
        if scales.node_role(node) is not Role.WEIGHTED and not _averages(node):
            continue
        source = node.inputs[0]
        costs.append(SynapseCost(node.name, source, carries[source], fan_out(node, graph[source].shape)))
    return costs


def _carriers(graph: Graph, input_mode: str) -> dict[str, str]:
    """What each node's output is: "spikes", a "constant" or a "current"."""
    inputs = {"analog": "constant", "poisson": "spikes", "frames": "current"}[input_mode]
    carries: dict[str, str] = {}
    for node in graph:
        kinds = {carries[name] for name in node.inputs}
        role = scales.node_role(node)
        wiring = role in (Role.REARRANGING, Role.CONCATENATE) or (
            role is Role.CHANNELWISE and isinstance(node, Synapse) and not _averages(node)
        )
        if isinstance(node, Input):
            carries[node.name] = inputs
        elif isinstance(node, Population):
            carries[node.name] = "spikes"
        elif kinds == {"constant"}:
            carries[node.name] = "constant"
        else:
            carries[node.name] = "spikes" if wiring and kinds == {"spikes"} else "current"
    return carries


def _averages(node: Synapse) -> bool:
    """Whether a layer without trained weights sums what it reads."""
    return "AveragePooling" in node.layer.class_name or node.layer.class_name == "Resample"


def fan_out(node: Synapse, input_shape: tuple[int, ...]) -> np.ndarray:
    """Returns how many connections leave each element of a synapse's input, exact at borders and with strides.

    It is the gradient of the summed output with all weights set to 1.

    Args:
        node: A weighted, average-pooling or resampling synapse.
        input_shape: Shape of its input without the batch axis.

    Returns:
        float64 array of `input_shape`.
    """
    spec = node.layer
    if spec.class_name.startswith("GlobalAveragePooling"):
        return np.ones(input_shape)
    if spec.class_name == "Resample":
        return _resampled_fan_out(spec, input_shape)
    pools = spec.class_name.startswith("AveragePooling")
    if pools:
        spec = _counting_pool(spec)
    config = {**spec.config, "use_offset" if spec.class_name == "Scale" else "use_bias": False}
    ones = LayerSpec(spec.class_name, config)
    probed_shape = (*input_shape[:-1], 1) if pools else input_shape
    layer = build_layer(ones, node.name, "float64", [(None, *probed_shape)])
    weight = getattr(layer, kernels.kernel_name(spec))
    weight.assign(np.ones(weight.shape))
    probe = tf.zeros((1, *probed_shape), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(probe)
        total = tf.reduce_sum(layer(probe))
    return np.broadcast_to(tape.gradient(total, probe).numpy()[0], input_shape)


def _resampled_fan_out(spec: LayerSpec, input_shape: tuple[int, ...]) -> np.ndarray:
    """As many as weights of its column that are not zero, along each axis."""
    counts = np.ones((1,) * len(input_shape))
    for axis, matrix in enumerate(spec.weights.values()):
        shape = [1] * len(input_shape)
        shape[axis] = -1
        counts = counts * np.count_nonzero(matrix, axis=0).reshape(shape)
    return np.broadcast_to(counts, input_shape)


def _counting_pool(spec: LayerSpec) -> LayerSpec:
    """The convolution of one channel that has an average pooling's connections."""
    config = {key: spec.config[key] for key in ("strides", "padding", "data_format")}
    dimensions = spec.class_name.removeprefix("AveragePooling")
    return LayerSpec(f"Conv{dimensions}", {**config, "filters": 1, "kernel_size": spec.config["pool_size"]})


class OperationCounter:
    """Turns spike counts into operations per sample.

    Args:
        network: The spiking network.
        input_mode: "analog", "poisson" or "frames".
    """

    def __init__(self, network: Network, input_mode: str) -> None:
        self._network = network
        self._costs = synapse_costs(network.graph, input_mode)

    def count(
        self, spike_counts: Mapping[str, np.ndarray], samples: int, timesteps: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns the operations of a batch.

        Args:
            spike_counts: Spikes per neuron over all timesteps, `[samples, ...]` per population (and input).
            samples: Number of samples.
            timesteps: Number of timesteps.

        Returns:
            Synaptic operations and multiply-accumulates, float64 `[samples]` per synapse.
        """
        values = {name: tf.constant(counts) for name, counts in spike_counts.items()}
        synaptic, multiply = {}, {}
        for cost in self._costs:
            if cost.reads == "spikes":
                counts = tf.cast(self._carried(cost.source, values), tf.float64)
                synaptic[cost.name] = tf.reshape(counts, [samples, -1]).numpy() @ cost.fan_out.reshape(-1)
            else:
                times = 1 if cost.reads == "constant" else timesteps
                multiply[cost.name] = np.full(samples, cost.fan_out.sum() * times)
        return synaptic, multiply

    def _carried(self, name: str, values: dict[str, tf.Tensor]) -> tf.Tensor:
        """The counts as they arrive at a node, through layers that only move them."""
        if name not in values:
            node = self._network.graph[name]
            values[name] = self._network.apply(node, [self._carried(source, values) for source in node.inputs])
        return values[name]
