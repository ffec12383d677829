"""A population in time: from the currents that meet at its membranes to its spikes."""

from collections.abc import Sequence

import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.layers import SpikingNeurons
from snn_toolbox_tf.ops import Current, Response
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, NodeState, Outcome, zeros
from snn_toolbox_tf.simulation.settling import Membranes, timed_current, wait_then_step
from snn_toolbox_tf.simulation.signal import Signal, by_timestep, merged


class PopulationElement(Element):
    """Spiking neurons, which keep their membrane potential, and the number of their spikes if it is asked for.

    Args:
        node: Their node.
        layer: Their layer.
        gives_bits: Whether spikes are given as bits.
    """

    def __init__(self, node: Population, layer: SpikingNeurons, *, gives_bits: bool = False) -> None:
        super().__init__(node.inputs)
        self._node, self._layer = node, layer
        self._spike_form = "bits" if gives_bits else "float"
        # Signed spikes keep their sign.
        self._spike_dtype = tf.int8 if node.neuron.signed_spikes else tf.uint8
        self.recordable = {"spikes": (self._spike_dtype, node.shape), "membrane_potential": (tf.float32, node.shape)}

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """The neuron's initial potential; no spikes yet, and nothing else that it keeps."""
        potential = tf.ensure_shape(self._layer.get_initial_potential(batch_size), [None, *self._node.shape])
        state = {"membrane_potential": potential}
        for name in self._node.neuron.hidden_names:
            state[name] = tf.zeros_like(potential)
        if options.count or self._node.neuron.signed_spikes:
            state["spike_count"] = zeros(batch_size, self._node.shape, tf.float32)
        return state

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Integrates and fires."""
        stepped = self._respond(inputs[0].currents(block.timesteps), state, block)
        if self._spike_form == "bits":
            signal = Signal.of_bits(merged(stepped.spikes), self._node.shape)
        else:
            signal = Signal.of(merged(stepped.spikes), constant=False)
        after = {"membrane_potential": stepped.membrane_potential, **stepped.hidden}
        if stepped.counts is not None:
            after["spike_count"] = stepped.counts
        recorded = {}
        if self._is_recorded("spikes", block):
            recorded["spikes"] = by_timestep(tf.cast(self._numbers(signal.value), self._spike_dtype), block.timesteps)
        if self._is_recorded("membrane_potential", block):
            recorded["membrane_potential"] = stepped.trace
        return Outcome(signal, after, recorded)

    def _numbers(self, spikes: tf.Tensor) -> tf.Tensor:
        """Returns how many spikes there are, of those that may have a height."""
        if self._node.neuron.burst == 1:
            return tf.sign(spikes)
        heights = self._node.threshold if self._node.spike_height == "threshold" else 1.0
        return tf.round(spikes / tf.cast(heights, spikes.dtype))

    def _is_recorded(self, kind: str, block: Block) -> bool:
        return (kind, self._node.name) in block.options.record

    def _respond(self, currents: list[Current], state: NodeState, block: Block) -> Response:
        """Steps through the block; what is peculiar to the first timesteps costs nothing in later blocks."""
        settling_time = self._node.settling_time
        if not settling_time:
            return self._settled(currents, state, block)
        if block.options.one_block:
            return self._settling(currents, state, block)

        def parts(response: Response) -> dict[str, tf.Tensor]:
            # A condition has no place for None, and a trace only where it is wanted.
            wanted = response if self._is_recorded("membrane_potential", block) else response._replace(trace=None)
            return {name: tensor for name, tensor in wanted._asdict().items() if tensor is not None}

        either = tf.cond(
            tf.reduce_any(block.timestep < settling_time),
            lambda: parts(self._settling(currents, state, block)),
            lambda: parts(self._settled(currents, state, block)),
        )
        return Response(**{"counts": None, "trace": None, **either})

    def _settling(self, currents: list[Current], state: NodeState, block: Block) -> Response:
        if self._node.timed_bias is not None:
            currents = [*currents, timed_current(self._node, block)]
        if not self._node.start or block.options.schedule == "layer_synchronous":
            return self._settled(currents, state, block)
        # What is looked at timestep by timestep is found before.
        shape = self._node.shape
        found = [ops.given_current(current, block.timesteps, shape) for current in currents]

        def step(currents: Sequence[Current], before: Membranes, steps: int) -> Response:
            return self._step(currents, before, steps, block, "float")

        response = wait_then_step(self._node, step, found, self._membranes(state), block)
        if self._spike_form == "bits":
            response = response._replace(spikes=ops.pack_bits(response.spikes))
        return response

    def _settled(self, currents: list[Current], state: NodeState, block: Block) -> Response:
        return self._step(currents, self._membranes(state), block.timesteps, block, self._spike_form)

    def _membranes(self, state: NodeState) -> Membranes:
        hidden = {name: state[name] for name in self._node.neuron.hidden_names}
        return Membranes(state["membrane_potential"], state.get("spike_count"), hidden)

    def _step(
        self,
        currents: Sequence[Current],
        before: Membranes,
        timesteps: int,
        block: Block,
        spike_form: str,
    ) -> Response:
        return self._layer.integrate(
            currents,
            before.potential,
            timesteps=timesteps,
            counts=before.counts,
            hidden=before.hidden,
            schedule=block.options.schedule,
            start=self._node.start,
            spike_form=spike_form,
            return_trace=self._is_recorded("membrane_potential", block),
            surrogate_gradient=block.options.surrogate_gradient,
        )
