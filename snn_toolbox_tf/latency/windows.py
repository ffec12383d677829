"""When the windows of populations begin: each behind the windows of all that its population reads."""

import dataclasses
from collections.abc import Mapping

from snn_toolbox_tf.graph import Graph, InputNode, Population


@dataclasses.dataclass(frozen=True)
class Window:
    """The time in which the neurons of one population (or input) spike.

    Attributes:
        start: When it begins, t_min.
        length: How long it is, t_max - t_min.
        depth: How many windows there are before it, at least.
        delays: By which spikes of each population (or input) that is read are late, because they skip windows: from the
            end of their own to the beginning of this one.
    """

    start: float
    length: float
    depth: int
    delays: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def end(self) -> float:
        """When it ends, t_max."""
        return self.start + self.length


class Windows:
    """The windows of a network, one behind the other.

    Args:
        graph: The network.
        lengths: Length of the window of each population, and of each input that spikes.

    Attributes:
        by_name: Windows of populations and inputs, in the graph's order.
        end: When the outputs are there: at the end of the last window that one of them reads.
        depth: How many windows follow each other until then.
    """

    def __init__(self, graph: Graph, lengths: Mapping[str, float]) -> None:
        self.by_name: dict[str, Window] = {}
        read: dict[str, dict[str, None]] = {}
        for node in graph:
            sources = {name: None for before in node.inputs for name in read[before]}
            if node.name in lengths:
                self.by_name[node.name] = self._behind(list(sources), lengths[node.name])
                read[node.name] = {node.name: None}
            else:
                # Inputs without a window are there from the beginning.
                read[node.name] = {} if isinstance(node, InputNode) else sources
        last = [self.by_name[name] for readout in graph.readouts for name in read[readout.node]]
        self.end = max((window.end for window in last), default=0.0)
        self.depth = max((window.depth + 1 for window in last), default=0)

    def _behind(self, sources: list[str], length: float) -> Window:
        windows = {name: self.by_name[name] for name in sources}
        start = max((window.end for window in windows.values()), default=0.0)
        depth = max((window.depth + 1 for window in windows.values()), default=0)
        delays = {name: start - window.end for name, window in windows.items()}
        return Window(start, length, depth, delays)

    def __getitem__(self, name: str) -> Window:
        return self.by_name[name]


def spiking_nodes(graph: Graph, *, inputs: bool) -> list[InputNode | Population]:
    """Returns the nodes that spike: the populations, and the inputs if they do."""
    return graph.of_type(InputNode, Population) if inputs else graph.of_type(Population)
