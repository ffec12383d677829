"""A softmax as a circuit: one output neuron spikes at each timestep, drawn by the softmax of all potentials.

After Rueckauer et al. (2017, Frontiers in Neuroscience 11:682) and Nessler et al. (2009): output neurons do not fire on
their own; they accumulate their input, and whenever an external clock ticks, one of them is drawn to spike, with the
softmax of the potentials as probabilities. Here the clock ticks at every timestep, and a potential is the current averaged
over time: the sum itself would grow with time, until the largest is drawn for sure. The share of a neuron's spikes then has
the softmax as its limit, and is off by sqrt(p (1 - p) / n) after n draws.
"""

import dataclasses

import tensorflow as tf

from snn_toolbox_tf.graph import Readout
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, NodeState, Outcome
from snn_toolbox_tf.simulation.encoding import uniform
from snn_toolbox_tf.simulation.readout import ReadoutElement, time_averages
from snn_toolbox_tf.simulation.signal import Signal, merged

#: Tells the draws of outputs from those of inputs, which count from 0.
_SALT = 2**32


class SpikingSoftmaxElement(Element):
    """An output that keeps the potentials of its neurons, and the number of their spikes.

    Args:
        network: The network.
        place: The place of the readout among the network's.
        seed: Of the draws, where a block has none.
    """

    def __init__(self, network: Network, place: int, seed: int) -> None:
        readout: Readout = network.graph.readouts[place]
        super().__init__([readout.node])
        self._network, self._place, self._readout, self._seed = network, place, readout, seed
        self._potentials = ReadoutElement(readout, network.graph[readout.node].shape, network.sum_dtype)
        self._spikes = ReadoutElement(readout, network.graph.output_shape(readout), network.sum_dtype)
        self.recordable = self._spikes.recordable

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """Nothing has come in yet, and none has fired."""
        potential = self._potentials.initial_state(batch_size, options)["sum"]
        return {"potential": potential, **self._spikes.initial_state(batch_size, options)}

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Accumulates, and draws a neuron for each timestep."""
        every_step = dataclasses.replace(block, options=dataclasses.replace(block.options, every_step=True))
        potentials = self._potentials.run(inputs, {"sum": state["potential"]}, every_step).recorded["sum"]
        averages = time_averages(self._readout, potentials, block)
        if block.options.one_block:
            # Neurons integrate all timesteps before they fire; and what is trained is what draws have as their mean.
            averages = tf.tile(averages[-1:], [block.timesteps, *[1] * (averages.shape.rank - 1)])
        probabilities = self._network.decode_one(self._place, merged(averages))
        spikes = probabilities if block.options.differentiable else self._drawn(probabilities, block)
        signal = Signal.of(spikes, constant=False)
        counted = self._spikes.run([signal], {"sum": state["sum"]}, block)
        return counted._replace(state={"potential": potentials[-1], **counted.state})

    def _drawn(self, probabilities: tf.Tensor, block: Block) -> tf.Tensor:
        """One spike for each row of probabilities, `[timesteps * batch, ..., classes]`."""
        rows = tf.reshape(
            probabilities, [block.timesteps, tf.shape(block.sample_index)[0], -1, probabilities.shape[-1]]
        )
        numbers = uniform(
            tf.shape(rows)[2],
            seed=self._seed if block.seed is None else block.seed,
            salt=_SALT + self._place,
            sample_index=block.sample_index,
            places=block.places(),
            dtype=rows.dtype,
        )
        # The last sum may be less than 1 by rounding, and is not looked at.
        below = tf.cumsum(rows, axis=-1)[..., :-1] <= numbers[..., tf.newaxis]
        chosen = tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)
        return tf.reshape(tf.one_hot(chosen, rows.shape[-1], dtype=rows.dtype), tf.shape(probabilities))
