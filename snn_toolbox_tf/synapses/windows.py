"""When each part of a network has what it needs, in windows of T timesteps: how long a run takes."""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import Graph, InputNode, LayerNode, Population, Synapse
from snn_toolbox_tf.synapses.registry import family_of


def is_recurrent(graph: Graph) -> bool:
    """Whether a network has connections with a conduction delay: its windows are not all one."""
    return any(node.delay for node in graph.of_type(Synapse))


def window_count(graph: Graph, schedule: str = "step") -> int:
    """Returns how many windows of T timesteps a run takes, one after the other.

    Step by step, spikes travel through all layers within a timestep, and only conduction delays take windows: as many as
    the sequence has steps, more where a layer waits for the last step of another one. Layer-synchronously, a population
    fires in the window after the one in which it integrates, by which recurrent connections have their delay already.

    Args:
        graph: The network, with its weights.
        schedule: "step" or "layer_synchronous".
    """
    synchronous, recurrent = schedule == "layer_synchronous", is_recurrent(graph)
    if not synchronous and not recurrent:
        return 1
    windows: dict[str, np.ndarray] = {}
    for node in graph:
        if isinstance(node, InputNode):
            windows[node.name] = np.zeros(node.shape, np.int64)
        elif isinstance(node, Population):
            windows[node.name] = windows[node.inputs[0]] + int(synchronous)
        elif isinstance(node, LayerNode):
            delay = node.delay if isinstance(node, Synapse) and not synchronous else 0
            inputs = [windows[name] for name in node.inputs]
            # Steps of a sequence are told apart; without one, a layer waits for all of its inputs.
            last = _last_of_inputs(node, inputs) if recurrent else np.full(node.shape, max(map(np.max, inputs)))
            windows[node.name] = last + delay
    return 1 + max(int(windows[readout.node].max()) for readout in graph.readouts)


def _last_of_inputs(node: LayerNode, inputs: list[np.ndarray]) -> np.ndarray:
    """Returns the last window that each element of the output depends on, for those of the inputs."""
    family = family_of(node)
    counting = dataclasses.replace(node, layer=family.counting_spec(node.layer))
    first, *later = np.unique(np.concatenate([windows.reshape(-1) for windows in inputs]))
    last = np.full(node.shape, first)
    for window in later:
        reached = family.largest_magnitude(counting, [(windows >= window).astype(np.float64) for windows in inputs])
        last[reached > 0] = window
    return last
