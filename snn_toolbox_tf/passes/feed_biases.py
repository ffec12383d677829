"""Has one neuron feed all biases, for hardware that has no bias currents.

The bias neuron integrates a constant current of 1 / k and fires once in k timesteps. A spike carries the bias of k steps:
every neuron with a bias b has a connection of weight k b from it, so that the mean input is the same. Where the neuron
fires at every timestep (k = 1), so is the input itself.

There are two steps, because weights are put on the grid between them: `charge_biases` makes biases what a spike is to
carry, and the grid has room for them and their sums; `feed_biases` then takes them out of the layers, unchanged.
"""

from collections.abc import Iterator

import numpy as np

from snn_toolbox_tf.graph import Graph, InputNode, LayerSpec, Population, Synapse
from snn_toolbox_tf.neurons import IntegrateAndFire
from snn_toolbox_tf.synapses import is_weighted, weighted_family

BIAS_NEURON = "bias_neuron"


def charge_biases(graph: Graph, period: int, *, spiking_input: bool) -> None:
    """Multiplies the biases that a neuron is to feed by the number of timesteps from one of its spikes to the next.

    Args:
        graph: The graph; changed.
        period: k, the number of timesteps.
        spiking_input: Whether input comes as spikes. Otherwise it is a current from outside, and so are the biases of the
            layers that depend on it alone: they stay where they are.
    """
    for node in _biased(graph, spiking_input):
        bias = weighted_family(node).bias
        node.layer.weights[bias] = node.layer.weights[bias] * float(period)


def feed_biases(graph: Graph, period: int, *, spiking_input: bool) -> None:
    """Puts the bias neuron into a graph whose biases `charge_biases` has multiplied, and takes biases out of the layers.

    Args:
        graph: The graph; changed.
        period: As for `charge_biases`.
        spiking_input: Likewise.
    """
    biased = list(_biased(graph, spiking_input))
    if not biased:
        return
    source = _add_neuron(graph, period)
    for node in biased:
        _add_connection(graph, node, source)
    graph.sort()


def _biased(graph: Graph, spiking_input: bool) -> Iterator[Synapse]:
    spiking = graph.spiking_ancestry()
    for node in graph.of_type(Synapse):
        if is_weighted(node) and (spiking_input or node.name in spiking):
            bias = node.layer.weights.get(weighted_family(node).bias)
            if bias is not None and np.any(bias):
                yield node


def _add_neuron(graph: Graph, period: int) -> str:
    first: InputNode = graph.of_type(InputNode)[0]
    # An input enters in the dtype of what reads it.
    (reader, *_) = graph.consumers(first.name)
    drive = Synapse(
        graph.unique_name(f"{BIAS_NEURON}_drive"),
        [first.name],
        (1,),
        dtype=reader.dtype,
        layer=LayerSpec("ConstantCurrent", {"current": 1.0 / period}),
    )
    graph.insert(drive, after=first.name)
    # Half a period and a bit before its first spike, so that the number of spikes is t / k to the nearest. The bit is what a
    # current brings in a quarter of a timestep: rounding of 1 / k does not decide when the neuron fires.
    neuron = Population(
        graph.unique_name(BIAS_NEURON),
        [drive.name],
        (1,),
        spike_height="unit",
        neuron=IntegrateAndFire(v0=0.5 + 0.25 / period),
        expected_rate=1.0 / period,
    )
    neuron.threshold = neuron.channel_vector(1.0)
    graph.insert(neuron, after=drive.name)
    return neuron.name


def _add_connection(graph: Graph, node: Synapse, source: str) -> None:
    family, layer = weighted_family(node), node.layer
    bias, bits = layer.weights.pop(family.bias), layer.fractional_bits.pop(family.bias, None)
    layer.config[family.uses_bias] = False
    config = {"shape": list(node.shape), "channels": int(bias.size), "axis": family.weight_axis(node) + 1}
    weights = LayerSpec("BiasWeights", config, {"kernel": bias.reshape(-1)})
    if bits is not None:
        weights.fractional_bits["kernel"] = bits
    connection = _beside(graph, node, "bias", source, weights)
    total = _beside(graph, node, "sum", node.name, LayerSpec("Add", {}))
    graph.insert_behind(total)
    graph.insert(connection, before=total.name)
    total.inputs.append(connection.name)


def _beside(graph: Graph, node: Synapse, suffix: str, source: str, layer: LayerSpec) -> Synapse:
    """Returns a synapse with a node's output, in what the node computes in."""
    return Synapse(
        graph.unique_name(f"{node.name}_{suffix}"),
        [source],
        node.shape,
        node.channel_axis,
        dtype=node.dtype,
        origin=node.origin,
        layer=layer,
    )
