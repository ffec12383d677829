"""Layers with several inputs: sums and concatenations."""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import LayerNode, LayerSpec, Node, sample_axis
from snn_toolbox_tf.synapses.build import apply_spec
from snn_toolbox_tf.synapses.family import Moments, PerChannel, SynapseFamily, shifted_axis
from snn_toolbox_tf.synapses.scale import Scale, ones


class SumFamily(SynapseFamily):
    """Adds up currents element by element. Currents meet at a membrane anyway: it costs no operations."""

    class_names = ("Add",)
    how = "adds currents"
    sums = False
    decodable = False
    absorbed_as: str | None = "sum"

    def keeps_spikes(self, node: LayerNode) -> bool:
        """Two spikes make a current of 2."""
        return False

    def push(self, node: LayerNode, sources: list[Node], scales: list[Scale]) -> Scale | None:
        """Terms of different scale meet at the largest."""
        target = scales[0]
        for scale in scales[1:]:
            target = np.maximum(target, scale)
        return target

    def pull(self, node: LayerNode, sources: list[Node], index: int, scale: Scale) -> Scale | None:
        """All terms have the scale of the sum."""
        return scale if scale.size > 1 else ones(node.shape) * scale.reshape(())

    def bits_of_output(self, node: LayerNode, sources: list[Node], inputs: list[PerChannel]) -> PerChannel | None:
        """Those of the finest term."""
        return np.max(np.broadcast_arrays(*inputs), axis=0)

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """It does not care for axes."""
        return spec

    def moments(self, node: LayerNode, inputs: list[Moments | None]) -> Moments | None:
        """Means and variances add up, if they are known of all terms."""
        known = [part for part in inputs if part is not None and part[0].size == node.shape[node.channel_axis]]
        if len(known) < len(inputs):
            return None
        return np.sum([mean for mean, _ in known], axis=0), np.sum([variance for _, variance in known], axis=0)


class DifferenceFamily(SumFamily):
    """Subtracts the second current from the first."""

    class_names = ("Subtract",)
    absorbed_as = None

    def largest_magnitude(self, node: LayerNode, inputs: list[np.ndarray]) -> np.ndarray:
        """That of a sum."""
        return apply_spec(dataclasses.replace(node.layer, class_name="Add"), node.name, inputs)

    def largest_value(self, node: LayerNode, inputs: list[np.ndarray]) -> np.ndarray:
        """What is subtracted may be silent."""
        return inputs[0]

    def moments(self, node: LayerNode, inputs: list[Moments | None]) -> Moments | None:
        """Not worked out."""
        return None


class ConcatenationFamily(SynapseFamily):
    """Puts tensors side by side."""

    class_names = ("Concatenate",)
    how = "joins spikes or currents"
    sums = False
    decodable = False

    def axis(self, node: LayerNode) -> int:
        """The axis along which it joins, counted without the batch axis."""
        return sample_axis(node.layer.config.get("axis", -1), len(node.shape))

    def push(self, node: LayerNode, sources: list[Node], scales: list[Scale]) -> Scale | None:
        """Scales are joined as well."""
        axis, rank = self.axis(node), len(node.shape)
        common = np.broadcast_shapes(*[tuple(1 if i == axis else s.shape[i] for i in range(rank)) for s in scales])
        parts = [
            np.broadcast_to(scale, tuple(source.shape[axis] if i == axis else common[i] for i in range(rank)))
            for source, scale in zip(sources, scales, strict=True)
        ]
        return np.concatenate(parts, axis=axis)

    def pull(self, node: LayerNode, sources: list[Node], index: int, scale: Scale) -> Scale | None:
        """The part of the scale that belongs to one input."""
        axis = self.axis(node)
        if scale.shape[axis] == 1:
            return scale
        start = sum(source.shape[axis] for source in sources[:index])
        return np.take(scale, range(start, start + sources[index].shape[axis]), axis=axis)

    def limit_of_input(self, node: LayerNode, sources: list[Node], index: int, limit: PerChannel) -> PerChannel | None:
        """The part of the limit that belongs to one input, where channels are joined."""
        if self.axis(node) != len(node.shape) - 1 or limit.size == 1:
            return limit
        start = sum(source.shape[-1] for source in sources[:index])
        return limit[start : start + sources[index].shape[-1]]

    def bits_of_output(self, node: LayerNode, sources: list[Node], inputs: list[PerChannel]) -> PerChannel | None:
        """Those of the finest input."""
        return np.array([max(int(bits.max()) for bits in inputs)])

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """Its axis moves by one."""
        return dataclasses.replace(spec, config=shifted_axis(spec.config))
