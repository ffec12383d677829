"""How each kind of node goes through a block of timesteps, and what it keeps."""

import dataclasses
import math

import tensorflow as tf

from snn_toolbox_tf.graph import InputNode, MaxPool, Population, Synapse, sample_axis
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, NodeState, Outcome
from snn_toolbox_tf.simulation.event_plan import NOTHING_PLANNED, EventPlan, EventSynapse
from snn_toolbox_tf.simulation.inputs import InputOptions, input_elements
from snn_toolbox_tf.simulation.pooling import initial_state, pool
from snn_toolbox_tf.simulation.population import PopulationElement
from snn_toolbox_tf.simulation.readout import ReadoutElement, readout_key
from snn_toolbox_tf.simulation.signal import Part, Signal, absorbed_synapses
from snn_toolbox_tf.simulation.spiking_softmax import SpikingSoftmaxElement
from snn_toolbox_tf.synapses import family_of


def network_elements(
    network: Network, input_options: InputOptions, plan: EventPlan = NOTHING_PLANNED
) -> dict[str, Element]:
    """Returns the elements of a network's nodes and readouts, in topological order.

    Args:
        network: The spiking network.
        input_options: How input is encoded.
        plan: What runs on spikes.
    """
    graph, absorbed = network.graph, absorbed_synapses(network.graph)
    elements: dict[str, Element] = dict(input_elements(network, input_options))
    for node in graph:
        if node.name in plan.unread:
            continue
        if isinstance(node, Population):
            layer = network.layers[node.name]
            elements[node.name] = PopulationElement(node, layer, gives_bits=node.name in plan.packed)
        elif isinstance(node, MaxPool):
            elements[node.name] = MaxPoolElement(network, node)
        elif isinstance(node, Synapse) and node.name in absorbed:
            elements[node.name] = AbsorbedElement(network, node)
        elif isinstance(node, Synapse) and node.name in plan.synapses:
            deferred = node.name in plan.deferred
            elements[node.name] = SpikeSynapseElement(network, plan.synapses[node.name], deferred=deferred)
        elif isinstance(node, Synapse) and node.name in plan.packed:
            elements[node.name] = JoinElement(network, node)
        elif isinstance(node, Synapse):
            elements[node.name] = SynapseElement(network, node)
        elif not isinstance(node, InputNode):
            raise TypeError(f"Node '{node.name}' ({type(node).__name__}) has no place in a spiking network.")
    for place, readout in enumerate(graph.readouts):
        if readout.spiking_softmax:
            elements[readout_key(readout)] = SpikingSoftmaxElement(network, place, input_options.seed)
        else:
            shape = graph[readout.node].shape
            elements[readout_key(readout)] = ReadoutElement(readout, shape, network.sum_dtype)
    return elements


class SynapseElement(Element):
    """An affine map: its layer, on all timesteps of a block at once. It keeps nothing."""

    def __init__(self, network: Network, node: Synapse) -> None:
        super().__init__(node.inputs)
        self._network, self._node = network, node

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Runs the layer; once, where no input changes in the block."""
        constant = all(signal.constant for signal in inputs)
        values = [signal.value if constant else signal.at_every_step(block.timesteps) for signal in inputs]
        return Outcome(Signal.of(self._network.apply(self._node, values), constant=constant))


class JoinElement(SynapseElement):
    """A concatenation of spikes, of which each input gives whole bytes."""

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Joins bytes."""
        shape = self._node.shape
        axis = sample_axis(self._node.layer.config["axis"], len(shape))
        outer = math.prod(shape[:axis])
        sources = [signal.bits for signal in inputs]
        bits = [source for source in sources if source is not None]
        if len(bits) < len(sources):
            raise TypeError(f"'{self._node.name}' joins bits, and not all that it reads gives bits.")
        rows = [tf.reshape(each, [-1, outer, each.shape[1] // outer]) for each in bits]
        return Outcome(Signal.of_bits(tf.reshape(tf.concat(rows, axis=2), [-1, math.prod(shape) // 8]), shape))


class SpikeSynapseElement(Element):
    """An affine map of spikes, by native kernels.

    Args:
        network: The network.
        synapse: How it runs on spikes.
        deferred: Whether it is left to the population that reads it.
    """

    def __init__(self, network: Network, synapse: EventSynapse, *, deferred: bool) -> None:
        super().__init__([synapse.source])
        self._network, self._synapse, self._deferred = network, synapse, deferred

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Makes a current of spikes."""
        spikes = inputs[0].bits
        if spikes is None:
            spikes = inputs[0].at_every_step(block.timesteps)
        shape, synapse = self._synapse.node.shape, self._synapse.spike_synapse(self._network)
        if self._synapse.signed:
            # What spikes of -1 take away is what a synapse of the opposite weights makes of them.
            taken = dataclasses.replace(synapse, kernel=tf.negative(synapse.kernel), bias=None)
            given = Part(tf.cast(spikes > 0, tf.float32), constant=False, synapse=synapse, shape=shape)
            signal = Signal((given, dataclasses.replace(given, value=tf.cast(spikes < 0, tf.float32), synapse=taken)))
        else:
            signal = Signal.of_spikes(spikes, synapse, shape)
        if self._deferred:
            return Outcome(signal)
        return Outcome(Signal.of(tf.add_n([part.made for part in signal.parts]), constant=False))


class AbsorbedElement(Element):
    """An Add or a Scale, left to the population that reads it."""

    def __init__(self, network: Network, node: Synapse) -> None:
        super().__init__(node.inputs)
        self._layer = network.layers[node.name]
        self._sums = family_of(node).absorbed_as == "sum"

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Passes on the parts of a sum, or a part with its factor."""
        if self._sums:
            return Outcome(Signal(tuple(part for signal in inputs for part in signal.parts)))
        factor = self._layer.broadcast_factor()
        return Outcome(Signal(tuple(dataclasses.replace(part, gain=factor) for part in inputs[0].parts)))


class MaxPoolElement(Element):
    """Max pooling, which keeps what its inputs have summed up to, or which of them have won."""

    def __init__(self, network: Network, node: MaxPool) -> None:
        super().__init__(node.inputs)
        self._network, self._node = network, node
        self._input_shape = network.graph[node.inputs[0]].shape

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """Nothing has come in yet."""
        return initial_state(self._node, self._input_shape, batch_size, self._network.sum_dtype)

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Pools by the node's rule; what does not change in time, once."""
        if inputs[0].constant:
            return Outcome(Signal.of(self._network.apply(self._node, [inputs[0].value]), constant=True))
        current = inputs[0].at_every_step(block.timesteps)
        pooled, after = pool(self._node, current, state, block.timesteps, differentiable=block.options.differentiable)
        return Outcome(Signal.of(pooled, constant=False), after)
