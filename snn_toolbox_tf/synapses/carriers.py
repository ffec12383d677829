"""What flows along the edges of a graph: spikes, or the currents that they have become."""

from snn_toolbox_tf.graph import Graph, MaxPool, Population, Synapse
from snn_toolbox_tf.synapses.registry import family_of, is_weighted


def spike_carriers(graph: Graph) -> set[str]:
    """Returns the names of populations, and of what only moves their spikes about."""
    names: set[str] = set()
    for node in graph:
        moves = isinstance(node, (Synapse, MaxPool)) and family_of(node).keeps_spikes(node)
        if isinstance(node, Population) or (moves and all(name in names for name in node.inputs)):
            names.add(node.name)
    return names


def current_readers(graph: Graph) -> set[str]:
    """Returns the names of weighted layers that read what spikes have become on the way, with no population between."""
    spiking, carriers = graph.spiking_ancestry(), spike_carriers(graph)
    return {
        node.name
        for node in graph
        if is_weighted(node) and node.name in spiking and any(name not in carriers for name in node.inputs)
    }
