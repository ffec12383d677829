"""How large values become: one pass over the calibration data, from which windows take their lengths."""

import dataclasses

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import InputNode, Population
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.network.input_data import Batch, InputData

_BATCH_SIZE = 64


@dataclasses.dataclass
class ObservedRanges:
    """What was seen of a network run as an ANN.

    Attributes:
        largest: Largest absolute value of each population and input by name.
        currents: Largest absolute current of each population.
        signed: Names of inputs with negative values.
        samples: Number of samples seen.
        first_batch: The first samples, at most 64.
    """

    largest: dict[str, float]
    currents: dict[str, float]
    signed: set[str]
    samples: int = 0
    first_batch: Batch = dataclasses.field(default_factory=dict)

    @property
    def silent(self) -> list[str]:
        """Names of populations that no sample drives."""
        return [name for name in self.currents if self.largest[name] == 0]

    def to_cover(self, node: InputNode | Population) -> float:
        """Returns how large a node's values may be: of one that was silent, as large as its currents were negative."""
        return self.largest[node.name] or self.currents.get(node.name) or 1.0


def observe_ranges(network: Network, data: InputData) -> ObservedRanges:
    """Runs the network as an ANN over all the calibration data.

    Raises:
        TypeError, ValueError: For unusable data in a stream, see `InputData`; and if activations are not finite.
    """
    graph = network.graph
    populations, inputs = graph.of_type(Population), inputs_of(graph)

    def observe(batch: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        values = network.run_as_ann(batch)
        largest = {node.name: tf.reduce_max(tf.abs(values[node.name])) for node in (*inputs, *populations)}
        currents = {node.name: tf.reduce_max(tf.abs(values[node.inputs[0]])) for node in populations}
        return largest, currents, {node.name: tf.reduce_min(values[node.name]) for node in inputs}

    signature = {node.name: tf.TensorSpec((None, *node.shape)) for node in inputs}
    traced = tf.function(observe, input_signature=[signature], autograph=False).get_concrete_function()
    seen = ObservedRanges(
        {node.name: 0.0 for node in (*inputs, *populations)}, {n.name: 0.0 for n in populations}, set()
    )
    for batch in data.batches(_BATCH_SIZE):
        largest, currents, smallest = traced({name: tf.constant(array) for name, array in batch.items()})
        for ours, theirs in ((seen.largest, largest), (seen.currents, currents)):
            for name, value in theirs.items():
                ours[name] = max(ours[name], _finite(graph.name, name, float(value)))
        seen.signed.update(name for name, value in smallest.items() if float(value) < 0)
        seen.samples += len(next(iter(batch.values())))
        seen.first_batch = seen.first_batch or batch
    return seen


def _finite(network: str, name: str, value: float) -> float:
    if not np.isfinite(value):
        raise ValueError(
            f"The activations of model '{network}' are not finite on this data, first in '{name}'. Expected weights and "
            "inputs for which float32 suffices: is the data scaled as the model expects, and did the training converge?"
        )
    return value
