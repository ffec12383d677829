"""`SimulationResult`: what a simulation gave, in NumPy arrays."""

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.foundation import atomic_files, npz_files
from snn_toolbox_tf.foundation.argument_checks import check_positive_integer
from snn_toolbox_tf.simulation.arrays import RecordedArrays, concatenate
from snn_toolbox_tf.simulation.early_exit import CONFIDENCES, AccuracyLatencyCurve, EarlyExit, check_confidences
from snn_toolbox_tf.simulation.workload import Workload
from snn_toolbox_tf.tasks import check_and_measure
from snn_toolbox_tf.tasks.classes import class_labels, correct

_FORMAT = "snn_toolbox_tf.SimulationResult"
_ARRAY_FIELDS = (
    "spikes",
    "membrane_potential",
    "spike_counts",
    "sample_spike_counts",
    "synaptic_operations",
    "multiply_accumulates",
)


class SimulationResult:
    """The outcome of `SpikingModel.simulate`.

    Attributes:
        outputs: Decoded output after each reported timestep, in the structure of the source's outputs; float32
            `[len(timesteps), samples, ...]`.
        timesteps: int64 vector that names the first axis of `outputs`: the number of timesteps simulated so far.
        duration: Number of timesteps simulated, T.
        samples: Number of samples.
        spikes: Recorded spikes per population: uint8 `[T, samples, ...]`.
        membrane_potential: Recorded membrane potentials (after reset) per population, in units of the threshold in the
            normalised form: float32 `[T, samples, ...]`.
        spike_counts: Spikes per neuron, summed over samples and timesteps: float64 `[...]` per population.
        sample_spike_counts: Recorded spikes per sample and neuron, summed over timesteps: float64 `[samples, ...]`.
        synaptic_operations: Spikes times fan-out, summed over all timesteps: float64 `[samples]` per synapse that reads
            spikes. Fan-outs are exact at the borders of convolutions; biases are not counted.
        multiply_accumulates: MACs of the synapses that read real values instead (analog input, a current): float64
            `[samples]` per synapse. A constant input counts once per sample, other real values once per timestep.
        exit_timesteps: The timestep at which each sample had its answer, int64 `[samples]`: T without `early_exit`. With it,
            `outputs` are the answers of samples that have one, and spikes and operations are those until then.
        from_logits: Whether the output is logits of classes, or their probabilities (False); None if it is neither, or if
            there are several.
        windows: Number of windows of T timesteps that the run would take one after the other, see `SpikingModel.windows`.
        workload: What the network did for a sample, as models of energy need it, see `snn_toolbox_tf.energy`; None in files
            of earlier versions.

    Example:
        >>> import numpy as np, snn_toolbox_tf as snn
        >>> outputs = np.zeros((2, 3, 4), "float32")
        >>> outputs[1, :, 0] = 1.0
        >>> result = snn.SimulationResult(outputs, timesteps=[1, 2], duration=2, samples=3)
        >>> [float(value) for value in result.accuracy([0, 0, 1])]  # argmax of equal values is class 0
        [0.6666666666666666, 0.6666666666666666]
    """

    def __init__(
        self,
        outputs: Any,
        timesteps: Any,
        *,
        duration: int,
        samples: int,
        spikes: dict[str, np.ndarray] | None = None,
        membrane_potential: dict[str, np.ndarray] | None = None,
        spike_counts: dict[str, np.ndarray] | None = None,
        sample_spike_counts: dict[str, np.ndarray] | None = None,
        synaptic_operations: dict[str, np.ndarray] | None = None,
        multiply_accumulates: dict[str, np.ndarray] | None = None,
        exit_timesteps: Any = None,
        from_logits: bool | None = None,
        windows: int = 1,
        workload: Workload | None = None,
    ) -> None:
        self.outputs = outputs
        self.timesteps = np.asarray(timesteps, dtype=np.int64)
        self.duration = int(duration)
        self.samples = int(samples)
        self.spikes = RecordedArrays("spikes", spikes)
        self.membrane_potential = RecordedArrays("membrane_potential", membrane_potential)
        self.spike_counts = spike_counts or {}
        self.sample_spike_counts = RecordedArrays("spike_counts", sample_spike_counts)
        self.synaptic_operations = synaptic_operations or {}
        self.multiply_accumulates = multiply_accumulates or {}
        exits = np.full(self.samples, self.duration) if exit_timesteps is None else exit_timesteps
        self.exit_timesteps = np.asarray(exits, dtype=np.int64)
        self.from_logits = from_logits
        self.windows = windows
        self.workload = workload

    @property
    def mean_timesteps(self) -> float:
        """Timesteps until the answer, the mean over all samples."""
        return float(self.exit_timesteps.mean())

    @property
    def latency(self) -> int:
        """Timesteps from the first input to the last output: all windows, of `duration` timesteps each."""
        return self.windows * self.duration

    @property
    def firing_rates(self) -> dict[str, float]:
        """Spikes per neuron and timestep, per population: the mean over its neurons and all samples."""
        return {name: float(rates.mean()) for name, rates in self.neuron_firing_rates.items()}

    @property
    def neuron_firing_rates(self) -> dict[str, np.ndarray]:
        """Spikes per timestep of each neuron, the mean over all samples: float64 `[...]` per population."""
        return {name: counts / self.exit_timesteps.sum() for name, counts in self.spike_counts.items()}

    def __repr__(self) -> str:
        """Names what there is."""
        recorded = [name for name in ("spikes", "membrane_potential", "sample_spike_counts") if getattr(self, name)]
        return (
            f"<SimulationResult: {self.samples} samples, {self.duration} timesteps, outputs after "
            f"{len(self.timesteps)} of them, {len(self.spike_counts)} populations, recorded: {recorded or 'nothing'}>"
        )

    def accuracy(self, y: Any, top_k: int = 1) -> Any:
        """Returns the fraction of samples that are classified correctly, one number per reported timestep.

        Args:
            y: Labels in the structure of the outputs: class indices `[samples]` (or `[samples, 1]`), or one-hot
                `[samples, classes]`. For an output of one unit, 0 or 1; the decision is at 0.5. Of several outputs, those
                that are no classes are left out of a dict, or None in a list.
            top_k: A sample counts as correct if its class is among the k largest outputs.

        Returns:
            float64 `[len(timesteps)]`, in the structure of the outputs.

        Raises:
            ValueError: If the labels' structure or number does not fit the outputs, or labels are no class indices.
        """
        if isinstance(self.outputs, np.ndarray):
            return _accuracy(self.outputs, y, top_k)
        if isinstance(self.outputs, dict) and isinstance(y, dict) and set(y) <= set(self.outputs):
            return {name: _accuracy(self.outputs[name], labels, top_k) for name, labels in y.items()}
        if isinstance(self.outputs, list) and isinstance(y, (list, tuple)) and len(y) == len(self.outputs):
            pairs = zip(self.outputs, y, strict=True)
            return [None if labels is None else _accuracy(outputs, labels, top_k) for outputs, labels in pairs]
        if isinstance(self.outputs, dict):
            expected, received = f"a dict with keys of {sorted(self.outputs)}", sorted(y) if isinstance(y, dict) else ""
        else:
            expected, received = f"a list of {len(self.outputs)} entries", ""
        raise ValueError(
            f"`y` must have the structure of the outputs. Expected {expected}. Received: {type(y).__name__} {received}"
        )

    def accuracy_latency_curve(
        self, y: Any, confidences: Any = CONFIDENCES, *, top_k: int = 1, **rule: Any
    ) -> AccuracyLatencyCurve:
        """Returns accuracy against mean timesteps with early exit, over the confidence at which samples answer.

        It is computed from the outputs after every timestep, without another simulation: a sample answers after the first of
        the reported timesteps at which `EarlyExit` lets it, and after the last at the latest.

        Args:
            y: Labels, see `accuracy`.
            confidences: The confidences, numbers from 0 to 1; by default from 0 to almost 1.
            top_k: As in `accuracy`.
            **rule: Other arguments of `EarlyExit`: `criterion`, `min_timesteps`, `patience`, `every`.

        Raises:
            ValueError: If there are outputs after one timestep only, they are no class probabilities or logits, or samples
                have exited early; and as `accuracy` and `EarlyExit`.

        Example:
            >>> import numpy as np, snn_toolbox_tf as snn
            >>> outputs = np.array([[[0.5, 0.5], [0.1, 0.9]], [[0.8, 0.2], [0.1, 0.9]]], "float32")
            >>> result = snn.SimulationResult(outputs, timesteps=[1, 2], duration=2, samples=2, from_logits=False)
            >>> curve = result.accuracy_latency_curve([0, 1], confidences=[0.75])
            >>> curve.mean_timesteps.tolist(), curve.accuracy.tolist()
            ([1.5], [1.0])
        """
        if self.from_logits is None or not isinstance(self.outputs, np.ndarray) or len(self.timesteps) < 2:
            raise ValueError(
                "An accuracy-latency curve needs class probabilities or logits of one output, after several timesteps: "
                f'`simulate(outputs="all")`. Received: {self!r}'
            )
        if (self.exit_timesteps < self.duration).any():
            raise ValueError(
                "An accuracy-latency curve needs the outputs of samples that run to the end: simulate without `early_exit`. "
                f"Received: {int((self.exit_timesteps < self.duration).sum())} of {self.samples} samples answered earlier"
            )
        places = EarlyExit(**rule).exits(
            self.outputs, self.timesteps, from_logits=self.from_logits, confidences=check_confidences(confidences)
        )
        labels = class_labels(y, *self.outputs.shape[1:])
        right = correct(self.outputs, labels, check_positive_integer(top_k, "top_k"))
        return AccuracyLatencyCurve(
            check_confidences(confidences),
            self.timesteps[places].mean(axis=1),
            right[places, np.arange(self.samples)].mean(axis=1),
        )

    def measures(self, y: Any, task: str = "auto") -> Any:
        """Returns how right outputs are that are no classes, one number per reported timestep.

        Args:
            y: Targets in the structure of the outputs: real numbers in their shape, or class indices (or one-hot) per
                position of a segmentation. Of several outputs, those that are left out are left out of a dict, or None in a
                list; class labels have an `accuracy` instead.
            task: "regression", "segmentation" or "boxes" (left, top, right, bottom); "auto": the targets decide.

        Returns:
            A dict by name, float64 `[len(timesteps)]` each: "r2", "root_mean_square_error" and "mean_absolute_error" of
            numbers, also "mean_box_iou" of boxes; "mean_iou" and "pixel_accuracy" of a segmentation. In the structure of
            the outputs.

        Raises:
            ValueError: If the targets do not fit, or they are class labels.

        Example:
            >>> import numpy as np, snn_toolbox_tf as snn
            >>> outputs = np.array([[[1.0], [1.0]], [[1.0], [2.5]]])  # after each of two timesteps, of two samples
            >>> result = snn.SimulationResult(outputs, timesteps=[1, 2], duration=2, samples=2)
            >>> result.measures([0.5, 2.5])["root_mean_square_error"].round(3).tolist()
            [1.118, 0.354]
        """
        if isinstance(self.outputs, np.ndarray):
            return check_and_measure(self.outputs, y, task)
        if isinstance(self.outputs, dict) and isinstance(y, dict) and set(y) <= set(self.outputs):
            return {name: check_and_measure(self.outputs[name], values, task, name) for name, values in y.items()}
        if isinstance(self.outputs, (list, tuple)) and isinstance(y, (list, tuple)) and len(y) == len(self.outputs):
            return [
                None if values is None else check_and_measure(output, values, task)
                for output, values in zip(self.outputs, y, strict=True)
            ]
        names = list(self.outputs) if isinstance(self.outputs, dict) else f"a list of {len(self.outputs)} arrays"
        raise ValueError(f"`y` must have the structure of the outputs. Expected {names}. Received: {type(y).__name__}")

    @classmethod
    def join(cls, parts: Sequence["SimulationResult"]) -> "SimulationResult":
        """Returns the result of all samples, from results of the same network and settings on some samples each."""
        first = parts[0]

        def total(field: str) -> dict[str, np.ndarray]:
            return {
                name: np.sum([getattr(part, field)[name] for part in parts], axis=0) for name in getattr(first, field)
            }

        def joined(field: str, axis: int) -> dict[str, np.ndarray]:
            return concatenate([dict(getattr(part, field)) for part in parts], axis)

        return cls(
            concatenate([part.outputs for part in parts], 1),
            first.timesteps,
            duration=first.duration,
            samples=sum(part.samples for part in parts),
            spikes=joined("spikes", 1),
            membrane_potential=joined("membrane_potential", 1),
            spike_counts=total("spike_counts"),
            sample_spike_counts=joined("sample_spike_counts", 0),
            synaptic_operations=joined("synaptic_operations", 0),
            multiply_accumulates=joined("multiply_accumulates", 0),
            exit_timesteps=np.concatenate([part.exit_timesteps for part in parts]),
            from_logits=first.from_logits,
            windows=first.windows,
            workload=first.workload
            and Workload.joined((part.workload, part.samples) for part in parts if part.workload),
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Writes the result to one .npz file, in one go: a half-written file is never left behind.

        Args:
            path: File name; `.npz` is appended if it has no such ending.
            overwrite: Whether an existing file may be replaced.

        Raises:
            FileExistsError: If the file exists and `overwrite` is False.
        """
        target = _npz_path(path)
        if target.exists() and not overwrite:
            raise FileExistsError(f"'{target}' exists. Pass `overwrite=True` or another path.")
        arrays: dict[str, Any] = {"timesteps": self.timesteps, "exit_timesteps": self.exit_timesteps}
        flat = keras.tree.flatten(self.outputs)
        arrays.update({f"outputs/{index}": array for index, array in enumerate(flat)})
        for field in _ARRAY_FIELDS:
            arrays.update({f"{field}/{name}": array for name, array in getattr(self, field).items()})
        structure = keras.tree.pack_sequence_as(self.outputs, list(range(len(flat))))
        meta = {"format": _FORMAT, "version": 1, "duration": self.duration, "samples": self.samples}
        meta |= {"structure": structure, "from_logits": self.from_logits, "windows": self.windows}
        meta["workload"] = self.workload and self.workload.as_dict()
        arrays["meta"] = np.array(json.dumps(meta))
        with atomic_files.replacing(target) as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SimulationResult":
        """Reads a result that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds something else.
        """
        source = pathlib.Path(path)
        source = source if source.exists() else _npz_path(source)
        if not source.exists():
            raise FileNotFoundError(f"No simulation result at '{path}'. Expected a file written by `result.save`.")
        try:
            return cls._from_arrays(npz_files.read_arrays(source))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"'{source}' is not a simulation result written by `result.save`, or it is damaged: {error}."
            ) from error

    @classmethod
    def _from_arrays(cls, arrays: dict[str, np.ndarray]) -> "SimulationResult":
        meta = json.loads(str(arrays["meta"]))
        if meta["format"] != _FORMAT:
            raise ValueError(f"its format is {meta['format']!r}")
        fields: dict[str, Any] = {field: {} for field in _ARRAY_FIELDS}
        for key, array in arrays.items():
            field, _, name = key.partition("/")
            if field in fields:
                fields[field][name] = array
        outputs = keras.tree.map_structure(lambda index: arrays[f"outputs/{index}"], meta["structure"])
        result = cls(outputs, arrays["timesteps"], duration=meta["duration"], samples=meta["samples"], **fields)
        # Earlier versions knew of no early exit.
        result.exit_timesteps = arrays.get("exit_timesteps", result.exit_timesteps)
        result.from_logits, result.windows = meta.get("from_logits"), meta.get("windows", 1)
        if meta.get("workload"):
            result.workload = Workload.from_dict(meta["workload"])
        return result


def _npz_path(path: str | os.PathLike[str]) -> pathlib.Path:
    path = pathlib.Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def _accuracy(outputs: np.ndarray, y: Any, top_k: int) -> np.ndarray:
    if outputs.ndim != 3:
        raise ValueError(f"Accuracy needs an output [samples, classes]. Received outputs of shape {outputs.shape[1:]}.")
    labels = class_labels(y, *outputs.shape[1:])
    return correct(outputs, labels, check_positive_integer(top_k, "top_k")).mean(axis=1)
