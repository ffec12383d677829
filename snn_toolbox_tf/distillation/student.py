"""The spiking network that learns: stepped for T timesteps, with thresholds and potentials that are variables."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.distillation.loss import Answer
from snn_toolbox_tf.distillation.spikes import fire
from snn_toolbox_tf.distillation.variables import PopulationVariables, learns
from snn_toolbox_tf.graph import Graph, MaxPool, Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.trained import Trained, weights_of
from snn_toolbox_tf.ops.reference import summed
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, NodeState, Outcome, State, zeros
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.simulation.loop import TimeLoop
from snn_toolbox_tf.simulation.readout import time_average
from snn_toolbox_tf.simulation.signal import Signal, merged
from snn_toolbox_tf.synapses import is_weighted

#: Bytes that a block of timesteps may keep for its gradient; more timesteps are several blocks, which are computed twice.
MEMORY = 2**31
#: Tensors that are kept for each node.
_KEPT = 3


class LearningElement(Element):
    """A population with variables; it keeps its membrane potential, in thresholds, and how often it has fired."""

    def __init__(self, variables: PopulationVariables) -> None:
        super().__init__(variables.node.inputs)
        self._node, self._variables = variables.node, variables

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """The initial potential; no spikes yet."""
        empty = zeros(batch_size, self._node.shape, tf.float32)
        return {"potential": empty + self._variables.initial_potential, "fired": empty}

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Integrates and fires, in units of the threshold: what reaches the threshold has a gradient then, too."""
        threshold = self._variables.threshold
        current = summed(inputs[0].currents(block.timesteps)) / threshold + self._variables.bias
        if block.options.differentiable:
            spikes, potential = fire(current, state["potential"], block.timesteps)
        else:
            stepped = ops.integrate_fire(current, state["potential"], tf.ones(()), timesteps=block.timesteps)
            spikes, potential = stepped.spikes, stepped.membrane_potential
        after = {"potential": potential, "fired": state["fired"] + tf.reduce_sum(spikes, axis=0)}
        return Outcome(Signal.of(merged(spikes * threshold), constant=False), after)


class Student:
    """A network whose thresholds, initial potentials, biases and weights are learnt.

    Args:
        graph: The calibrated graph, in units of the source; it is not changed.
        timesteps: T.
        input_options: How input is encoded.
        memory: Bytes that may be kept for gradients.

    Attributes:
        network: Its layers, in float32.
        populations: The variables of its populations, by name.
    """

    def __init__(self, graph: Graph, timesteps: int, input_options: InputOptions, memory: int = MEMORY) -> None:
        self.network = Network(graph, dtype="float32")
        self.populations = {node.name: PopulationVariables(node, timesteps) for node in graph.of_type(Population)}
        self._timesteps, self._memory = timesteps, memory
        elements = {name: LearningElement(variables) for name, variables in self.populations.items()}
        self._loop = TimeLoop(self.network, input_options, elements)

    def trained(self, *, weights: bool) -> list[Trained]:
        """Returns what is trained.

        Args:
            weights: Whether the layers' weights are.
        """
        learning = [variables for variables in self.populations.values() if learns(variables.node)]
        of_populations = [Trained(variable, 1.0) for one in learning for variable in one.variables]
        return of_populations + (weights_of(self.network) if weights else [])

    def block_length(self, batch_size: int) -> int:
        """Returns how many timesteps of a batch can be kept for gradients."""
        graph = self.network.graph
        # Some are views, or left to the population behind them.
        kept = (Population, MaxPool)
        size = sum(int(np.prod(node.shape)) for node in graph if isinstance(node, kept) or is_weighted(node))
        longest = max(1, min(self._timesteps, self._memory // (4 * _KEPT * size * batch_size)))
        # As many blocks as needed, all of about the same length.
        return -(-self._timesteps // -(-self._timesteps // longest))

    def run(
        self, inputs: Mapping[str, tf.Tensor], index: tf.Tensor, *, block_length: int, differentiable: bool
    ) -> Answer:
        """Steps the network for T timesteps.

        Args:
            inputs: A tensor `[batch, ...]` per input.
            index: Global index of each sample, int64 `[batch]`.
            block_length: K.
            differentiable: Whether gradients are wanted. What blocks of K timesteps have computed is then computed again for
                them, if there are several.

        Returns:
            What it gives.
        """
        options = BlockOptions(surrogate_gradient="triangle" if differentiable else None)
        state = self._loop.initial_state(tf.shape(index)[0], options)
        for start in range(0, self._timesteps, block_length):
            length = min(block_length, self._timesteps - start)
            recompute = differentiable and block_length < self._timesteps
            state = self._block(inputs, index, state, length, options, recompute=recompute)
        totals = zip(self.network.graph.readouts, self._loop.readout_sums(state), strict=True)
        means = [time_average(readout.start, total, self._timesteps) for readout, total in totals]
        activations = {
            name: state.nodes[name]["fired"] * (variables.threshold / self._timesteps)
            for name, variables in self.populations.items()
        }
        return Answer(self.network.decode(means), [tf.cast(mean, tf.float32) for mean in means], activations)

    def _block(
        self,
        inputs: Mapping[str, tf.Tensor],
        index: tf.Tensor,
        state: State,
        length: int,
        options: BlockOptions,
        *,
        recompute: bool,
    ) -> State:
        """Goes through a block of timesteps."""

        def advance(*flat: tf.Tensor) -> list[tf.Tensor]:
            before = State(state.timestep, tf.nest.pack_sequence_as(state.nodes, flat))
            segment = self._loop.advance(
                inputs, before, length, block_length=length, options=options, sample_index=index
            )
            return tf.nest.flatten(segment.state.nodes)

        flat = tf.nest.flatten(state.nodes)
        after = tf.recompute_grad(advance)(*flat) if recompute else advance(*flat)
        return State(state.timestep + length, tf.nest.pack_sequence_as(state.nodes, after))
