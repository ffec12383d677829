"""Layers that only move values about."""

import numpy as np

from snn_toolbox_tf.graph import LayerNode, LayerSpec, Node
from snn_toolbox_tf.synapses.family import Moments, PerChannel, SynapseFamily
from snn_toolbox_tf.synapses.scale import Scale


class ReshapeFamily(SynapseFamily):
    """The same values in the same order, in another shape."""

    class_names: tuple[str, ...] = ("Flatten", "Reshape")
    how = "moves spikes"
    sums = False
    commutes_with_relu = True

    def _carry(self, node: LayerNode, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
        if scale.size == 1:
            return scale.reshape((1,) * len(end.shape))
        return self._moved(node, scale, start, end, backwards=backwards)

    def _moved(self, node: LayerNode, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
        return np.broadcast_to(scale, start.shape).reshape(end.shape)

    def limit_of_input(self, node: LayerNode, sources: list[Node], index: int, limit: PerChannel) -> PerChannel | None:
        """Channels may become anything."""
        return limit.min(keepdims=True)

    def bits_of_output(self, node: LayerNode, sources: list[Node], inputs: list[PerChannel]) -> PerChannel | None:
        """Likewise."""
        return inputs[0].max(keepdims=True)

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """A Reshape that keeps the new axis."""
        return LayerSpec("Reshape", {"target_shape": [steps, *shape]})


class PermuteFamily(ReshapeFamily):
    """Axes in another order."""

    class_names = ("Permute",)

    def _moved(self, node: LayerNode, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
        order = [axis - 1 for axis in node.layer.config["dims"]]
        return scale.transpose(np.argsort(order) if backwards else order)

    def moments(self, node: LayerNode, inputs: list[Moments | None]) -> Moments | None:
        """Channels stay what they are."""
        return inputs[0]

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """The new axis stays in front."""
        return LayerSpec("Permute", {"dims": [1, *(dim + 1 for dim in spec.config["dims"])]})


class SelectFamily(ReshapeFamily):
    """Values of the input, or zeros, in any order."""

    class_names = ("Select",)
    commutes_with_relu = False
    adds_zeros = True

    def _moved(self, node: LayerNode, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
        """Zeros, and what nobody reads, may have any scale: they take that of their channel."""
        given = np.broadcast_to(scale, start.shape).reshape(-1)
        indices = node.layer.weights["indices"].astype(np.int64)
        result = np.full(int(np.prod(end.shape)) + 1, np.nan)
        if backwards:
            result[indices] = given
            if not (result[indices] == given)[indices > 0].all():
                return None
            result = result[1:]
        else:
            result = np.concatenate([[np.nan], given])[indices]
        channels = result.reshape(-1, end.shape[-1])
        known = np.nan_to_num(np.fmax.reduce(channels, axis=0), nan=1.0)
        return np.where(np.isnan(channels), known, channels).reshape(end.shape)

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """At each position the same values, counted from where its own begin."""
        indices, size = spec.weights["indices"], int(np.prod(before))
        shifted = [np.where(indices > 0, indices + step * size, 0) for step in range(steps)]
        return LayerSpec("Select", {"target_shape": [steps, *shape]}, {"indices": np.concatenate(shifted)})
