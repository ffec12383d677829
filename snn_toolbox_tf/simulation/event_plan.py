"""What of a network runs on spikes, where spikes travel as bits, and what the population behind a synapse does itself.

A synapse that reads spikes and nothing else adds up the rows of its weights that belong to active inputs; there is nothing
to multiply. Layers in front of it that only move spikes about (pad, crop, transpose, reshape, pick) become a list of where
each of its inputs comes from. If one population alone reads its current, that population finds it, band by band, and it is
never held in memory.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Graph, Node, Population, Synapse, sample_axis
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.ops import SpikeSynapse
from snn_toolbox_tf.simulation.signal import absorbed_synapses
from snn_toolbox_tf.simulation.spike_layers import NO_MARGINS, Margins, SpikeLayer, reads_windows, spike_layer
from snn_toolbox_tf.synapses import family_of
from snn_toolbox_tf.synapses.build import apply_spec
from snn_toolbox_tf.synapses.carriers import spike_carriers
from snn_toolbox_tf.synapses.padding import PaddingFamily

#: What runs synapses that read spikes: their Keras layers, kernels that work only where there are spikes, or what is faster.
ENGINES = ("auto", "dense", "event")
#: Layers of more outputs gather what they add up, which takes the longer the more inputs are active; of fewer, tables are
#: faster than multiplying at any rate (benchmarks/event_kernels.py).
WIDE = 64
#: Share of active inputs up to which "auto" has wide layers gather: of windows, for which there are fast dense algorithms,
#: and of single positions.
LARGEST_RATE, LARGEST_RATE_OF_POSITIONS = 0.22, 0.35


@dataclasses.dataclass(frozen=True, eq=False)
class EventSynapse:
    """What runs on spikes.

    Attributes:
        node: Its node.
        source: Name of the node whose spikes it reads: behind all that only moves them about.
        layer: The node's layer; None if the node itself only moves spikes.
        moved: int32, where each of the layer's inputs (of the node's outputs, if there is no layer) stands in a sample of
            the source, counted row by row; -1 for a zero. None: as they stand there.
        signed: Whether spikes may be -1 as well.
    """

    node: Synapse
    source: str
    layer: SpikeLayer | None
    moved: np.ndarray | None
    signed: bool = False

    def spike_synapse(self, network: Network) -> SpikeSynapse:
        """Returns it with the weights that its layer has."""
        if self.layer is None:
            return SpikeSynapse((1, 1, math.prod(self.node.shape)), moved=self.moved)
        kernel, bias = self.layer.weights(network.layers[self.node.name])
        return SpikeSynapse(self.layer.input_shape, kernel, bias, self.layer.window, self.moved)


@dataclasses.dataclass(frozen=True)
class EventPlan:
    """How a network runs on spikes.

    Attributes:
        synapses: What runs on spikes, by name.
        packed: Names of the populations that give their spikes as bits, and of the nodes that join such bits.
        deferred: Names of those in `synapses` whose current the population behind them finds.
        unread: Names of the nodes that nothing reads any more, because others look behind them.
        never_held: Names of the nodes whose output is never in memory: deferred, absorbed by a population, or not read.
        numbers: Names of those in `packed` whose spikes are needed as numbers as well.
        multiplied: The expected rate of their inputs, by name of the layers that could run on spikes, and had better not.
    """

    synapses: Mapping[str, EventSynapse] = dataclasses.field(default_factory=dict)
    packed: frozenset[str] = frozenset()
    deferred: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    never_held: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    multiplied: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def bytes_held(self, node: Node) -> float:
        """Returns how many bytes of a sample's output are in memory at every timestep."""
        if node.name in self.never_held:
            return 0.0
        return math.prod(node.shape) * (1 / 8 if node.name in self.packed - self.numbers else 4.0)


NOTHING_PLANNED = EventPlan()


def plan_events(network: Network, engine: str) -> EventPlan:
    """Returns what runs on spikes with an engine: nothing where spikes have heights, or on the dense engine.

    Spikes with a sign do not travel as bits.
    """
    graph = network.graph
    if reason_for_layers(graph, engine) is not None:
        return NOTHING_PLANNED
    absorbed, read_out = absorbed_synapses(graph), {readout.node for readout in graph.readouts}
    carriers = spike_carriers(graph)

    def is_deferred(node: Node) -> bool:
        readers = graph.consumers(node.name)
        alone = len(readers) == 1 and readers[0].inputs.count(node.name) == 1 and node.name not in read_out
        return alone and (isinstance(readers[0], Population) or readers[0].name in absorbed)

    signed = any(node.neuron.signed_spikes for node in graph.of_type(Population))
    synapses, multiplied = {}, {}
    for node in graph.of_type(Synapse):
        if set(node.inputs) <= carriers and node.name not in absorbed:
            synapse = _event_synapse(network, node, moves_alone=is_deferred(node) and not signed)
            rate = None if synapse is None or engine == "event" else _rate_too_large(graph, synapse)
            if rate is not None:
                multiplied[node.name] = rate
            elif synapse is not None:
                synapses[node.name] = dataclasses.replace(synapse, signed=signed)
    unread = _unread(graph, synapses)
    synapses = {name: synapse for name, synapse in synapses.items() if name not in unread}
    deferred = frozenset(name for name in synapses if is_deferred(graph[name]))
    packed = set() if signed else _packed(graph, {synapse.source for synapse in synapses.values()})
    # Signed spikes make two currents of one, and a population that waits looks at its currents timestep by timestep.
    found_before = {name for name in deferred if signed or _population_behind(graph, name).start}
    numbers = {
        name
        for name in packed
        if name in read_out
        or any(_reads_numbers(node, synapses, packed, absorbed | unread) for node in graph.consumers(name))
    }
    never_held = (deferred - found_before) | absorbed | unread
    return EventPlan(synapses, frozenset(packed), deferred, unread, never_held, frozenset(numbers), multiplied)


def reason_for_layers(graph: Graph, engine: str) -> str | None:
    """Returns why all layers of a network run as such with an engine, or None if they need not."""
    if engine == "dense":
        return "engine is 'dense'"
    if any(node.spike_height != "unit" for node in graph.of_type(Population)):
        return "spikes have a height: the network is not normalised"
    if any(node.neuron.burst > 1 for node in graph.of_type(Population)):
        return "neurons fire several spikes in a timestep"
    return None


def _population_behind(graph: Graph, name: str) -> Population:
    """Returns the population that finds a synapse's current, behind sums and factors."""
    node: Node = graph[name]
    while not isinstance(node, Population):
        (node,) = graph.consumers(node.name)
    return node


def _reads_numbers(
    node: Node, synapses: Mapping[str, EventSynapse], packed: Collection[str], elsewhere: frozenset[str]
) -> bool:
    """Whether a reader of spikes takes them as numbers: no population, and nothing that takes bits."""
    return not isinstance(node, Population) and node.name not in {*synapses, *packed, *elsewhere}


def runs_native() -> bool:
    """Whether there are native kernels: the reference has nothing to gain from spikes."""
    return ops.implementation().name == "native"


def _packed(graph: Graph, wanted: set[str]) -> set[str]:
    """Returns those nodes whose bits are wanted that can give them."""
    packed: set[str] = set()
    for node in reversed(list(graph)):
        if node.name in wanted and isinstance(node, Population):
            packed.add(node.name)
        elif node.name in wanted and joins_bytes(graph, node):
            packed.add(node.name)
            wanted = wanted | set(node.inputs)
    return packed


def joins_bytes(graph: Graph, node: Node) -> bool:
    """Whether a node joins spikes that are whole bytes along its axis, of populations or of other such nodes."""
    if not isinstance(node, Synapse) or node.layer.class_name != "Concatenate" or node.dtype != "float32":
        return False
    sources = [graph[name] for name in node.inputs]
    axis = sample_axis(node.layer.config["axis"], len(node.shape))
    return all(
        math.prod(source.shape[axis:]) % 8 == 0 and (isinstance(source, Population) or joins_bytes(graph, source))
        for source in sources
    )


def _unread(graph: Graph, synapses: Mapping[str, EventSynapse]) -> frozenset[str]:
    """Returns the names of the synapses that nothing reads any more, because others look behind them."""
    read = {readout.node for readout in graph.readouts}
    for node in reversed(list(graph)):
        if not isinstance(node, Synapse) or node.name in read:
            read |= {synapses[node.name].source} if node.name in synapses else set(node.inputs)
    return frozenset(node.name for node in graph.of_type(Synapse) if node.name not in read)


def _event_synapse(network: Network, node: Synapse, *, moves_alone: bool) -> EventSynapse | None:
    """Returns how a synapse runs on spikes, or None if it does not."""
    graph = network.graph
    source, margins = graph[node.inputs[0]], NO_MARGINS
    if reads_windows(node):
        source, margins = _behind_padding(graph, source)
    layer = spike_layer(node, source.shape, margins)
    if layer is None:
        if not (moves_alone and _moves_spikes(node)):
            return None
        source = node
    moving: list[Synapse] = []
    while isinstance(source, Synapse) and _moves_spikes(source):
        moving.append(source)
        source = graph[source.inputs[0]]
    places = _places(network, moving[::-1], source)
    if layer is not None and layer.places is not None:
        # A place behind the last one stands for a zero.
        before = np.arange(math.prod(source.shape), dtype=np.int32) if places is None else places
        places = np.append(before, np.int32(-1))[layer.places]
    return EventSynapse(node, source.name, layer, places)


def _rate_too_large(graph: Graph, synapse: EventSynapse) -> float | None:
    """Returns the rate of a wide layer's inputs, if it lets expect that multiplying all of them takes less, or None."""
    node, source = synapse.node, graph[synapse.source]
    if synapse.layer is None or node.shape[-1] // synapse.layer.window.groups <= WIDE:
        return None
    if not isinstance(source, Population) or source.expected_rate is None:
        return None
    windowed = any(size > 1 for size in np.ravel(node.layer.config.get("kernel_size", 1)))
    largest = LARGEST_RATE if windowed else LARGEST_RATE_OF_POSITIONS
    return source.expected_rate if source.expected_rate > largest else None


def _moves_spikes(node: Node) -> bool:
    """Whether a node puts out values of its one input, and zeros, and nothing else."""
    return isinstance(node, Synapse) and len(node.inputs) == 1 and family_of(node).keeps_spikes(node)


def _places(network: Network, moving: list[Synapse], source: Node) -> np.ndarray | None:
    """Returns where the outputs of layers that move values come from, or None if they stay where they are."""
    numbers = np.arange(1, math.prod(source.shape) + 1, dtype=np.float64).reshape(source.shape)
    # A plan may be made while a function is traced.
    with tf.init_scope():
        for node in moving:
            numbers = apply_spec(network.with_weights(node).layer, node.name, [numbers])
    places = numbers.ravel().astype(np.int32) - 1
    return None if np.array_equal(places, np.arange(math.prod(source.shape))) else places


def _behind_padding(graph: Graph, node: Node) -> tuple[Node, Margins]:
    """Returns the node behind layers that add zeros around spikes, and how many zeros they add."""
    margins = np.zeros((2, 2), int)
    while isinstance(node, Synapse) and len(node.shape) in (2, 3):
        family = family_of(node)
        if not isinstance(family, PaddingFamily) or not family.adds_zeros:
            break
        *added, _ = family.margins(node)
        margins[2 - len(added) :] += np.asarray(added)
        node = graph[node.inputs[0]]
    (top, bottom), (left, right) = margins.tolist()
    return node, ((top, bottom), (left, right))
