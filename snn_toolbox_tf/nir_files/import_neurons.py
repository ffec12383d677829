"""What becomes of the neurons of a NIR file: populations with threshold 1."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire, Neuron, neuron_from_config
from snn_toolbox_tf.nir_files.graph_builder import CannotImportError, GraphBuilder
from snn_toolbox_tf.nir_files.import_filters import Filter, filter_of

KINDS = ("IF", "LIF", "CubaLIF")
#: The smallest float32 above 1: `v >= THRESHOLD` is `v > 1`, which is how NIR's neurons fire.
_JUST_ABOVE_1 = float(np.nextafter(np.float32(1.0), np.float32(2.0)))
#: What rounding does to 1 / dt * dt, and to a threshold just above 1.
_NEAR = 2.0**-20


@dataclasses.dataclass
class NeuronImporter:
    """Adds populations to a graph.

    Args:
        builder: The graph.
        dt: Seconds in a timestep; None: the current of one timestep raises an integrate-and-fire neuron by itself.
        reset: "subtract" or "zero", for files from other tools; None: "zero", as NIR has it.
    """

    builder: GraphBuilder
    dt: float | None
    reset: str | None

    def __post_init__(self) -> None:
        self._resistance: float | None = None
        self._filters: dict[str, Filter] = {}

    def hold(self, nir_name: str, node: Any, source: str, readers: Sequence[Sequence[str]], *, is_ours: bool) -> None:
        """Keeps a filter for the neurons that read it; until then its output is its input.

        Args:
            nir_name: The filter's name in the file.
            node: The NIR node.
            source: The node that it reads.
            readers: The kind of each node that reads it, followed by the names of all that this one reads.
            is_ours: Whether this package wrote the file, which says it all at the neurons.

        Raises:
            CannotImportError: If something else than spiking neurons reads it, or these read something else.
        """
        if not readers or any(kind not in KINDS or len(sources) != 1 for kind, *sources in readers):
            raise CannotImportError(
                "only spiking neurons have a state here, and a filter is a part of them",
                f"Expected it to be all that a node of type {' or '.join(KINDS)} reads",
            )
        self._filters[nir_name] = Filter() if is_ours else filter_of(node, self.builder, source, self.dt)
        self.builder.nodes[nir_name] = source

    def add(self, name: str, node: Any, source: str, notes: dict[str, Any], reads: str = "") -> str:
        """Adds a population, and what scales its current; returns its name.

        NIR: tau dv/dt = v_leak - v + r I (without leak dv/dt = r I), a spike where v > v_threshold, then v = v_reset. With
        u = (v - v_reset) / (v_threshold - v_reset) the threshold is 1 and the reset 0.

        Args:
            name: What it shall be called.
            node: The NIR node.
            source: The node that it reads.
            notes: Its metadata, if this package wrote it.
            reads: The NIR node that it reads, which may be a filter.

        Raises:
            CannotImportError: If no population does the same.
        """
        builder = self.builder
        exported = neuron_from_config(json.loads(notes["neuron"])) if "neuron" in notes else None
        reset = str(notes.get("reset") or self.reset or "zero")
        r, threshold, v_reset = (builder.array(getattr(node, key), source) for key in ("r", "v_threshold", "v_reset"))
        if exported is not None or reset == "subtract":
            # What is subtracted is the threshold; there is no potential to go back to.
            v_reset = np.zeros(())
        span = threshold - v_reset
        if not (span > 0).all():
            raise CannotImportError(
                f"it has v_threshold {_range(threshold)} and v_reset {_range(v_reset)}",
                "Expected v_threshold > v_reset",
            )
        kept = 1.0
        if (abs(span - 1.0) < _NEAR).all():
            kept, span = float(span.max()), np.ones(())
        initial = builder.array(notes["v0"], source) if "v0" in notes else -v_reset
        tau_m, gain, resting = math.inf, np.ones(()), np.zeros(())
        passed = Filter() if exported is not None else self._filter(node, source, reads)
        if exported is None and type(node).__name__ != "IF":
            tau_m = self._time_constant(node, source, notes)
            gain, resting = r / span / tau_m, (builder.array(node.v_leak, source) - v_reset) / span
        elif exported is None:
            gain = self._gain(r) / span
        gain = gain * passed.gain
        # A current does the same as a resting potential, unless it is filtered.
        offset = np.zeros(()) if passed.tau_s else resting / tau_m
        sequence = builder.sequence(name, source)
        if (abs(gain - 1.0) > _NEAR).any() or offset.any():
            rank = len(builder.graph[source].shape)
            parts = [part.reshape((1,) * rank) if part.ndim == 0 else part for part in (gain, offset)]
            sequence.affine(parts[0], parts[1] if offset.any() else None)
        neuron = exported or _neuron(reset, tau_m, passed, resting)
        population = self._population(sequence.node, neuron, initial / span / kept, notes)
        strict = notes.get("comparison", ">") == ">"
        # A soft reset subtracts the threshold: there, `fire_above_threshold` has another way, once the grid is known.
        raised = strict and not population.neuron.integrates_perfectly
        population.threshold = population.channel_vector(_JUST_ABOVE_1 if raised else kept)
        sequence.add(population)
        return sequence.end()

    def _filter(self, node: Any, source: str, reads: str) -> Filter:
        """Returns the filter in front of neurons, or a part of them."""
        before, own = self._filters.get(reads, Filter()), filter_of(node, self.builder, source, self.dt)
        if before.tau_s and own.tau_s:
            raise CannotImportError(
                "it has a filter of its own, behind another one", "Expected one of both, or an IF or LIF node"
            )
        return before if before.tau_s else own

    def _population(self, like: Any, neuron: Neuron, v0: np.ndarray, notes: dict[str, Any]) -> Population:
        one = v0.ndim == 0
        neuron = dataclasses.replace(neuron, v0=float(v0) if one else 0.5)
        return Population(
            "",
            [],
            like.shape,
            like.channel_axis,
            spike_height="unit",
            neuron=neuron,
            initial_potential=None if one else v0,
            start=int(notes.get("start", 0)),
            timed_bias=notes.get("timed_bias"),
            expected_rate=float(notes["expected_rate"]) if "expected_rate" in notes else None,
        )

    def _gain(self, r: np.ndarray) -> np.ndarray:
        if self.dt is not None:
            return r * self.dt
        if not (r > 0).all():
            raise CannotImportError(f"its resistance is {_range(r)}", "Expected a positive one, or pass `dt`")
        if self._resistance is None:
            self._resistance = float(r.flat[0])
        known = np.append(r, self._resistance)
        if (abs(known - self._resistance) > _NEAR * abs(self._resistance)).any():
            raise CannotImportError(
                f"the network's neurons have several resistances, {_range(known)}, so dt cannot be told from them",
                "Pass `dt`, in seconds",
            )
        return np.ones(())

    def _time_constant(self, node: Any, source: str, notes: dict[str, Any]) -> float:
        """The membrane time constant in timesteps."""
        if "tau_m" in notes:
            return float(notes["tau_m"])
        tau = self.builder.array(node.tau if hasattr(node, "tau") else node.tau_mem, source)
        if self.dt is None:
            raise CannotImportError(
                f"its time constant is {_range(tau)} seconds", "Pass `dt`, the seconds in a timestep"
            )
        if tau.ndim or not tau > 0:
            raise CannotImportError(
                f"its neurons have time constants {_range(tau)}",
                "Expected one that is positive, for all of its neurons",
            )
        return float(tau) / self.dt


def _neuron(reset: str, tau_m: float, passed: Filter, resting: np.ndarray) -> Neuron:
    """Returns neurons of another tool's file, which has no more to say than this."""
    common: dict[str, Any] = {"reset": reset, "tau_s": passed.tau_s, "synapse": passed.synapse}
    if not math.isfinite(tau_m):
        return IntegrateAndFire(**common)
    if not passed.tau_s:
        return LeakyIntegrateAndFire(tau_m=tau_m, **common)
    if resting.ndim:
        raise CannotImportError(
            f"its neurons rest at {_range(resting)} thresholds above their reset potential, behind a filter",
            "Expected v_leak, v_reset and v_threshold to be the same for all of them",
        )
    return LeakyIntegrateAndFire(tau_m=tau_m, v_rest=float(resting), **common)


def _range(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
