"""Which family a layer belongs to, and how users add layers of their own."""

from typing import TypeGuard

import keras

from snn_toolbox_tf.graph import Graph, MaxPool, Node, Synapse
from snn_toolbox_tf.synapses.bias import BiasWeightsFamily, ConstantCurrentFamily
from snn_toolbox_tf.synapses.build import REGISTERED_CLASSES
from snn_toolbox_tf.synapses.convolution import (
    ConvolutionFamily,
    DepthwiseConvolutionFamily,
    TransposedConvolutionFamily,
)
from snn_toolbox_tf.synapses.dense import DenseFamily
from snn_toolbox_tf.synapses.family import SynapseFamily, WeightedFamily
from snn_toolbox_tf.synapses.joining import ConcatenationFamily, DifferenceFamily, SumFamily
from snn_toolbox_tf.synapses.padding import CroppingFamily, PaddingFamily
from snn_toolbox_tf.synapses.pooling import AveragePoolingFamily, GlobalAveragePoolingFamily, MaxPoolingFamily
from snn_toolbox_tf.synapses.rearranging import PermuteFamily, ReshapeFamily, SelectFamily
from snn_toolbox_tf.synapses.resampling import RepetitionFamily, ResamplingFamily
from snn_toolbox_tf.synapses.scaling import RoundingFamily, ScaleFamily

MAX_POOLING = MaxPoolingFamily()
_FAMILIES: tuple[SynapseFamily, ...] = (
    DenseFamily(),
    ConvolutionFamily(),
    DepthwiseConvolutionFamily(),
    TransposedConvolutionFamily(),
    AveragePoolingFamily(),
    GlobalAveragePoolingFamily(),
    PaddingFamily(),
    CroppingFamily(),
    ReshapeFamily(),
    PermuteFamily(),
    SelectFamily(),
    SumFamily(),
    DifferenceFamily(),
    ConcatenationFamily(),
    ScaleFamily(),
    BiasWeightsFamily(),
    ConstantCurrentFamily(),
    RoundingFamily(),
    RepetitionFamily(),
    ResamplingFamily(),
)

#: The family of every class of affine layers, by the name that specs have for the class.
FAMILIES: dict[str, SynapseFamily] = {name: family for family in _FAMILIES for name in family.class_names}


def family_of(node: Node) -> SynapseFamily:
    """Returns the family of a synapse or a max pooling.

    Raises:
        TypeError: For another node.
    """
    if isinstance(node, MaxPool):
        return MAX_POOLING
    if isinstance(node, Synapse):
        return FAMILIES[node.layer.class_name]
    raise TypeError(f"Node '{node.name}' ({type(node).__name__}) is no synapse.")


def is_weighted(node: Node) -> TypeGuard[Synapse]:
    """Whether a node multiplies by weights."""
    return isinstance(node, Synapse) and family_of(node).weighted


def weighted_family(node: Synapse) -> WeightedFamily:
    """Returns the family of a node that multiplies by weights.

    Raises:
        TypeError: If it does not.
    """
    family = family_of(node)
    if not isinstance(family, WeightedFamily):
        raise TypeError(f"Synapse '{node.name}' ({node.layer.class_name}) does not multiply by weights.")
    return family


def is_scale(node: Node) -> TypeGuard[Synapse]:
    """Whether a node multiplies each element by a factor and adds an offset."""
    return isinstance(node, Synapse) and isinstance(family_of(node), ScaleFamily)


def is_rounding(node: Node) -> TypeGuard[Synapse]:
    """Whether a node rounds to the grid."""
    return isinstance(node, Synapse) and isinstance(family_of(node), RoundingFamily)


def sources_of(graph: Graph, node: Node) -> list[Node]:
    """Returns the nodes that a node reads."""
    return [graph[name] for name in node.inputs]


def register_layer(layer_class: type[keras.layers.Layer], family: SynapseFamily | None = None) -> None:
    """Makes conversion take a layer class of your own: one that is affine, and the same at every timestep.

    Its numbers must be weights of the layer, held as attributes, because the converter scales and rounds them. Conversion
    tries on random input that the layer is affine.

    Args:
        layer_class: A subclass of `keras.layers.Layer`, registered with `keras.saving.register_keras_serializable` so that
            converted networks can be saved.
        family: What passes, grid and counters have to know of it: an object of one of the classes in
            `snn_toolbox_tf.synapses`, or of a subclass of yours. None: a `WeightedFamily`, a kernel
            `[..., inputs, outputs]` called `kernel`, with a `bias` or without one as its option `use_bias` says.

    Raises:
        TypeError: If these are no layer class and no family.
        ValueError: If Keras does not know the class by a registered name.

    Example:
        A layer that averages neighbours, channel by channel, with weights of its own:

        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> @keras.saving.register_keras_serializable("docs")
        ... class Smooth(keras.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.window = self.add_weight(name="window", shape=(3,), initializer="zeros", trainable=False)
        ...         self.window.assign([0.25, 0.5, 0.25])
        ...     def call(self, inputs):
        ...         padded = keras.ops.pad(inputs, [[0, 0], [1, 1], [0, 0]])
        ...         first, middle, last = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
        ...         return first * self.window[0] + middle * self.window[1] + last * self.window[2]
        ...     def compute_output_shape(self, input_shape):
        ...         return input_shape
        >>> snn.register_layer(Smooth, snn.synapses.SynapseFamily())
        >>> model = keras.Sequential([
        ...     keras.Input((8, 2)), keras.layers.Conv1D(4, 3, activation="relu"), Smooth(), keras.layers.Flatten(),
        ...     keras.layers.Dense(3),
        ... ])
        >>> x = np.random.default_rng(0).random((20, 8, 2), "float32")
        >>> snn.convert_keras(model, x).predict(x, verbose=0).shape
        (20, 3)
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
        raise TypeError(f"Expected `layer_class` to be a subclass of keras.layers.Layer. Received: {layer_class!r}")
    family = WeightedFamily() if family is None else family
    if not isinstance(family, SynapseFamily):
        raise TypeError(
            "Expected `family` to be an object of a class in `snn_toolbox_tf.synapses`, such as `SynapseFamily()`. "
            f"Received: {family!r}"
        )
    name = keras.saving.get_registered_name(layer_class)
    if ">" not in name:
        raise ValueError(
            f"Keras cannot save '{layer_class.__name__}', because it has no registered name. Decorate the class with "
            '`@keras.saving.register_keras_serializable("your_package")`.'
        )
    REGISTERED_CLASSES[name] = layer_class
    FAMILIES[name] = family


def registered_name(layer: keras.layers.Layer) -> str | None:
    """Returns the name under which a layer's class was registered with `register_layer`, or None."""
    name = keras.saving.get_registered_name(type(layer))
    return name if REGISTERED_CLASSES.get(name) is type(layer) else None
