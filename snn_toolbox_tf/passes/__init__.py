"""Rewrites of the graph, one short module each; this page is their order and the reasons for it.

Every pass of this list preserves the function of the network; conversion checks that on data.
"""

from snn_toolbox_tf.graph import Graph, MaxPool
from snn_toolbox_tf.passes.attach_readouts import attach_readouts
from snn_toolbox_tf.passes.fold_scales import fold_scales
from snn_toolbox_tf.passes.place_populations import place_populations
from snn_toolbox_tf.passes.refuse import refuse_unsupported
from snn_toolbox_tf.passes.sink_relu import sink_relu_below_pooling
from snn_toolbox_tf.passes.split_pooling import split_pooling
from snn_toolbox_tf.passes.split_rectifiers import split_rectifiers
from snn_toolbox_tf.synapses import use_channels_last

SPIKING_PASSES = (
    # Before readouts, so that max pooling behind a ReLU at the end leaves the ReLU as the output's nonlinearity.
    sink_relu_below_pooling,
    # Decides which nonlinearities belong to outputs; what is left over must become a population.
    attach_readouts,
    # Everything is in its place now: name all that cannot be converted, in one error.
    refuse_unsupported,
    # Every rectifier is a sum of ReLUs from here on.
    split_rectifiers,
    # A Scale (batch norm above all) disappears into the weights in front of it. Needs the activations apart.
    fold_scales,
    place_populations,
    # Late, because it puts Permute nodes between layers that the passes above must see as neighbours.
    use_channels_last,
    # Rearranges channels-last tensors.
    split_pooling,
)


MAX_POOLINGS = ("accumulated", "winner_take_all", "lateral_inhibition")
SOFTMAXES = ("decoded", "spiking")


def set_max_pooling(graph: Graph, rule: str) -> None:
    """Sets what max pooling passes on, which decides where populations stand; see `MaxPool`."""
    for node in graph.of_type(MaxPool):
        node.rule = rule


def to_spiking(graph: Graph, max_pooling: str = "accumulated") -> Graph:
    """Runs the passes that put populations into a parsed graph, in place, and returns it.

    Weights stay the source's own; `normalize` makes all thresholds 1.

    Args:
        graph: The parsed graph.
        max_pooling: What max pooling passes on, see `MaxPool`.
    """
    set_max_pooling(graph, max_pooling)
    for rewrite in SPIKING_PASSES:
        rewrite(graph)
        graph.sort()
    graph.prune()
    return graph
