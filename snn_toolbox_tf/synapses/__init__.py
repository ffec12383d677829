"""Affine layers: one module per family says all that the rest of the package has to know of it."""

from snn_toolbox_tf.synapses.build import build_layer, layer_class, variables_of
from snn_toolbox_tf.synapses.channels_last import use_channels_last
from snn_toolbox_tf.synapses.convolution import (
    ConvolutionFamily,
    DepthwiseConvolutionFamily,
    TransposedConvolutionFamily,
)
from snn_toolbox_tf.synapses.dense import DenseFamily
from snn_toolbox_tf.synapses.family import SynapseFamily, WeightedFamily
from snn_toolbox_tf.synapses.joining import ConcatenationFamily, DifferenceFamily, SumFamily
from snn_toolbox_tf.synapses.node_sequence import NodeSequence, scale_nodes
from snn_toolbox_tf.synapses.padding import CroppingFamily, PaddingFamily
from snn_toolbox_tf.synapses.pooling import AveragePoolingFamily, GlobalAveragePoolingFamily
from snn_toolbox_tf.synapses.rearranging import PermuteFamily, ReshapeFamily
from snn_toolbox_tf.synapses.registry import (
    FAMILIES,
    MAX_POOLING,
    family_of,
    is_rounding,
    is_scale,
    is_weighted,
    register_layer,
    registered_name,
    sources_of,
    weighted_family,
)
from snn_toolbox_tf.synapses.resampling import RepetitionFamily
from snn_toolbox_tf.synapses.scale import Scale, ones, per_channel
from snn_toolbox_tf.synapses.scaling import scale_spec
from snn_toolbox_tf.synapses.windows import is_recurrent, window_count

__all__ = [
    "FAMILIES",
    "MAX_POOLING",
    "AveragePoolingFamily",
    "ConcatenationFamily",
    "ConvolutionFamily",
    "CroppingFamily",
    "DenseFamily",
    "DepthwiseConvolutionFamily",
    "DifferenceFamily",
    "GlobalAveragePoolingFamily",
    "NodeSequence",
    "PaddingFamily",
    "PermuteFamily",
    "RepetitionFamily",
    "ReshapeFamily",
    "Scale",
    "SumFamily",
    "SynapseFamily",
    "TransposedConvolutionFamily",
    "WeightedFamily",
    "build_layer",
    "family_of",
    "is_recurrent",
    "is_rounding",
    "is_scale",
    "is_weighted",
    "layer_class",
    "ones",
    "per_channel",
    "register_layer",
    "registered_name",
    "scale_nodes",
    "scale_spec",
    "sources_of",
    "use_channels_last",
    "variables_of",
    "weighted_family",
    "window_count",
]
