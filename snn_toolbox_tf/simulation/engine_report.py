"""What runs where, and why: which layers of a spiking network run on spikes, and which are multiplied out."""

import dataclasses
from collections.abc import Iterator

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import LayerNode, MaxPool, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.event_plan import NOTHING_PLANNED, EventPlan, plan_events, reason_for_layers, runs_native
from snn_toolbox_tf.simulation.signal import absorbed_synapses
from snn_toolbox_tf.synapses.carriers import spike_carriers


@dataclasses.dataclass(frozen=True)
class LayerPlace:
    """Where one layer runs.

    Attributes:
        name: The layer.
        layer: Its class.
        runs: "event" (on spikes), "dense" (as its Keras layer), or "population" (the population behind it computes it).
        why: Why there.
    """

    name: str
    layer: str
    runs: str
    why: str


@dataclasses.dataclass(frozen=True)
class EngineReport:
    """Where all layers of a network run. Printed, it is a table.

    Attributes:
        engine: What was asked for: "auto", "dense" or "event".
        places: One entry per layer, in the network's order.
    """

    engine: str
    places: tuple[LayerPlace, ...]

    def __iter__(self) -> Iterator[LayerPlace]:
        return iter(self.places)

    def __getitem__(self, name: str) -> LayerPlace:
        """Returns the entry of a layer."""
        found = {place.name: place for place in self.places}
        if name not in found:
            raise KeyError(f"There is no layer '{name}'. The layers are: {', '.join(found)}.")
        return found[name]

    def __str__(self) -> str:
        rows = [("layer", "class", "runs", "why"), *((p.name, p.layer, p.runs, p.why) for p in self.places)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
        ]
        return "\n".join([f"engine: {self.engine}", *lines])


def engine_report(network: Network, engine: str, schedule: str) -> EngineReport:
    """Returns where the layers of a network run.

    Args:
        network: The network.
        engine: One of `ENGINES`.
        schedule: The network's, "step" or "layer_synchronous".
    """
    reason = _reason_for_all(network, engine, schedule)
    plan = plan_events(network, engine) if reason is None else NOTHING_PLANNED
    graph, carriers = network.graph, spike_carriers(network.graph)
    spiking, absorbed = graph.spiking_ancestry(), absorbed_synapses(graph)
    places = []
    for node in graph:
        if isinstance(node, (Synapse, MaxPool)):
            runs, why = _on_spikes(node, plan, absorbed) or _densely(node, plan, carriers, spiking, reason)
            places.append(LayerPlace(node.name, node.layer.class_name, runs, why))
    return EngineReport(engine, tuple(places))


def _on_spikes(node: LayerNode, plan: EventPlan, absorbed: frozenset[str]) -> tuple[str, str] | None:
    """Where a layer runs that a plan has, or a population; None for others."""
    synapse = plan.synapses.get(node.name)
    if synapse is None:
        if node.name in plan.packed:
            return "event", "joins spikes of several populations, byte by byte"
        if node.name in plan.unread:
            return "event", "only moves spikes: what reads them looks them up where they were"
        return ("population", "the population behind it sums it up") if node.name in absorbed else None
    if synapse.layer is None:
        return "event", "only moves spikes: the population behind it looks them up where they were"
    where = (
        "the population behind it finds its current" if node.name in plan.deferred else "its current is held in memory"
    )
    return "event", f"reads spikes; {where}"


def _reason_for_all(network: Network, engine: str, schedule: str) -> str | None:
    """Why nothing runs on spikes, if it is so."""
    if (reason := reason_for_layers(network.graph, engine)) is not None:
        return reason
    if schedule != "step":
        return f"schedule is '{schedule}': each layer runs once, on all timesteps"
    if not runs_native():
        return f"there are no native kernels: {ops.implementation().reason}"
    return None


def _densely(
    node: LayerNode, plan: EventPlan, carriers: set[str], spiking: set[str], reason: str | None
) -> tuple[str, str]:
    if node.name not in spiking:
        return "dense", "reads the input, not spikes"
    if reason is not None:
        return "dense", reason
    if isinstance(node, MaxPool):
        return "dense", "keeps sums of its own"
    if not set(node.inputs) <= carriers:
        return "dense", "reads currents, not spikes"
    if node.name in carriers:
        several = " of several populations" if len(node.inputs) > 1 else ""
        return "dense", f"moves spikes{several}, as numbers"
    if node.name in plan.multiplied:
        return (
            "dense",
            f"{plan.multiplied[node.name]:.0%} of its inputs are expected to be active: multiplying takes less",
        )
    return "dense", f"there is no kernel for this {node.layer.class_name}"
