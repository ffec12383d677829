"""Elementwise affine maps, and rounding to the grid."""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import LayerNode, LayerSpec, Node, sample_axis
from snn_toolbox_tf.synapses.family import PerChannel, SynapseFamily, WeightedFamily, shifted_axis
from snn_toolbox_tf.synapses.scale import Scale


class ScaleFamily(WeightedFamily):
    """`Scale`: a factor and an offset for all elements, or one of each per channel."""

    class_names = ("Scale",)
    kernel, bias, uses_bias = "factor", "offset", "use_offset"
    sums = False
    decodable = True
    absorbed_as = "gain"

    def keeps_spikes(self, node: LayerNode) -> bool:
        """A spike times a factor is a current."""
        return False

    def weight_axis(self, node: LayerNode) -> int:
        """It says so itself."""
        return sample_axis(node.layer.config["axis"], len(node.shape))

    def scale_output(self, spec: LayerSpec, factor: np.ndarray) -> None:
        """One factor for all becomes one per channel when it takes up a factor per channel."""
        super().scale_output(spec, factor)
        _sync_channels(spec)

    def scale_input(self, spec: LayerSpec, factor: np.ndarray) -> None:
        """Likewise."""
        super().scale_input(spec, factor)
        _sync_channels(spec)

    def add_bias(self, spec: LayerSpec, offset: np.ndarray, channels: int) -> None:
        """Likewise."""
        present = spec.weights.get(self.bias, np.zeros(spec.weights[self.kernel].shape))
        spec.weights[self.bias] = present + np.asarray(offset, np.float64).reshape(-1)
        spec.config[self.uses_bias] = True
        _sync_channels(spec)

    def along_inputs(self, spec: LayerSpec, values: np.ndarray) -> np.ndarray:
        """An element reads itself."""
        return values

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """Its axis moves by one."""
        return dataclasses.replace(spec, config=shifted_axis(spec.config))


class RoundingFamily(SynapseFamily):
    """`RoundToGrid`: the end of a chain of sums."""

    class_names = ("RoundToGrid",)
    how = "rounds to the grid"
    sums = False
    decodable = False

    def keeps_spikes(self, node: LayerNode) -> bool:
        """It has no reason to stand behind spikes."""
        return False

    def _carry(self, node: LayerNode, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
        return scale

    def limit_of_input(self, node: LayerNode, sources: list[Node], index: int, limit: PerChannel) -> PerChannel | None:
        """Any: that is what it is for."""
        return None

    def bits_of_output(self, node: LayerNode, sources: list[Node], inputs: list[PerChannel]) -> PerChannel | None:
        """Those of its grid."""
        return np.array([int(node.layer.config["bits"])])


def scale_spec(factor: np.ndarray, offset: np.ndarray | None, axis: int) -> LayerSpec:
    """Returns a `Scale` layer.

    Args:
        factor: One factor for all, or one per channel.
        offset: Likewise, or None.
        axis: The channels' axis, counted with the batch axis.
    """
    weights = {"factor": np.array(np.atleast_1d(factor), dtype=np.float64)}
    if offset is not None:
        weights["offset"] = np.array(np.broadcast_to(offset, weights["factor"].shape), dtype=np.float64)
    config = {"axis": axis, "channels": int(weights["factor"].size), "use_offset": offset is not None}
    return LayerSpec("Scale", config, weights)


def _sync_channels(spec: LayerSpec) -> None:
    sizes = [array.size for array in spec.weights.values()]
    spec.config["channels"] = max(sizes)
    for name, array in spec.weights.items():
        spec.weights[name] = np.broadcast_to(array, (max(sizes),)).astype(np.float64)
