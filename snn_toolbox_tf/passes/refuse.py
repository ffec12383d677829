"""One error for all nodes that have no place in a spiking network."""

from snn_toolbox_tf.activations import refusal_of
from snn_toolbox_tf.foundation.errors import UnsupportedModelError
from snn_toolbox_tf.graph import Activation, Graph, Refusal, Unsupported


def find_unsupported(graph: Graph) -> dict[str, tuple[str, Refusal]]:
    """Returns class and refusal of every node that can become neither synapse, nor population, nor readout."""
    found = {}
    for node in graph:
        if isinstance(node, Unsupported):
            found[node.name] = (node.class_name, node.refusal)
        elif isinstance(node, Activation) and (refusal := refusal_of(node.layer)) is not None:
            kind = f"{node.layer.class_name} {node.layer.config.get('activation', '')}".strip()
            found[node.name] = (kind, refusal)
    return found


def refuse_unsupported(graph: Graph) -> None:
    """Raises if a node can become neither synapse, nor population, nor readout.

    Raises:
        UnsupportedModelError: It names every such node: layer name, class, reason and remedy.
    """
    found = find_unsupported(graph)
    if found:
        lines = [
            f"  - '{name}' ({kind}): {refusal.reason}; remedy: {refusal.remedy}."
            for name, (kind, refusal) in found.items()
        ]
        raise UnsupportedModelError(
            f"Model '{graph.name}' holds {len(found)} node(s) that cannot be converted:\n" + "\n".join(lines)
        )
    if not graph.of_type(Activation):
        raise UnsupportedModelError(
            f"Model '{graph.name}' has no inner nonlinearity, so no spiking population could stand anywhere in it: "
            "it is an affine map already. Expected at least one inner ReLU."
        )
