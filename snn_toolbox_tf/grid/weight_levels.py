"""Weights of few bits: each output channel of a layer has a scale, and its weights are small whole numbers times that.

    w = s q,    q in {-(2^(b-1) - 1), ..., 2^(b-1) - 1},    or q in {-1, 1} for b = 1

Two bits are ternary weights, 0 and +-s (Li & Liu 2016, "Ternary Weight Networks"), one bit is the sign (Rastegari et al.
2016, "XNOR-Net"). Scales have the least squared error: of the sign it is the mean of |w|, in closed form; otherwise many are
tried, each refined by the least-squares scale of the whole numbers that it gives.
"""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import Graph, Synapse
from snn_toolbox_tf.synapses import is_scale, is_weighted, weighted_family

#: Shares of the largest weight that the largest whole number may stand for.
_SHARES = np.arange(1, 65) / 64
MOST_BITS, _MOST_RECOGNIZED = 16, 8
#: Weights that are rounded at once.
_CHUNK = 2**22
#: Weights that are equal to so many decimals of the largest one are equal; whole numbers are met to this.
_DECIMALS, _TOLERANCE, _SMALLEST = 6, 1e-3, 1e-30


@dataclasses.dataclass(frozen=True)
class Levels:
    """Rounded weights of some output channels.

    Attributes:
        codes: The whole numbers q, int32 `[channels, weights]`.
        scales: s, float64 `[channels]`; 0 where all weights are.
    """

    codes: np.ndarray
    scales: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """The weights s q, float64 `[channels, weights]`."""
        return self.codes * self.scales[:, np.newaxis]


def round_to_levels(weights: np.ndarray, bits: int, importance: np.ndarray | None = None) -> Levels:
    """Rounds weights `[channels, weights]` to so many bits, with the least squared error in each channel.

    Args:
        weights: The weights, float64.
        bits: b, from 1 to 16.
        importance: What the squared error of each weight counts, `[weights]`; None: all the same.
    """
    counts = np.ones(weights.shape[1]) if importance is None else importance
    rows = max(1, _CHUNK // weights.shape[1])
    parts = [_rounded(weights[start : start + rows], bits, counts) for start in range(0, len(weights), rows)]
    return Levels(np.concatenate([part.codes for part in parts]), np.concatenate([part.scales for part in parts]))


def _rounded(weights: np.ndarray, bits: int, counts: np.ndarray) -> Levels:
    if bits == 1:
        signs = np.where(weights < 0, -1, 1).astype(np.int32)
        return Levels(signs, np.abs(weights) @ counts / counts.sum())
    most = 2 ** (bits - 1) - 1
    largest = np.abs(weights).max(axis=1)
    codes, scales = np.zeros(weights.shape, np.int32), np.zeros(len(weights))
    least = np.full(len(weights), np.inf)
    for share in _SHARES:
        step = np.where(largest > 0, largest * share / most, 1.0)
        tried = np.clip(np.round(weights / step[:, np.newaxis]), -most, most)
        power = np.square(tried) @ counts
        scale = (weights * tried) @ counts / np.where(power > 0, power, 1.0)
        error = np.square(weights - tried * scale[:, np.newaxis]) @ counts
        better = error < least
        codes[better], scales[better], least[better] = tried[better], scale[better], error[better]
    return Levels(codes, scales)


def has_levels(weights: np.ndarray, bits: int) -> bool:
    """Whether weights `[channels, weights]` are scales times whole numbers of so many bits already, as training may do.

    Args:
        weights: The weights, float64.
        bits: From 1 to 16. More than 8 are never recognised: by then float32 weights have too few digits to tell.
    """
    if bits > _MOST_RECOGNIZED:
        return False
    most = max(1, 2 ** (bits - 1) - 1)
    for row in np.abs(weights):
        largest = row.max()
        if largest == 0 and bits > 1:
            continue
        levels = np.unique(np.round(row / max(largest, _SMALLEST), _DECIMALS))
        if len(levels) > most + 1 or (bits == 1 and len(levels) > 1):
            return False
        # The largest weight may be any of the whole numbers.
        multiples = levels * np.arange(1, most + 1)[:, np.newaxis]
        if np.abs(multiples - np.round(multiples)).max(axis=1).min() > _TOLERANCE:
            return False
    return True


def levelled_synapses(graph: Graph) -> list[Synapse]:
    """Returns the layers whose weights have few bits."""
    return [node for node in graph.of_type(Synapse) if is_weighted(node) and not is_scale(node)]


def places_by_channel(node: Synapse) -> np.ndarray:
    """Returns where in a layer's flat kernel the weights of each output channel are, int `[channels, weights]`."""
    family = weighted_family(node)
    kernel, channels = node.layer.weights[family.kernel], node.shape[family.weight_axis(node)]
    channel = family.along_outputs(node.layer, family.kernel, np.arange(channels))
    order = np.argsort(np.broadcast_to(channel, kernel.shape).reshape(-1), kind="stable")
    return order.reshape(channels, -1)
