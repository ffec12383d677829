"""Sums over many samples, which can be added up batch by batch, saved, and gone on with."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation import atomic_files, npz_files
from snn_toolbox_tf.graph import Graph

_LARGEST_BATCH_OUTPUT = 2**28


class Evaluation:
    """Sums over the samples seen so far.

    Attributes:
        done: Number of samples.
        sums: Sums over samples by name: "correct/<output>" `[timesteps]`, "ann_correct/<output>", "agreement/<output>",
            "exit_timesteps/<output>" and "exit_correct/<output>" `[confidences]`, "squared_error/<output>",
            "squared_output/<output>", "spike_counts/<population>" (per neuron), "synaptic_operations/<synapse>",
            "multiply_accumulates/<synapse>", "seconds/<stage>". Of outputs that are no classes also what
            `snn_toolbox_tf.tasks.sums_of` gives, "snn_<sum>/<output>" and "ann_<sum>/<output>", and for the distance of both
            "gap/<output>" `[timesteps, units]`, "ann_total/<output>" and "ann_square/<output>" `[units]`.
        decisions: The SNN's last decision per sample, by output.
        kept: The last outputs (of a segmentation, decisions) of the first samples, "snn/<output>" and "ann/<output>".
    """

    def __init__(self) -> None:
        self.done = 0
        self.sums: dict[str, np.ndarray] = {}
        self.decisions: dict[str, np.ndarray] = {}
        self.kept: dict[str, np.ndarray] = {}

    def add(self, name: str, value: Any) -> None:
        """Adds to a sum."""
        self.sums[name] = self.sums.get(name, 0.0) + np.asarray(value, np.float64)

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """Returns the sums of one kind, by what comes behind "<prefix>/"."""
        return {key.partition("/")[2]: value for key, value in self.sums.items() if key.partition("/")[0] == prefix}

    def plus(self, batch: "Evaluation") -> "Evaluation":
        """Returns the evaluation of these samples and those of a batch behind them; this one stays as it is."""
        both = Evaluation()
        both.done = self.done + batch.done
        both.sums = {name: self.sums.get(name, 0.0) + value for name, value in batch.sums.items()}
        both.decisions, both.kept = _behind(self.decisions, batch.decisions), _behind(self.kept, batch.kept)
        return both

    def save(self, path: pathlib.Path, names: list[str]) -> None:
        """Writes everything, in one go.

        Args:
            path: The file.
            names: All names of the network's parts, in order, by which `load` recognises them.
        """
        arrays: dict[str, Any] = self.as_arrays()
        with atomic_files.replacing(path) as file:
            np.savez(file, names=names, **arrays)

    @classmethod
    def load(cls, path: pathlib.Path, names: list[str]) -> "Evaluation":
        """Reads what `save` wrote; an unreadable file is an evaluation of nothing yet.

        Args:
            path: The file.
            names: All names of the network's parts now: Keras numbers the layers of a network that is built again.
        """
        try:
            arrays = npz_files.read_arrays(path)
            return cls.from_arrays(arrays, dict(zip(arrays["names"].tolist(), names, strict=True)))
        except (ValueError, KeyError):
            return cls()

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Returns everything as arrays, to be kept or sent."""
        arrays = {"done": np.asarray(self.done)}
        arrays |= {f"sums/{name}": value for name, value in self.sums.items()}
        arrays |= {f"kept/{name}": value for name, value in self.kept.items()}
        return arrays | {f"decisions/{name}": value for name, value in self.decisions.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], names: Mapping[str, str] | None = None) -> "Evaluation":
        """Returns the evaluation that `as_arrays` gave.

        Args:
            arrays: The arrays; others may be among them.
            names: New names of the network's parts, by their old ones.
        """
        evaluation, names = cls(), names or {}
        evaluation.done = int(arrays["done"])
        for key, value in arrays.items():
            kind, _, name = key.partition("/")
            if kind in ("sums", "kept"):
                quantity, _, part = name.partition("/")
                getattr(evaluation, kind)[f"{quantity}/{names.get(part, part)}"] = value
            elif kind == "decisions":
                evaluation.decisions[names.get(name, name)] = value
        return evaluation


def _behind(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([first.get(name, values[:0]), values]) for name, values in second.items()}


def names_of(graph: Graph) -> list[str]:
    """Returns the names of all nodes and outputs, in order."""
    return [*(node.name for node in graph), *(readout.name for readout in graph.readouts)]


def reported_timesteps(graph: Graph, timesteps: int) -> np.ndarray:
    """Returns the timesteps at which outputs are evaluated: all, or fewer, evenly chosen, where outputs are large."""
    units = sum(int(np.prod(graph.output_shape(readout))) for readout in graph.readouts)
    fitting = max(1, _LARGEST_BATCH_OUTPUT // (8 * units))
    if timesteps <= fitting:
        return np.arange(1, timesteps + 1)
    return np.unique(np.linspace(0, timesteps, fitting + 1)[1:].round().astype(np.int64))


def fitting_batch_size(graph: Graph, timesteps: int, batch_size: int) -> int:
    """Returns how many samples run at once: fewer than asked for, where outputs are large."""
    units = sum(int(np.prod(graph.output_shape(readout))) for readout in graph.readouts)
    return max(1, min(batch_size, _LARGEST_BATCH_OUTPUT // (8 * units * len(reported_timesteps(graph, timesteps)))))
