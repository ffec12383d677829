"""The circuit of a bias neuron: what drives it, and its weights to the neurons that it feeds."""

import numpy as np

from snn_toolbox_tf.graph import LayerNode, LayerSpec, sample_axis
from snn_toolbox_tf.synapses.family import SynapseFamily, WeightedFamily, with_weights


class ConstantCurrentFamily(SynapseFamily):
    """`ConstantCurrent`: a drive that depends on no input."""

    class_names = ("ConstantCurrent",)
    how = "drives the bias neuron"
    sums = False
    decodable = False

    def keeps_spikes(self, node: LayerNode) -> bool:
        """It is a current."""
        return False


class BiasWeightsFamily(WeightedFamily):
    """`BiasWeights`: one weight per channel, from one neuron to every neuron of a layer."""

    class_names = ("BiasWeights",)
    how = "carries the spikes of the bias neuron"

    def weight_axis(self, node: LayerNode) -> int:
        """It says so itself."""
        return sample_axis(node.layer.config["axis"], len(node.shape))

    def weight_names(self, spec: LayerSpec) -> list[str]:
        """There is no bias: it is one."""
        return [self.kernel]

    def along_inputs(self, spec: LayerSpec, values: np.ndarray) -> np.ndarray:
        """There is one input."""
        return values

    def counting_spec(self, spec: LayerSpec) -> LayerSpec:
        """Every neuron has a connection of its own, though all of a channel share a weight."""
        return with_weights(spec, np.ones_like)
