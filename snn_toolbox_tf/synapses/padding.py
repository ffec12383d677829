"""Padding with zeros, and cropping."""

import numpy as np

from snn_toolbox_tf.graph import LayerNode, Node
from snn_toolbox_tf.synapses.family import SynapseFamily
from snn_toolbox_tf.synapses.scale import Scale


class PaddingFamily(SynapseFamily):
    """Adds zeros around what it reads."""

    class_names = tuple(f"ZeroPadding{number}D" for number in (1, 2, 3))
    how = "moves spikes"
    sums = False
    commutes_with_relu = True
    adds_zeros = True
    _key, _grows = "padding", True

    def _carry(self, node: LayerNode, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
        """Padded zeros may have any scale: they take that of their neighbours."""
        if scale.size == 1:
            return scale.reshape((1,) * len(end.shape))
        result = scale
        for axis, (first, last) in enumerate(self.margins(node)):
            if scale.shape[axis] == 1:
                continue
            if backwards == self._grows:
                result = np.take(result, range(first, start.shape[axis] - last), axis=axis)
            else:
                margins = [(first, last) if index == axis else (0, 0) for index in range(result.ndim)]
                result = np.pad(result, margins, mode="edge")
        return result

    def margins(self, node: LayerNode) -> list[tuple[int, int]]:
        """Returns how much is added or taken at both ends of each axis."""
        config = node.layer.config[self._key]
        # One dimension has a plain pair, several have one pair each.
        pairs = [config] if not isinstance(config[0], (list, tuple)) else config
        return [*((int(first), int(last)) for first, last in pairs), (0, 0)]


class CroppingFamily(PaddingFamily):
    """Takes away what lies at the borders."""

    class_names = tuple(f"Cropping{number}D" for number in (1, 2, 3))
    adds_zeros = False
    _key, _grows = "cropping", False
