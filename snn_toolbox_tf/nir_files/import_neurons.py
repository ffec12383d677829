"""What becomes of the neurons of a NIR file: populations with threshold 1."""

import dataclasses
import math
from typing import Any

import numpy as np

from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire, Neuron
from snn_toolbox_tf.nir_files.graph_builder import CannotImportError, GraphBuilder

KINDS = ("IF", "LIF")
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

    def add(self, name: str, node: Any, source: str, notes: dict[str, Any]) -> str:
        """Adds a population, and what scales its current; returns its name.

        NIR: tau dv/dt = v_leak - v + r I (without leak dv/dt = r I), a spike where v > v_threshold, then v = v_reset. With
        u = (v - v_reset) / (v_threshold - v_reset) the threshold is 1 and the reset 0.

        Args:
            name: What it shall be called.
            node: The NIR node.
            source: The node that it reads.
            notes: Its metadata, if this package wrote it.

        Raises:
            CannotImportError: If no population does the same.
        """
        builder = self.builder
        reset = str(notes.get("reset") or self.reset or "zero")
        r, threshold, v_reset = (builder.array(getattr(node, key), source) for key in ("r", "v_threshold", "v_reset"))
        if reset == "subtract":
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
        if type(node).__name__ == "LIF":
            tau_m = self._time_constant(node, source, notes)
            gain, offset = r / span / tau_m, (builder.array(node.v_leak, source) - v_reset) / span / tau_m
        else:
            tau_m, gain, offset = math.inf, self._gain(r) / span, np.zeros(())
        sequence = builder.sequence(name, source)
        if (abs(gain - 1.0) > _NEAR).any() or offset.any():
            rank = len(builder.graph[source].shape)
            parts = [part.reshape((1,) * rank) if part.ndim == 0 else part for part in (gain, offset)]
            sequence.affine(parts[0], parts[1] if offset.any() else None)
        population = self._population(sequence.node, reset, tau_m, initial / span / kept, notes)
        strict = notes.get("comparison", ">") == ">"
        # A soft reset subtracts the threshold: there, `fire_above_threshold` has another way, once the grid is known.
        raised = strict and not population.neuron.integrates_perfectly
        population.threshold = population.channel_vector(_JUST_ABOVE_1 if raised else kept)
        sequence.add(population)
        return sequence.end()

    def _population(self, like: Any, reset: str, tau_m: float, v0: np.ndarray, notes: dict[str, Any]) -> Population:
        one = v0.ndim == 0
        common: dict[str, Any] = {"reset": reset, "v0": float(v0) if one else 0.5}
        leaks = math.isfinite(tau_m)
        neuron: Neuron = LeakyIntegrateAndFire(tau_m=tau_m, **common) if leaks else IntegrateAndFire(**common)
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
        tau = self.builder.array(node.tau, source)
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


def _range(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
