"""How input enters a network: as a constant current, as spikes drawn at random, or frame by frame."""

import dataclasses

import tensorflow as tf

from snn_toolbox_tf.graph import InputNode
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.simulation.block import Block, BlockOptions, Element, NodeState, Outcome, zeros
from snn_toolbox_tf.simulation.encoding import poisson_spikes
from snn_toolbox_tf.simulation.signal import Signal, by_timestep, merged

INPUT_MODES = ("analog", "poisson", "frames")


@dataclasses.dataclass(frozen=True)
class InputOptions:
    """How input is encoded.

    Attributes:
        mode: "analog", "poisson" or "frames", see `simulation.encoding`.
        seed: Seed of the Poisson draws.
    """

    mode: str = "analog"
    seed: int = 0


class AnalogInput(Element):
    """The data as a constant current."""

    def __init__(self, node: InputNode, dtype: str) -> None:
        super().__init__([])
        self._name, self._dtype = node.name, dtype

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Gives the data."""
        return Outcome(Signal.of(tf.cast(block.inputs[self._name], self._dtype), constant=True))


class FrameInput(AnalogInput):
    """A frame per timestep, of data `[batch, timesteps, ...]`."""

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Gives the frames of the block."""
        frames = tf.gather(block.inputs[self._name], block.offset + tf.range(block.timesteps), axis=1)
        order = [1, 0, *range(2, frames.shape.rank)]
        return Outcome(Signal.of(merged(tf.cast(tf.transpose(frames, order), self._dtype)), constant=False))


class PoissonInput(Element):
    """Spikes drawn from the data, each worth the input's magnitude.

    Args:
        node: The input.
        dtype: What its readers compute in.
        seed: The user's seed.
        salt: Tells the inputs of one network apart.
    """

    def __init__(self, node: InputNode, dtype: str, seed: int, salt: int) -> None:
        super().__init__([])
        self._node, self._dtype, self._seed, self._salt = node, dtype, seed, salt

    def initial_state(self, batch_size: tf.Tensor, options: BlockOptions) -> NodeState:
        """No spikes yet, if they are counted."""
        return {"spike_count": zeros(batch_size, self._node.shape, tf.float32)} if options.count else {}

    def run(self, inputs: list[Signal], state: NodeState, block: Block) -> Outcome:
        """Draws the spikes of the block."""
        spikes = poisson_spikes(
            block.inputs[self._node.name],
            self._node.magnitude,
            seed=self._seed if block.seed is None else block.seed,
            salt=self._salt,
            sample_index=block.sample_index,
            places=block.places(),
        )
        current = tf.cast(spikes, self._dtype) * tf.constant(self._node.magnitude, self._dtype)
        signal = Signal.of(merged(current), constant=False)
        if "spike_count" not in state:
            return Outcome(signal)
        fired = by_timestep(tf.cast(signal.value != 0, tf.float32), block.timesteps)
        return Outcome(signal, {"spike_count": state["spike_count"] + tf.reduce_sum(fired, axis=0)})


def input_elements(network: Network, options: InputOptions) -> dict[str, Element]:
    """Returns the elements of a network's inputs."""
    elements: dict[str, Element] = {}
    for salt, node in enumerate(inputs_of(network.graph)):
        dtype = network.input_dtype(node.name)
        if options.mode == "poisson":
            elements[node.name] = PoissonInput(node, dtype, options.seed, salt)
        elif options.mode == "frames":
            elements[node.name] = FrameInput(node, dtype)
        else:
            elements[node.name] = AnalogInput(node, dtype)
    return elements
