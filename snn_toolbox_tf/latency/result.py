"""`LatencyResult`: what happened in a run in latency code."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_positive_integer
from snn_toolbox_tf.simulation.arrays import concatenate
from snn_toolbox_tf.tasks.classes import class_labels, correct


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyResult:
    """What happened in a run in latency code.

    Attributes:
        outputs: Decoded outputs in the source's structure, float32 `[samples, ...]`.
        samples: Number of samples.
        spike_counts: Number of spikes of each neuron over all samples, at most one per sample, float64, by population; of
            inputs that spike as well.
        sample_spike_counts: Number of spikes of each sample by population (and input), int64 `[samples]`.
        clipped: Share of (sample, neuron) pairs whose value was larger than its window, by population (and input).
        synaptic_operations: Spikes times fan-out of each sample by synapse, float64 `[samples]`.
        multiply_accumulates: Of synapses that read no spikes, float64 `[samples]`.
        latency: Time from the first window's beginning to the outputs, in the units of `spike_times`.
        windows: Number of windows that follow each other until then.
        timesteps_per_window: S, or None in continuous time.
        spike_times: When each neuron spiked, counted from the beginning of the run, by population (and input) that was
            recorded, `[samples, ...]`; infinite if it did not. In continuous time in units of the source's activations,
            otherwise in timesteps. Inputs with negative values have another axis at the end: the neuron of positive and
            the neuron of negative values.
    """

    outputs: Any
    samples: int
    spike_counts: Mapping[str, np.ndarray]
    sample_spike_counts: Mapping[str, np.ndarray]
    clipped: Mapping[str, float]
    synaptic_operations: Mapping[str, np.ndarray]
    multiply_accumulates: Mapping[str, np.ndarray]
    latency: float
    windows: int
    timesteps_per_window: int | None
    populations: tuple[str, ...] = ()
    spike_times: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def spikes_per_neuron(self) -> float:
        """Mean number of spikes of a neuron per sample, over all populations; inputs are not among them."""
        counts = [self.spike_counts[name] for name in self.populations]
        neurons = sum(count.size for count in counts)
        return float(sum(count.sum() for count in counts)) / max(neurons * self.samples, 1)

    @property
    def operations(self) -> float:
        """Synaptic operations and multiply-accumulates per sample, all synapses together."""
        parts = [*self.synaptic_operations.values(), *self.multiply_accumulates.values()]
        return float(sum(part.mean() for part in parts))

    def accuracy(self, y: Any, *, top_k: int = 1) -> float:
        """Returns the share of samples whose class is among the k largest outputs, for networks with one output.

        Args:
            y: Class indices `[samples]`, or one-hot `[samples, classes]`.
            top_k: k.

        Raises:
            ValueError: If the outputs are no classes, or the labels do not fit them.
        """
        if not isinstance(self.outputs, np.ndarray) or self.outputs.ndim != 2:
            shapes = keras.tree.map_structure(lambda output: output.shape, self.outputs)
            raise ValueError(
                f"Accuracy needs one output of classes. Expected an array [samples, classes]. Received outputs of {shapes}; "
                "of several outputs, compare each with its labels"
            )
        labels = class_labels(y, *self.outputs.shape)
        return float(correct(self.outputs, labels, check_positive_integer(top_k, "top_k")).mean())

    @classmethod
    def join(cls, parts: Sequence["LatencyResult"]) -> "LatencyResult":
        """Returns the result of all samples, from results of the same network on some samples each."""

        def joined(field: str) -> dict[str, np.ndarray]:
            return concatenate([dict(getattr(part, field)) for part in parts], 0)

        first, samples = parts[0], sum(part.samples for part in parts)
        return dataclasses.replace(
            first,
            outputs=concatenate([part.outputs for part in parts], 0),
            samples=samples,
            spike_counts={
                name: np.sum([part.spike_counts[name] for part in parts], axis=0) for name in first.spike_counts
            },
            sample_spike_counts=joined("sample_spike_counts"),
            clipped={
                name: sum(part.clipped[name] * part.samples for part in parts) / samples for name in first.clipped
            },
            synaptic_operations=joined("synaptic_operations"),
            multiply_accumulates=joined("multiply_accumulates"),
            spike_times=joined("spike_times"),
        )

    def __repr__(self) -> str:
        time = f"{self.latency:g}" if self.timesteps_per_window is None else f"{self.latency:g} timesteps"
        return (
            f"LatencyResult({self.samples} samples, {self.spikes_per_neuron:.3f} spikes per neuron, latency {time} "
            f"({self.windows} windows))"
        )
