"""`check`: what becomes of every part of a model, before any work."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from snn_toolbox_tf.conversion.latency import CODES
from snn_toolbox_tf.conversion.neuron_options import check_neurons, population_names
from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.foundation.errors import UnsupportedModelError
from snn_toolbox_tf.graph import Graph, InputNode, MaxPool, Node, Population
from snn_toolbox_tf.neurons import IntegrateAndFire, Neuron
from snn_toolbox_tf.neurons.description import in_words
from snn_toolbox_tf.parse import Parsed, parse
from snn_toolbox_tf.passes import MAX_POOLINGS, SPIKING_PASSES, set_max_pooling
from snn_toolbox_tf.passes.refuse import find_unsupported, refuse_unsupported
from snn_toolbox_tf.report.text import aligned
from snn_toolbox_tf.synapses import is_scale
from snn_toolbox_tf.tasks import state_tasks, task_of

_POOLING = {
    "accumulated": "pools accumulated currents",
    "winner_take_all": "passes the spikes of the neuron that fires most",
    "lateral_inhibition": "passes the spikes of the neuron that fires first",
}
BECOMES = ("input", "synapse", "population", "removed", "readout", "refused")


@dataclasses.dataclass(frozen=True)
class CheckRow:
    """What becomes of one part of the source: an input, a layer's call, an operation, or a layer's own activation.

    Attributes:
        name: Name of the layer (of a nested model `model.layer`; `<layer>_relu` for a layer's own activation).
        class_name: Its class.
        becomes: One of `BECOMES`.
        reason: Why, or what it does in the spiking network.
        remedy: What to do if it is refused; empty if the reason says that as well.
    """

    name: str
    class_name: str
    becomes: str
    reason: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What becomes of a model.

    Attributes:
        model: Name of the model.
        rows: One row per part, in topological order.
        tasks: What each output is taken for, and why; targets may say otherwise. Empty if the model cannot be converted.
    """

    model: str
    rows: tuple[CheckRow, ...]
    tasks: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the model can be converted."""
        return not self.refused

    @property
    def refused(self) -> tuple[CheckRow, ...]:
        """What cannot be converted."""
        return tuple(row for row in self.rows if row.becomes == "refused")

    @property
    def summary(self) -> str:
        """The outcome in one line."""
        counts = [(kind, sum(row.becomes == kind for row in self.rows)) for kind in BECOMES]
        listed = ", ".join(f"{count} {_plural(kind, count)}" for kind, count in counts if count)
        if self.ok:
            return f"'{self.model}' can be converted: {listed}."
        return f"'{self.model}' cannot be converted: {listed}. Remedies are in the table."

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        return {"model": self.model, "convertible": self.ok, "nodes": rows, "tasks": dict(self.tasks)}

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output is taken for, a line each."""
        return tuple(f"Output '{name}' is taken for {task}." for name, task in self.tasks.items())

    def __str__(self) -> str:
        """Returns the table and the summary as text."""
        header = ("name", "class", "becomes", "reason")
        lines = [(row.name, row.class_name, row.becomes, _explained(row)) for row in self.rows]
        return "\n".join([aligned(header, lines, texts=4), "", self.summary, *self.outputs])


def check(
    model: keras.Model,
    *,
    max_pooling: str = "accumulated",
    neuron: Neuron | Mapping[str, Neuron] | None = None,
    code: str = "rate",
) -> CheckReport:
    """Tells what becomes of every part of a model; nothing is computed and the model is not changed.

    Args:
        model: The trained source model.
        max_pooling: As it will be given to `convert_keras`.
        neuron: Likewise: what neurons do, or a dict of it by name of a population.
        code: Likewise: "rate", or "latency", whose neurons are others.

    Returns:
        A report with a row per layer call: `print(snn.check(model))`. What stands against conversion is a row "refused" with
        reason and remedy; if it is the model as a whole, the row has the model's name.

    Raises:
        TypeError: If `model` is not a Keras model, or `neuron` no neuron.
        ValueError: If `max_pooling` or `code` is unknown, or `neuron` names what is no population.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "gelu"), keras.layers.Dense(3)])
        >>> report = snn.check(model)
        >>> report.ok, [row.class_name for row in report.refused]
        (False, ['Activation gelu'])
    """
    check_one_of(max_pooling, MAX_POOLINGS, "max_pooling")
    check_one_of(code, CODES, "code")
    check_neurons(neuron, None, v0=None, reset="subtract", signed_spikes=False)
    try:
        parsed = parse(model)
    except ValueError as error:
        row = CheckRow(model.name, type(model).__name__, "refused", str(error))
        return CheckReport(model.name, (row,))
    set_max_pooling(parsed.graph, max_pooling)
    words = NeuronWords(neuron, code)
    rows = list(_rows(parsed, words))
    if not any(row.becomes == "refused" for row in rows):
        words.check(parsed.graph)
    if not any(row.becomes in ("population", "refused") for row in rows):
        try:
            refuse_unsupported(parsed.graph)
        except UnsupportedModelError as error:
            rows.append(CheckRow(model.name, type(model).__name__, "refused", str(error)))
    tasks = {} if any(row.becomes == "refused" for row in rows) else _tasks(parsed.graph, model)
    return CheckReport(model.name, tuple(rows), tasks)


def _tasks(graph: Graph, model: keras.Model) -> dict[str, str]:
    state_tasks(graph, source=model)
    return {readout.name: str(task_of(graph, readout)) for readout in graph.readouts}


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 or kind in ("removed", "refused") else f"{kind}s"


def _explained(row: CheckRow) -> str:
    return f"{row.reason}; remedy: {row.remedy}" if row.remedy else row.reason


@dataclasses.dataclass(frozen=True)
class NeuronWords:
    """What to call the neurons of each population."""

    neuron: Neuron | Mapping[str, Neuron] | None
    code: str

    def of(self, populations: list[Population]) -> str:
        """Returns what the neurons of populations are that stand for one part of the source."""
        return " and ".join(dict.fromkeys(map(self._kind, populations)))

    def check(self, graph: Graph) -> None:
        """Raises an error if a name is none of a population."""
        known = population_names(graph)
        for name in self.neuron if isinstance(self.neuron, Mapping) else ():
            check_one_of(name, known, "neuron")

    def _kind(self, population: Population) -> str:
        if self.code == "latency":
            return "neurons that spike once at most, earlier for larger values"
        named = self.neuron.get(population.shared_name) if isinstance(self.neuron, Mapping) else self.neuron
        return in_words(named or IntegrateAndFire())


def _rows(parsed: Parsed, words: NeuronWords) -> Iterator[CheckRow]:
    """Runs the passes on the graph and looks where everything went."""
    graph = parsed.graph
    shapes = {node.origin: node.shape for node in graph}
    refused, history = {}, [graph.copy()]
    for rewrite in SPIKING_PASSES:
        if rewrite is refuse_unsupported:
            refused = {graph[name].origin: (kind, refusal) for name, (kind, refusal) in find_unsupported(graph).items()}
            continue
        rewrite(graph)
        graph.sort()
        history.append(graph.copy())
    fates = _fates(history)
    for origin in parsed.origins:
        name, class_name = origin.name, origin.class_name
        nodes = [node for node in graph if node.origin == name]
        if origin.inactive:
            yield CheckRow(name, class_name, "removed", "it does nothing at inference")
        elif name in refused:
            kind, refusal = refused[name]
            yield CheckRow(name, kind, "refused", refusal.reason, refusal.remedy)
        elif not nodes:
            yield CheckRow(name, class_name, *fates.get(name, ("removed", "no output depends on it")))
        else:
            yield CheckRow(name, class_name, *_becomes(graph, nodes, shapes[name], words))


def _becomes(graph: Graph, nodes: list[Node], shape: tuple[int, ...], words: NeuronWords) -> tuple[str, str]:
    """Returns what has become of a part of the source, and how: of these nodes, all that stand for it."""
    populations = [node for node in nodes if isinstance(node, Population)]
    rules = [node.rule for node in nodes if isinstance(node, MaxPool)]
    summed = [readout for readout in graph.readouts if readout.node in {node.name for node in nodes}]
    if populations and populations[0].tied:
        neurons = {node.shared_name: _size(node.shape) for node in populations}
        sizes = " and ".join(f"{size} {words.of(populations)}" for size in neurons.values())
        return "population", f"{sizes}, in {len(populations) // len(neurons)} windows, one per step of the sequence"
    if populations:
        where = " (behind the max pooling that reads it)" if populations[0].shape != shape else ""
        several = f"{len(populations)} x " if len(populations) > 1 else ""
        return "population", f"{several}{_size(populations[0].shape)} {words.of(populations)}{where}"
    if isinstance(nodes[0], InputNode):
        return "input", f"shape {nodes[0].shape}"
    if any(not readout.decoder for readout in summed):
        return "readout", "its current is summed over time and decoded"
    if rules:
        return "synapse", _POOLING[rules[0]]
    return "synapse", "affine; its current is summed over time" if summed else "affine, runs on spikes as it is"


def _fates(history: list[Graph]) -> dict[str, tuple[str, str]]:
    """Returns what became of parts whose last node a pass took out of the graph: readouts and what was folded."""
    fates: dict[str, tuple[str, str]] = {}
    for before, after in itertools.pairwise(history):
        decoded, left = _decoded(before, after), {node.origin for node in after}
        for node in before:
            if node.origin in left or node.origin in fates:
                continue
            if node.name in decoded:
                fates[node.origin] = ("readout", "applied to the decoded output")
            elif is_scale(node):
                into = after[_surviving(node.inputs[0], before, after)].origin
                fates[node.origin] = ("removed", f"folded into '{into}'")
    return fates


def _decoded(before: Graph, after: Graph) -> set[str]:
    """Returns the nodes that became part of a readout's decoder."""
    names = set()
    for old, new in zip(before.readouts, after.readouts, strict=True):
        name = old.node
        while len(new.decoder) > len(old.decoder) and name != new.node:
            names.add(name)
            (name,) = before[name].inputs
    return names


def _surviving(name: str, before: Graph, after: Graph) -> str:
    while name not in after:
        name = before[name].inputs[0]
    return name


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
