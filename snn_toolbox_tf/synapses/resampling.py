"""Repetition and interpolation."""

import numpy as np

from snn_toolbox_tf.graph import LayerNode, Node
from snn_toolbox_tf.synapses.family import SynapseFamily

_MOST_BITS = 12
_FLOAT32_BITS = 24


class RepetitionFamily(SynapseFamily):
    """Puts out each value several times."""

    class_names = ("UpSampling1D", "UpSampling2D", "UpSampling3D", "RepeatVector")
    how = "moves spikes"
    sums = False


class ResamplingFamily(SynapseFamily):
    """`Resample`: one matrix per axis."""

    class_names = ("Resample",)

    def summed_weight(self, node: LayerNode, source: Node) -> float:
        """The largest sum of a row, over all axes."""
        return float(np.prod([np.abs(matrix).sum(axis=1).max() for matrix in node.layer.weights.values()]))

    def added_bits(self, node: LayerNode, source: Node) -> int | None:
        """Those of the matrices, if they are few."""
        bits = [_bits_of(matrix) for matrix in node.layer.weights.values()]
        return None if max(bits) > _MOST_BITS else sum(bits)

    def round_weights(self, node: LayerNode, bits: int) -> None:
        """Half of what there is room for, as there may be several axes; no more than float32 has."""
        super().round_weights(node, min(bits // 2, _FLOAT32_BITS))

    def fan_out(self, node: LayerNode, input_shape: tuple[int, ...]) -> np.ndarray:
        """As many as weights of its column that are not zero, along each axis."""
        counts = np.ones((1,) * len(input_shape))
        for axis, matrix in enumerate(node.layer.weights.values()):
            shape = [1] * len(input_shape)
            shape[axis] = -1
            counts = counts * np.count_nonzero(matrix, axis=0).reshape(shape)
        return np.broadcast_to(counts, input_shape)


def _bits_of(matrix: np.ndarray) -> int:
    """The fewest fractional bits that hold a matrix, or more than are of use."""
    for bits in range(_MOST_BITS + 1):
        scaled = matrix * 2.0**bits
        if np.array_equal(scaled, np.round(scaled)):
            return bits
    return _MOST_BITS + 1
