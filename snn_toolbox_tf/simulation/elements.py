"""How each kind of node goes through a block of timesteps, and what it keeps."""

import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import InputNode, MaxPool, Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, NodeState, Outcome, zeros
from snn_toolbox_tf.simulation.event_synapses import event_synapses, run_on_spikes
from snn_toolbox_tf.simulation.inputs import InputOptions, input_elements
from snn_toolbox_tf.simulation.pooling import pool
from snn_toolbox_tf.simulation.population import PopulationElement
from snn_toolbox_tf.simulation.readout import ReadoutElement, readout_key
from snn_toolbox_tf.simulation.signal import Part, Signal, absorbed_synapses
from snn_toolbox_tf.synapses import family_of


def network_elements(network: Network, input_options: InputOptions, engine: str = "dense") -> dict[str, Element]:
    """Returns the elements of a network's nodes and readouts, in topological order.

    Args:
        network: The spiking network.
        input_options: How input is encoded.
        engine: What runs synapses that read spikes alone, one of `ENGINES`.
    """
    events = event_synapses(network.graph, engine)
    graph, absorbed = network.graph, absorbed_synapses(network.graph)
    elements: dict[str, Element] = dict(input_elements(network, input_options))
    for node in graph:
        if isinstance(node, Population):
            elements[node.name] = PopulationElement(node, network.layers[node.name])
        elif isinstance(node, MaxPool):
            elements[node.name] = MaxPoolElement(network, node)
        elif isinstance(node, Synapse) and node.name in absorbed:
            elements[node.name] = AbsorbedElement(network, node)
        elif isinstance(node, Synapse):
            elements[node.name] = SynapseElement(network, node, engine if node.name in events else "dense")
        elif not isinstance(node, InputNode):
            raise TypeError(f"Node '{node.name}' ({type(node).__name__}) has no place in a spiking network.")
    return elements | {
        readout_key(readout): ReadoutElement(readout, graph[readout.node].shape) for readout in graph.readouts
    }


class SynapseElement(Element):
    """An affine map: its layer, on all timesteps of a block at once. It keeps nothing."""

    def __init__(self, network: Network, node: Synapse, engine: str) -> None:
        super().__init__(node.inputs)
        self._network, self._node, self._engine = network, node, engine

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Runs the layer; once, where no input changes in the block."""
        if self._engine != "dense" and not block.options.differentiable and ops.implementation().name == "native":
            # The reference has nothing to gain: it is a dense convolution.
            spikes = inputs[0].at_every_step(block.timesteps)
            current = run_on_spikes(self._network, self._node, spikes, engine=self._engine)
            return Outcome(Signal.of(current, constant=False))
        constant = all(signal.constant for signal in inputs)
        values = [signal.value if constant else signal.at_every_step(block.timesteps) for signal in inputs]
        return Outcome(Signal.of(self._network.apply(self._node, values), constant=constant))


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
        (part,) = inputs[0].parts
        return Outcome(Signal((Part(part.value, part.constant, self._layer.broadcast_factor()),)))


class MaxPoolElement(Element):
    """Max pooling, which keeps what its inputs have summed up to."""

    def __init__(self, network: Network, node: MaxPool) -> None:
        super().__init__(node.inputs)
        self._network, self._node = network, node
        self._input_shape = network.graph[node.inputs[0]].shape

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """Nothing has come in yet."""
        return {"accumulated": zeros(batch_size, self._input_shape, tf.float64)}

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Pools by the node's rule; what does not change in time, once."""
        if inputs[0].constant:
            return Outcome(Signal.of(self._network.apply(self._node, [inputs[0].value]), constant=True))
        current = inputs[0].at_every_step(block.timesteps)
        pooled, accumulated = pool(
            self._node,
            current,
            state["accumulated"],
            block.timesteps,
            differentiable=block.options.differentiable,
        )
        return Outcome(Signal.of(pooled, constant=False), {"accumulated": accumulated})
