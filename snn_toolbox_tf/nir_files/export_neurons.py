"""What becomes of populations in a NIR file, and of their initial potentials."""

import dataclasses
import json
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import LeakyIntegrateAndFire
from snn_toolbox_tf.nir_files.builder import CannotExportError, NirBuilder, narrow
from snn_toolbox_tf.nir_files.export_membrane import filtered, membrane, refuse_unknown
from snn_toolbox_tf.nir_files.terms import Term

INITIAL_POTENTIALS = ("metadata", "bias")
#: How neurons of this package compare their membrane potential with the threshold; those of NIR with ">".
COMPARISON = ">="
#: Of the grid of a bias where currents tell none: those of layers without weights, which are multiples of large fractions.
_BITS_OF_PLAIN_CURRENTS = 20


@dataclasses.dataclass
class NeuronExporter:
    """Adds populations to a NIR graph.

    Args:
        builder: The NIR graph.
        dt: Seconds in a timestep.
        initial_potential: "metadata", or "bias": v0 / T is added to the current of each timestep instead.
        timesteps: T, for "bias".

    Attributes:
        beyond_plain: Whether there are neurons with more than a potential, a leak and a reset to 0.
    """

    builder: NirBuilder
    dt: float
    initial_potential: str
    timesteps: int

    def __post_init__(self) -> None:
        self._v0: dict[str, np.ndarray] = {}
        self.beyond_plain = False

    def export(self, node: Population, terms: list[Term]) -> list[Term]:
        """Adds a population; returns the terms of its spikes.

        Raises:
            CannotExportError: If NIR has no such neurons.
        """
        refuse_unknown(node.neuron)
        if node.spike_height != "unit":
            raise CannotExportError(
                "its spikes are worth their threshold, and NIR's are 1", "Convert with form='normalized'"
            )
        if self.initial_potential == "bias" and not node.neuron.integrates_perfectly and np.any(node.v0):
            raise CannotExportError(
                "a bias stands for its initial potential only without leak and with reset='subtract', and it has "
                f"{node.neuron}",
                "Export with initial_potential='metadata'",
            )
        edges = self.builder.layout_of(terms, node.shape, node.channel_axis, node.name)
        shape, indices = edges[0].shape, edges[0].indices
        threshold = narrow(edges[0].in_layout_of_source(np.asarray(node.threshold, np.float64)))
        v0 = edges[0].in_layout_of_source(np.asarray(node.v0 * node.threshold, np.float64))
        neurons = membrane(self.builder.nir, node.neuron, self.dt, threshold)
        edges = filtered(self.builder, node.neuron, self.dt, node.name, edges)
        name = self.builder.add(node.name, neurons, edges, self._notes(node, v0))
        self._v0[name] = v0
        return [Term(name, shape, indices)]

    def _notes(self, node: Population, v0: np.ndarray) -> dict[str, Any]:
        notes: dict[str, Any] = {"reset": node.neuron.reset, "comparison": COMPARISON, "v0": _short(v0)}
        if isinstance(node.neuron, LeakyIntegrateAndFire):
            notes["tau_m"] = float(node.neuron.tau_m / node.neuron.dt)
        if not node.neuron.is_plain:
            notes["neuron"] = json.dumps(node.neuron.get_config())
            self.beyond_plain = True
        if node.start:
            notes["start"] = node.start
        if node.timed_bias is not None:
            notes["timed_bias"] = node.timed_bias * _along_channels(node)
        if node.expected_rate is not None:
            notes["expected_rate"] = float(node.expected_rate)
        return notes

    def shift_currents(self) -> None:
        """Moves initial potentials into biases, once all of the graph is there, if that is asked for.

        Raises:
            CannotExportError: If they vary within a channel.
        """
        if self.initial_potential == "metadata":
            return
        for name, v0 in self._v0.items():
            shift = (v0 / self.timesteps).reshape(len(v0), -1)
            if not (shift == shift[:, :1]).all():
                raise CannotExportError(
                    f"the initial potentials of '{name}' vary within a channel, and NIR has biases per channel only",
                    "Export with initial_potential='metadata', or convert without the correction 'neuron_potentials'",
                )
            if shift.any():
                self._add_to_bias(name, shift[:, 0])
            self.builder.notes[name]["v0"] = 0.0

    def _add_to_bias(self, name: str, shift: np.ndarray) -> None:
        """Adds to the bias of a layer that nothing else reads; without one, of a layer put in between.

        On the grid of the current, sums stay exact. What is added is rounded up to it, so that a potential that was to end
        right at the threshold does.
        """
        builder = self.builder
        sources = [source for source, target in builder.edges if target == name]
        rounding = builder.notes[name].get("rounding", {})
        bits = self._grid_of_current(sources, rounding, len(shift))
        shift = np.ceil(shift * 2.0**bits) / 2.0**bits
        for source in sources:
            bias = getattr(builder.nodes[source], "bias", None)
            if bias is not None and sum(start == source for start, _ in builder.edges) == 1:
                builder.nodes[source].bias = narrow(bias.astype(np.float64) + shift)
                return
        shape = tuple(builder.nodes[name].v_threshold.shape)
        edges = [Term(source, shape, np.zeros(0), bits=rounding.get(source)) for source in sources]
        builder.edges = [edge for edge in builder.edges if edge[1] != name]
        between = builder.pointwise(f"{name}_shift", np.ones(1), shift, edges, {"bias_bits": bits})
        builder.notes[name].pop("rounding", None)
        builder.edges.append((between, name))

    def _grid_of_current(self, sources: list[str], rounding: dict[str, int], channels: int) -> np.ndarray:
        """Returns fractional bits per channel on whose grid a bias is on that of each source as well."""
        known = [np.full(channels, bits) for bits in rounding.values()]
        for source in sources:
            bits = self.builder.notes[source].get("bias_bits")
            if bits is not None:
                known.append(np.broadcast_to(bits if bits.size in (1, channels) else bits.min(), (channels,)))
        return np.min(known, axis=0) if known else np.full(channels, _BITS_OF_PLAIN_CURRENTS)


def _along_channels(node: Population) -> np.ndarray:
    """Thresholds as one number per channel, or one for all."""
    threshold = np.asarray(node.threshold, np.float64)
    return threshold.reshape(-1) if threshold.size > 1 else threshold.reshape(1)


def _short(values: np.ndarray) -> float | np.ndarray:
    """Returns one number where all are the same."""
    return float(values.flat[0]) if (values == values.flat[0]).all() else narrow(values)
