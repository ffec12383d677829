"""Dense layers."""

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import LayerNode, LayerSpec
from snn_toolbox_tf.synapses.family import WeightedFamily


class DenseFamily(WeightedFamily):
    """A kernel `[inputs, outputs]` on the last axis, whatever stands in front of it."""

    class_names = ("Dense",)

    def columns(self, spec: LayerSpec, inputs: tf.Tensor) -> tf.Tensor | None:
        """Its inputs."""
        return tf.reshape(inputs, [-1, inputs.shape[-1]])

    def fan_out(self, node: LayerNode, input_shape: tuple[int, ...]) -> np.ndarray:
        """Every input reaches every unit."""
        return np.full(input_shape, float(node.layer.config["units"]))

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """It does not care for the axes in front of the last one."""
        return spec
