"""Which synapses native kernels run on spikes, where spikes travel as bits, and what the population behind a synapse does itself.

A synapse that reads spikes and nothing else adds up the rows of its weights that belong to active inputs; there is nothing to
multiply. If one population alone reads its current, that population finds it, band by band, and it is never held in memory.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Graph, Node, Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.ops import ConvolutionWindow, SpikeSynapse
from snn_toolbox_tf.simulation.signal import absorbed_synapses
from snn_toolbox_tf.synapses import family_of
from snn_toolbox_tf.synapses.carriers import spike_carriers

#: What runs synapses that read spikes: their Keras layers, kernels that work only where there are spikes, or what is faster.
ENGINES = ("auto", "dense", "event")
#: Zeros before and behind both axes.
Margins = tuple[tuple[int, int], tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class EventSynapse:
    """A synapse that runs on spikes.

    Attributes:
        node: Its node.
        source: The node whose spikes it reads: behind layers that pad them.
        input_shape: Shape of a sample's spikes for its kernel: rows, columns, inputs.
        window: Strides, dilations, padding and groups.
    """

    node: Synapse
    source: str
    input_shape: tuple[int, int, int]
    window: ConvolutionWindow

    def spike_synapse(self, network: Network) -> SpikeSynapse:
        """Returns it with the weights that its layer has."""
        layer = network.layers[self.node.name]
        return SpikeSynapse(self.input_shape, *_LAYERS[self.node.layer.class_name].weights(self, layer), self.window)


@dataclasses.dataclass(frozen=True)
class EventPlan:
    """How a network runs on spikes.

    Attributes:
        synapses: Those that run on spikes, by name.
        packed: Names of the populations that give their spikes as bits, and of the nodes that pass bits on as they are.
        deferred: Names of the synapses in `synapses` whose current the population behind them finds.
        absorbed: Names of the sums and factors that the population behind them computes.
        unread: Names of the nodes that nothing reads any more.
    """

    synapses: Mapping[str, EventSynapse]
    packed: frozenset[str]
    deferred: frozenset[str]
    absorbed: frozenset[str]
    unread: frozenset[str]

    def bytes_held(self, node: Node) -> float:
        """Returns how many bytes of a sample's output are in memory at every timestep."""
        if node.name in self.deferred | self.absorbed | self.unread:
            return 0.0
        return math.prod(node.shape) * (1 / 8 if node.name in self.packed else 4.0)


NOTHING_PLANNED = EventPlan({}, frozenset(), frozenset(), frozenset(), frozenset())


def plan_events(graph: Graph, engine: str) -> EventPlan:
    """Returns what runs on spikes with an engine: nothing where spikes have signs or heights, or on the dense engine."""
    populations = graph.of_type(Population)
    if engine == "dense" or any(node.neuron.signed_spikes or node.spike_height != "unit" for node in populations):
        return NOTHING_PLANNED
    carriers = spike_carriers(graph)
    synapses = {}
    for node in graph.of_type(Synapse):
        if set(node.inputs) <= carriers and (synapse := _event_synapse(graph, node)) is not None:
            synapses[node.name] = synapse
    read = _read(graph, synapses)
    unread = frozenset(node.name for node in graph.of_type(Synapse) if node.name in carriers and node.name not in read)
    absorbed = absorbed_synapses(graph)
    return EventPlan(
        synapses, _packed(graph, synapses, carriers), _deferred(graph, synapses, absorbed), absorbed, unread
    )


def runs_native() -> bool:
    """Whether there are native kernels: the reference has nothing to gain from spikes."""
    return ops.implementation().name == "native"


def _read(graph: Graph, synapses: Mapping[str, EventSynapse]) -> set[str]:
    """Returns the names of the nodes that something reads; what is read by synapses on spikes is what they say."""
    read = {readout.node for readout in graph.readouts}
    for node in reversed(list(graph)):
        if isinstance(node, Population) or not graph.consumers(node.name) or node.name in read or node.name in synapses:
            read |= {synapses[node.name].source} if node.name in synapses else set(node.inputs)
        elif any(reader.name in read and reader.name not in synapses for reader in graph.consumers(node.name)):
            read |= set(node.inputs)
    return read


def _packed(graph: Graph, synapses: Mapping[str, EventSynapse], carriers: set[str]) -> frozenset[str]:
    """Bits are for populations that a synapse on spikes reads, and for what only gives their spikes another shape."""
    passing = {
        node.name
        for node in graph.of_type(Synapse)
        if node.name in carriers and node.layer.class_name in ("Flatten", "Reshape") and node.dtype == "float32"
    }
    wanted = {synapse.source for synapse in synapses.values()}
    for node in reversed(list(graph)):
        if node.name in passing and node.name in wanted:
            wanted |= set(node.inputs)
    packed: set[str] = set()
    for node in graph:
        if node.name in wanted and isinstance(node, Population):
            packed.add(node.name)
        elif node.name in passing and set(node.inputs) <= packed:
            packed.add(node.name)
    return frozenset(packed)


def _deferred(
    graph: Graph, synapses: Mapping[str, EventSynapse], absorbed: frozenset[str]
) -> frozenset[str]:
    read_out = {readout.node for readout in graph.readouts}
    deferred = set()
    for name in synapses:
        readers = graph.consumers(name)
        alone = len(readers) == 1 and readers[0].inputs.count(name) == 1 and name not in read_out
        if alone and (isinstance(readers[0], Population) or readers[0].name in absorbed):
            deferred.add(name)
    return frozenset(deferred)


def _event_synapse(graph: Graph, node: Synapse) -> EventSynapse | None:
    """Returns how a synapse runs on spikes, or None if there is no kernel for it."""
    kind, config = _LAYERS.get(node.layer.class_name), node.layer.config
    plain = (
        node.dtype == "float32"
        and config.get("activation") in (None, "linear")
        and config.get("data_format", "channels_last") == "channels_last"
    )
    if kind is None or not plain:
        return None
    source, margins = graph[node.inputs[0]], ((0, 0), (0, 0))
    if kind.is_windowed and source.name not in {readout.node for readout in graph.readouts}:
        source, margins = _behind_padding(graph, source)
    return kind.plan(node, source, margins)


def _behind_padding(graph: Graph, node: Node) -> tuple[Node, Margins]:
    """Returns the node behind layers that add zeros around spikes, and how many zeros they add."""
    margins = np.zeros((2, 2), int)
    while isinstance(node, Synapse) and family_of(node).adds_zeros and len(node.shape) in (2, 3):
        *added, of_channels = family_of(node).margins(node)
        if any(of_channels):
            break
        margins[2 - len(added) :] += np.asarray(added)
        node = graph[node.inputs[0]]
    (top, bottom), (left, right) = margins.tolist()
    return node, ((top, bottom), (left, right))


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A line of pixels is an image of one row."""
    rows, columns, channels = (1, *shape)[-3:]
    return rows, columns, channels


def _plan_window(node: Synapse, source: Node, margins: Margins, taps: list[int], groups: int) -> EventSynapse:
    """Plans a layer of windows over one axis or two; `taps` has the size of a window."""
    config, dimensions = node.layer.config, len(source.shape) - 1

    def along_axes(key: str, default: int | None = None) -> tuple[int, int]:
        value = config.get(key)
        first, second = (1, 1, *np.broadcast_to(default if value is None else value, dimensions).tolist())[-2:]
        return first, second

    strides = tuple(taps) if "pool_size" in config and config.get("strides") is None else along_axes("strides", 1)
    window = ConvolutionWindow(strides, along_axes("dilation_rate", 1), config["padding"], groups)
    shape = _image(source.shape)
    if config["padding"] == "causal":
        zeros = [(0, 0), ((taps[1] - 1) * window.dilations[1], 0)]
    else:
        padded = [size + sum(more) for size, more in zip(shape, margins, strict=False)]
        # One row stays one, whatever `padding` says.
        zeros = [(0, 0) if taps[axis] == 1 else window.zeros(axis, padded[axis], taps[axis]) for axis in (0, 1)]
    padding = tuple((more[0] + of[0], more[1] + of[1]) for more, of in zip(margins, zeros, strict=True))
    return EventSynapse(node, source.name, shape, dataclasses.replace(window, padding=padding))


def _plan_convolution(node: Synapse, source: Node, margins: Margins) -> EventSynapse | None:
    config = node.layer.config
    if config["padding"] not in ("valid", "same", "causal"):
        return None
    depthwise = node.layer.class_name.startswith("Depthwise")
    taps = [1, 1, *np.broadcast_to(config["kernel_size"], len(source.shape) - 1).tolist()][-2:]
    return _plan_window(node, source, margins, taps, source.shape[-1] if depthwise else config.get("groups", 1))


def _plan_dense(node: Synapse, source: Node, margins: Margins) -> EventSynapse:
    """Each position of the axes in front of the last one is a column."""
    return EventSynapse(node, source.name, (1, math.prod(source.shape[:-1]), source.shape[-1]), ConvolutionWindow())


def _plan_average(node: Synapse, source: Node, margins: Margins) -> EventSynapse | None:
    """An average of 2^n spikes is a depthwise convolution, whose weights are exact."""
    config = node.layer.config
    taps = [1, 1, *np.broadcast_to(config["pool_size"], len(source.shape) - 1).tolist()][-2:]
    number = math.prod(taps)
    if number & (number - 1) or (config["padding"] == "same" and number > 1) or np.any(margins):
        return None
    return _plan_window(node, source, margins, taps, source.shape[-1])


def _plan_global_average(node: Synapse, source: Node, margins: Margins) -> EventSynapse | None:
    number = math.prod(source.shape[:-1])
    if number & (number - 1) or np.any(margins):
        return None
    return EventSynapse(node, source.name, _image(source.shape), ConvolutionWindow(groups=source.shape[-1]))


Weights = tuple[tf.Tensor, tf.Tensor | None]


def _weights(synapse: EventSynapse, layer: tf.Module) -> Weights:
    """Kernel and bias, with a window of two axes; a depthwise kernel is one of as many groups as there are inputs."""
    kernel = tf.convert_to_tensor(layer.kernel)
    groups, inputs = synapse.window.groups, synapse.input_shape[-1]
    if synapse.node.layer.class_name.startswith("Depthwise"):
        kernel = tf.reshape(kernel, [*kernel.shape[:-2], 1, -1])
    window = [1, 1, *kernel.shape[:-2]][-2:]
    kernel = tf.reshape(kernel, [*window, inputs // groups, kernel.shape[-1]])
    return kernel, tf.convert_to_tensor(layer.bias) if layer.use_bias else None


def _averaging_weights(synapse: EventSynapse, layer: tf.Module) -> Weights:
    shape = synapse.input_shape
    taps = shape[:2] if not hasattr(layer, "pool_size") else [1, *np.atleast_1d(layer.pool_size).tolist()][-2:]
    return tf.fill([*taps, 1, shape[2]], np.float32(1 / math.prod(taps))), None


@dataclasses.dataclass(frozen=True)
class _Layers:
    """A kind of layer that kernels run on spikes."""

    plan: Callable[[Synapse, Node, Margins], EventSynapse | None]
    weights: Callable[[EventSynapse, tf.Module], Weights]
    is_windowed: bool = True


_CONVOLUTION = _Layers(_plan_convolution, _weights)
_LAYERS = {
    **dict.fromkeys(("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"), _CONVOLUTION),
    "Dense": _Layers(_plan_dense, _weights, is_windowed=False),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), _Layers(_plan_average, _averaging_weights, False)),
    **dict.fromkeys(
        ("GlobalAveragePooling1D", "GlobalAveragePooling2D"), _Layers(_plan_global_average, _averaging_weights, False)
    ),
}

