"""One error for all nodes that have no place in a spiking network."""

from snn_toolbox_tf import vocabulary
from snn_toolbox_tf.graph import Activation, Graph, Unsupported


class UnsupportedModelError(ValueError):
    """The model holds operations that cannot become synapses or populations; the message lists all of them."""


def refuse_unsupported(graph: Graph) -> None:
    """Raises if a node can become neither synapse, nor population, nor readout.

    Raises:
        UnsupportedModelError: It names every such node: layer name, class, reason and remedy.
    """
    offences = []
    for node in graph:
        if isinstance(node, Unsupported):
            offences.append((node.name, node.class_name, node.reason, node.remedy))
        elif isinstance(node, Activation):
            plain, bound = vocabulary.relu_bound(node.layer.class_name, node.layer.config)
            if not plain or (bound is not None and bound <= 0):
                function = node.layer.config.get("activation", "")
                class_name = f"{node.layer.class_name} {function}".strip()
                refusal = vocabulary.NOT_RELU
                offences.append((node.name, class_name, refusal.reason, refusal.remedy))
    if offences:
        lines = [f"  - '{name}' ({kind}): {reason}; remedy: {remedy}." for name, kind, reason, remedy in offences]
        raise UnsupportedModelError(
            f"Model '{graph.name}' holds {len(offences)} node(s) that cannot be converted:\n" + "\n".join(lines)
        )
    if not graph.of_type(Activation):
        raise UnsupportedModelError(
            f"Model '{graph.name}' has no inner nonlinearity, so no spiking population could stand anywhere in it: "
            "it is an affine map already. Expected at least one inner ReLU."
        )
