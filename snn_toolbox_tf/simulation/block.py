"""One block of timesteps through the network: a pure function of input and state.

Each synapse runs once per block, on a tensor `[timesteps * batch, ...]`; each population steps through the block inside one
call, which also adds up the currents that meet at it. What does not change in the block (a constant input's current)
stays `[batch, ...]` and is computed once.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.graph import Input, MaxPool, Node, Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.pooling import pool
from snn_toolbox_tf.simulation.signal import Part, Signal, absorbed_synapses, by_timestep, merged

State = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class BlockOptions:
    """What a block shall do besides stepping.

    Attributes:
        schedule: "step", or "layer_synchronous" for blocks that are the whole run.
        count: Whether spikes are counted per neuron.
        count_inputs: Whether input spikes are counted as well (Poisson input).
        every_step: Whether the readout is wanted after each timestep, not only after the block.
        spikes: Populations whose spikes are recorded.
        membrane_potential: Populations whose membrane potential is recorded.
        surrogate_gradient: Name of the gradient that spikes shall have, or None; costs memory for all timesteps.
    """

    schedule: str = "step"
    count: bool = False
    count_inputs: bool = False
    every_step: bool = False
    spikes: tuple[str, ...] = ()
    membrane_potential: tuple[str, ...] = ()
    surrogate_gradient: str | None = None

    @property
    def differentiable(self) -> bool:
        """Whether gradients are wanted."""
        return self.surrogate_gradient is not None


def initial_state(network: Network, batch_size: tf.Tensor, options: BlockOptions) -> State:
    """Returns the state before the first timestep.

    Returns:
        `step`, a scalar; `membrane` per population; `pool`, the accumulated current per max pooling (float64);
        `readout`, the summed current per output (float64); `counts` per population and input, if asked for.
    """
    graph = network.graph

    def zeros(node: Node, dtype: tf.DType) -> tf.Tensor:
        return tf.zeros(tf.concat([[batch_size], tf.constant(node.shape, tf.int32)], axis=0), dtype)

    populations = graph.of_type(Population)
    counted = [*populations] if options.count else []
    counted += graph.of_type(Input) if options.count_inputs else []
    state = {
        "step": tf.zeros((), tf.int32),
        "membrane": {node.name: network.layers[node.name].get_initial_state(batch_size) for node in populations},
        "pool": {node.name: zeros(graph[node.inputs[0]], tf.float64) for node in graph.of_type(MaxPool)},
        "readout": [zeros(graph[readout.node], tf.float64) for readout in graph.readouts],
        "counts": {node.name: zeros(node, tf.float32) for node in counted},
    }
    return with_static_shapes(network, state)


def with_static_shapes(network: Network, state: State) -> State:
    """Tells TensorFlow the shapes that every state has, so that a loop may carry it."""
    graph = network.graph

    def shaped(value: tf.Tensor, node: Node) -> tf.Tensor:
        return tf.ensure_shape(value, [None, *node.shape])

    return {
        "step": tf.ensure_shape(state["step"], []),
        "membrane": {name: shaped(value, graph[name]) for name, value in state["membrane"].items()},
        "pool": {name: shaped(value, graph[graph[name].inputs[0]]) for name, value in state["pool"].items()},
        "readout": [
            shaped(value, graph[readout.node]) for value, readout in zip(state["readout"], graph.readouts, strict=True)
        ],
        "counts": {name: shaped(value, graph[name]) for name, value in state["counts"].items()},
    }


def run_constant(network: Network, inputs: Mapping[str, tf.Tensor]) -> dict[str, Signal]:
    """Runs all that depends on constant input alone; returns those nodes' signals."""
    spiking = network.graph.spiking_ancestry()
    known = {
        name: Signal.of(tf.cast(value, network.input_dtype(name)), constant=True) for name, value in inputs.items()
    }
    for node in network.graph:
        if node.name in spiking or node.name in known:
            continue
        value = network.apply(node, [known[name].value for name in node.inputs])
        known[node.name] = Signal.of(value, constant=True)
    return known


class _Walk:
    """One walk through the graph for one block."""

    def __init__(self, network: Network, state: State, timesteps: int, options: BlockOptions) -> None:
        self.network = network
        self.timesteps = timesteps
        self.options = options
        self.absorbed = absorbed_synapses(network.graph)
        self.membrane = dict(state["membrane"])
        self.pool = dict(state["pool"])
        self.counts = dict(state["counts"])
        self.recorded: dict[str, dict[str, tf.Tensor]] = {"spikes": {}, "membrane_potential": {}}

    def synapse(self, node: Synapse, inputs: list[Signal]) -> Signal:
        if node.name in self.absorbed:
            return self._absorbed(node, inputs)
        if all(signal.constant for signal in inputs):
            return Signal.of(self.network.apply(node, [signal.value for signal in inputs]), constant=True)
        values = [signal.at_every_step(self.timesteps) for signal in inputs]
        return Signal.of(self.network.apply(node, values), constant=False)

    def _absorbed(self, node: Synapse, inputs: list[Signal]) -> Signal:
        """Leaves an Add or a Scale to the population that reads it."""
        if node.layer.class_name == "Add":
            return Signal(tuple(part for signal in inputs for part in signal.parts))
        (part,) = inputs[0].parts
        return Signal((Part(part.value, part.constant, self.network.layers[node.name].broadcast_factor()),))

    def max_pool(self, node: MaxPool, signal: Signal) -> Signal:
        current = signal.at_every_step(self.timesteps)
        pooled, self.pool[node.name] = pool(
            node, current, self.pool[node.name], self.timesteps, differentiable=self.options.differentiable
        )
        return Signal.of(pooled, constant=False)

    def population(self, node: Population, signal: Signal) -> Signal:
        layer = self.network.layers[node.name]
        block = layer.integrate(
            signal.currents(self.timesteps),
            self.membrane[node.name],
            timesteps=self.timesteps,
            counts=self.counts.get(node.name),
            schedule=self.options.schedule,
            return_trace=node.name in self.options.membrane_potential,
            surrogate_gradient=self.options.surrogate_gradient,
        )
        self.membrane[node.name] = block.membrane_potential
        if block.counts is not None:
            self.counts[node.name] = block.counts
        if node.name in self.options.spikes:
            self.recorded["spikes"][node.name] = tf.cast(block.spikes > 0, tf.uint8)
        if block.trace is not None:
            self.recorded["membrane_potential"][node.name] = block.trace
        return Signal.of(merged(block.spikes), constant=False)


def run_block(
    network: Network, signals: Mapping[str, Signal], state: State, timesteps: int, options: BlockOptions
) -> tuple[State, list[tf.Tensor], dict[str, dict[str, tf.Tensor]]]:
    """Steps the network through a block.

    Args:
        network: The spiking network.
        signals: The inputs, or what `run_constant` made of constant ones.
        state: The state before the block.
        timesteps: Length of the block, a Python integer.
        options: What else to do.

    Returns:
        The state after the block; the summed readout currents, float64, after each timestep (`[timesteps, batch, ...]`) or
        after the block (`[batch, ...]`), see `options.every_step`; and the recorded tensors, `[timesteps, batch, ...]`.
    """
    walk = _Walk(network, state, timesteps, options)
    values = network.run(signals, population=walk.population, max_pool=walk.max_pool, synapse=walk.synapse)
    for node in network.graph.of_type(Input):
        if node.name in walk.counts:
            spikes = by_timestep(tf.cast(signals[node.name].value != 0, tf.float32), timesteps)
            walk.counts[node.name] += tf.reduce_sum(spikes, axis=0)
    readouts, sums = [], []
    for readout, total in zip(network.graph.readouts, state["readout"], strict=True):
        current = by_timestep(tf.cast(values[readout.node].at_every_step(timesteps), tf.float64), timesteps)
        if options.every_step:
            sums.append(total + tf.cumsum(current, axis=0))
            readouts.append(sums[-1][-1])
        else:
            readouts.append(total + tf.reduce_sum(current, axis=0))
            sums.append(readouts[-1])
    after = {
        "step": state["step"] + timesteps,
        "membrane": walk.membrane,
        "pool": walk.pool,
        "readout": readouts,
        "counts": walk.counts,
    }
    return with_static_shapes(network, after), sums, walk.recorded
