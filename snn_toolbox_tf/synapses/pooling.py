"""Average pooling and max pooling."""

import math

import numpy as np

from snn_toolbox_tf.graph import LayerNode, LayerSpec, MaxPool, Node
from snn_toolbox_tf.ops import Window
from snn_toolbox_tf.synapses.family import Moments, PerChannel, SynapseFamily, connections


class AveragePoolingFamily(SynapseFamily):
    """Means over windows."""

    class_names = tuple(f"AveragePooling{number}D" for number in (1, 2, 3))

    def keeps_spikes(self, node: LayerNode) -> bool:
        """Of windows of size 1, the mean is the value itself."""
        return all(size == 1 for size in np.ravel(node.layer.config["pool_size"]))

    def summed_weight(self, node: LayerNode, source: Node) -> float:
        """The sum over a window comes before the division."""
        return float(np.prod(np.broadcast_to(node.layer.config["pool_size"], len(source.shape) - 1)))

    def added_bits(self, node: LayerNode, source: Node) -> int | None:
        """Division by a power of two adds its exponent; windows at a padded border hold other numbers of values."""
        area = int(self.summed_weight(node, source))
        ragged = area > 1 and node.layer.config.get("padding") == "same"
        return None if ragged or area & (area - 1) else int(math.log2(area))

    def fan_out(self, node: LayerNode, input_shape: tuple[int, ...]) -> np.ndarray:
        """As a convolution of one channel has, with the same windows."""
        config = {key: node.layer.config[key] for key in ("strides", "padding", "data_format")}
        config |= {"filters": 1, "kernel_size": node.layer.config["pool_size"], "use_bias": False}
        dimensions = len(input_shape) - 1
        window = np.broadcast_to(node.layer.config["pool_size"], dimensions)
        counting = LayerSpec(f"Conv{dimensions}D", config, {"kernel": np.ones((*window, 1, 1))})
        return np.broadcast_to(connections(counting, node.name, (*input_shape[:-1], 1)), input_shape)


class GlobalAveragePoolingFamily(SynapseFamily):
    """The mean of each channel."""

    class_names = tuple(f"GlobalAveragePooling{number}D" for number in (1, 2, 3))

    def summed_weight(self, node: LayerNode, source: Node) -> float:
        """The sum over all places comes before the division."""
        return float(np.prod(source.shape[:-1]))

    def added_bits(self, node: LayerNode, source: Node) -> int | None:
        """Division by a power of two adds its exponent."""
        area = int(self.summed_weight(node, source))
        return None if area & (area - 1) else int(math.log2(area))

    def fan_out(self, node: LayerNode, input_shape: tuple[int, ...]) -> np.ndarray:
        """Each value goes into one mean."""
        return np.ones(input_shape)


class MaxPoolingFamily(SynapseFamily):
    """Maxima over windows. Such nodes are no synapses, but channels pass through them as through average pooling."""

    class_names = tuple(f"{kind}{number}D" for kind in ("MaxPooling", "GlobalMaxPooling") for number in (1, 2, 3))
    how = "pools accumulated currents"
    sums = False
    decodable = False

    def keeps_spikes(self, node: LayerNode) -> bool:
        """By the rules of winners, one input's spikes pass."""
        return isinstance(node, MaxPool) and node.rule != "accumulated"

    def window(self, node: LayerNode, input_shape: tuple[int, ...]) -> Window:
        """Returns its windows over rows and columns; one dimension has one row."""
        sizes, config = list(input_shape[:-1]), node.layer.config
        if node.layer.class_name.startswith("Global"):
            pool = strides = sizes
        else:
            pool = list(config["pool_size"])
            strides = list(config["strides"] or config["pool_size"])
        rows = [1] * (2 - len(sizes))
        first, second = (*rows, *pool), (*rows, *strides)
        return Window((first[0], first[1]), (second[0], second[1]), config.get("padding", "valid"))

    def bits_of_output(self, node: LayerNode, sources: list[Node], inputs: list[PerChannel]) -> PerChannel | None:
        """A maximum is one of its inputs."""
        return inputs[0]

    def moments(self, node: LayerNode, inputs: list[Moments | None]) -> Moments | None:
        """Taken as those of the input, which are smaller."""
        return inputs[0]
