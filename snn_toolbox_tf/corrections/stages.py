"""The order in which a walk goes through a network, and what it takes of memory."""

import dataclasses

import numpy as np

from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.simulation.block import Element
from snn_toolbox_tf.simulation.elements import readout_key

#: Bytes of what is kept of all samples.
KEPT_MEMORY = 2**30
#: Bytes that a tensor of one sample may take.
LARGEST_TENSOR = 2**29
#: So many values per channel tell which setting is best.
ENOUGH_VALUES = 2**13
#: However many positions a channel has: values of one sample are alike.
FEWEST_SAMPLES = 32


@dataclasses.dataclass(frozen=True)
class Stage:
    """The way to one population or readout.

    Attributes:
        target: The population's name, or the readout's key.
        nodes: What has to be computed for it, in order.
        done_with: What nothing reads afterwards.
    """

    target: str
    nodes: list[str]
    done_with: list[str]


def stages(graph: Graph, elements: dict[str, Element]) -> list[Stage]:
    """Returns the way through a network, from population to population, then to the readouts."""
    order = list(elements)
    readers: dict[str, set[str]] = {name: set() for name in order}
    for name, element in elements.items():
        for source in element.inputs:
            readers[source].add(name)
    final = [readout_key(readout) for readout in graph.readouts]
    targets = [node.name for node in graph.of_type(Population)] + final
    kept, computed, result = set[str](), set[str](), []
    for target in targets:
        needed, pending = set[str](), list(elements[target].inputs)
        while pending:
            name = pending.pop()
            if name not in kept and name not in needed:
                needed.add(name)
                pending.extend(elements[name].inputs)
        computed |= needed | {target}
        kept |= needed | {target}
        done_with = [name for name in kept if readers[name] <= computed]
        kept -= set(done_with)
        result.append(Stage(target, [name for name in order if name in needed], done_with))
    return result


def is_feasible(graph: Graph, timesteps: int) -> bool:
    """Whether the largest tensor of one sample in all timesteps is of a size that a search may ask for."""
    return 4 * timesteps * max(int(np.prod(node.shape)) for node in graph) <= LARGEST_TENSOR


def enough_samples(node: Population) -> int:
    """Returns how many samples tell which setting of a population is best."""
    positions = int(np.prod(node.shape)) // node.shape[node.channel_axis]
    return max(FEWEST_SAMPLES, -(-ENOUGH_VALUES // positions))


def samples_to_fit(graph: Graph) -> int:
    """Returns how many samples a walk fits populations to, if there are enough."""
    return max(map(enough_samples, graph.of_type(Population)), default=1)


def largest_number_of_samples(graph: Graph, timesteps: int) -> int:
    """Returns how many samples a walk can keep the spikes of, within its memory."""
    sizes = {node.name: int(np.prod(node.shape)) for node in graph}
    readers = {node.name: {reader.name for reader in graph.consumers(node.name)} for node in graph}
    computed, alive, most = set[str](), dict[str, int](), 1
    for node in graph:
        computed.add(node.name)
        # A byte for a spike; currents that several read are kept as floats.
        alive[node.name] = sizes[node.name] * (1 if isinstance(node, Population) else 4 * (len(readers[node.name]) > 1))
        most = max(most, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if not readers[name] <= computed}
    return max(1, KEPT_MEMORY // (most * timesteps))
