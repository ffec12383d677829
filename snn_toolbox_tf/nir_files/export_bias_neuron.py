"""The circuit of a bias neuron in a NIR file: a current that depends on no input, and connections to all neurons of a layer.

NIR has neither constant currents nor broadcasts. A layer whose weights are 0 stands for the current: its bias is what it
gives, whatever it reads. On images, all that the one neuron reaches are windows as large as the layer, of equal weights.
"""

from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.nir_files.builder import NirBuilder
from snn_toolbox_tf.nir_files.placement import AxisWindow
from snn_toolbox_tf.nir_files.terms import Term, channels_first, natural_term


def constant_current(builder: NirBuilder, node: Synapse, terms: list[Term]) -> list[Term]:
    """Adds the drive of the bias neuron, as a layer of zeros that reads the input."""
    source = terms[0]
    plain = [Term(source.source, source.shape, natural_term("", source.shape, 0).indices, bits=source.bits)]
    current, notes = np.array([node.layer.config["current"]]), {"dtype": node.dtype}
    size = int(np.prod(source.shape))
    if len(source.shape) == 1:
        name = builder.linear(node.name, np.zeros((1, size)), current, plain, notes)
        return [natural_term(name, (1,), 0)]
    windows = [AxisWindow(length, 1, length) for length in source.shape[1:]]
    kernel = np.zeros((1, source.shape[0], *source.shape[1:]))
    name = builder.convolution(node.name, kernel, current, windows, plain, notes)
    return [Term(name, (1, *(1 for _ in windows)), np.ones(1, np.int64))]


def bias_weights(builder: NirBuilder, node: Synapse, terms: list[Term], notes: dict[str, Any]) -> list[Term]:
    """Adds the connections from the bias neuron to the neurons of a layer."""
    (term,) = terms
    edge = [Term(term.source, term.shape, natural_term("", term.shape, 0).indices, bits=term.bits)]
    target = channels_first(node.shape, node.channel_axis)
    weights = np.broadcast_to(node.layer.weights["kernel"], target[:1])
    if len(target) == 1:
        name = builder.linear(node.name, weights[:, np.newaxis], None, builder.flattened(edge), notes)
    else:
        windows = [AxisWindow(1, size, size, offset=1 - size) for size in target[1:]]
        kernel = weights.reshape(-1, 1, *(1 for _ in windows)) * np.ones((1, 1, *target[1:]))
        name = builder.convolution(node.name, kernel, None, windows, edge, notes)
    return [natural_term(name, node.shape, node.channel_axis)]
