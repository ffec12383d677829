"""The samples of a run, chosen and checked before any long work."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.experiment.event_samples import event_samples, summed_calibration_events
from snn_toolbox_tf.experiment.sources import Data, data_folder, load_arrays
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.network.input_data import Batch, as_arrays, by_input_name, in_structure
from snn_toolbox_tf.tasks import AUTO, Task, checked_targets, output_names, task_of
from snn_toolbox_tf.tasks.inference import stated_by_name


@dataclasses.dataclass(frozen=True)
class TestSamples:
    """Checked samples and labels.

    Attributes:
        x: An array per input name.
        labels: Class indices per output name, for those outputs that are classes.
        indices: Position of each sample in the data that was given.
        notes: What the reader of the results should know.
        source_x: What the source gets, where that is not the mean of the frames: `[samples, 1, ...]` per input name.
        targets: Numbers, boxes or masks per output name, for those outputs that are no classes.
        tasks: What each output stands for.
    """

    x: Batch
    labels: dict[str, np.ndarray]
    indices: np.ndarray
    notes: tuple[str, ...] = ()
    source_x: Batch | None = None
    targets: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    tasks: dict[str, Task] = dataclasses.field(default_factory=dict)

    def part(self, start: int, stop: int) -> Batch:
        """Returns float32 arrays of some samples, per input name."""
        return {name: np.asarray(array[start:stop], np.float32) for name, array in self.x.items()}

    def source_part(self, start: int, stop: int) -> Batch:
        """Returns what the source gets of some samples."""
        if self.source_x is None:
            return self.part(start, stop)
        return {name: array[start:stop] for name, array in self.source_x.items()}

    def __len__(self) -> int:
        return len(self.indices)


def load_calibration_data(settings: Settings, data: Data, graph: Graph) -> Any:
    """Returns checked calibration data in the structure of the model's inputs, or None if it is not wanted."""
    if not settings.tools.normalize:
        return None
    given = data.x_norm
    if given is None:
        path = data_folder(settings) / "x_norm.npz"
        if not path.is_file():
            raise ConfigurationError(
                f"There is no calibration data '{path}'. Write a few hundred training inputs there with "
                "`numpy.savez(path, x)`, or set [tools] normalize = False, which costs accuracy."
            )
        given = summed_calibration_events(load_arrays(path), settings, graph)
    frames = settings.input_mode == "frames"
    arrays = as_arrays(given, graph, argument="x_norm", merge_frames=frames)
    wanted = settings.normalization.num_samples
    if wanted is not None:
        # A sequence of frames is one sample here, whatever number of frames it has.
        parts = {name: np.asarray(part) for name, part in by_input_name(given, graph, "x_norm").items()}
        count = len(next(iter(parts.values())))
        if wanted > count:
            raise ConfigurationError(f"[normalization] num_samples = {wanted}, but x_norm has only {count} samples.")
        first = {name: part[:wanted] for name, part in parts.items()}
        arrays = as_arrays(first, graph, argument="x_norm", merge_frames=frames)
    return in_structure(arrays, graph)


def load_samples(settings: Settings, data: Data, graph: Graph) -> TestSamples:
    """Returns the checked samples that are to be simulated.

    Raises:
        ConfigurationError: If a file is missing, or the chosen samples are not there.
        TypeError, ValueError: If the arrays do not fit the model.
    """
    folder = data_folder(settings)
    shown = event_samples(settings, graph) if data.x_test is None else None
    if shown is not None:
        data = Data(shown.x, shown.y if data.y_test is None else data.y_test)
    x = load_arrays(folder / "x_test.npz") if data.x_test is None else data.x_test
    frames = settings.input_mode == "frames"
    arrays = as_arrays(x, graph, argument="x_test", frames=frames)
    timesteps = settings.timesteps
    # With frames, it is never to be found.
    if frames and isinstance(timesteps, int):
        arrays = _used_frames(timesteps, arrays)
    count = len(next(iter(arrays.values())))
    indices = _chosen(settings, count)
    y = data.y_test
    if y is None and data.x_test is None and (folder / "y_test.npz").is_file():
        y = load_arrays(folder / "y_test.npz")
    given = _targets_by_name(y, graph)
    stated = stated_by_name(graph, settings.task)
    tasks = {r.name: task_of(graph, r, given.get(r.name), stated.get(r.name, AUTO)) for r in graph.readouts}
    labels, targets = dict[str, np.ndarray](), dict[str, np.ndarray]()
    for name, values in given.items():
        kind, shape = tasks[name].kind, _readout_shapes(graph)[name]
        (labels if kind == "classes" else targets)[name] = checked_targets(kind, values, count, shape, name)[indices]
    for name in labels:
        _check_top_k(settings.simulation.top_k, name, _readout_shapes(graph)[name][0])
    return TestSamples(
        {name: _taken(array, indices) for name, array in arrays.items()},
        labels,
        indices,
        (*_notes(y, tasks), *(shown.notes if shown else ())),
        None if shown is None or shown.summed is None else dict.fromkeys(arrays, shown.summed[indices]),
        targets,
        tasks,
    )


def _used_frames(timesteps: int, arrays: Batch) -> Batch:
    """Returns the frames that are simulated: the network runs through as many as there are timesteps."""
    shortest = min(array.shape[1] for array in arrays.values())
    if shortest < timesteps:
        raise ConfigurationError(
            f"x_test has {shortest} frames per sample, fewer than the {timesteps} timesteps of [simulation] duration / dt."
        )
    return {name: array[:, :timesteps] for name, array in arrays.items()}


def _taken(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Returns chosen samples; the first ones without a copy."""
    first = np.array_equal(indices, np.arange(len(indices)))
    return array[: len(indices)] if first else array[indices]


def _chosen(settings: Settings, count: int) -> np.ndarray:
    wanted, listed = settings.simulation.num_to_test, settings.simulation.sample_idxs_to_test
    if listed:
        if max(listed) >= count:
            raise ConfigurationError(
                f"[simulation] sample_idxs_to_test: there is no sample {max(listed)}; x_test has {count} samples."
            )
        chosen = np.asarray(listed, np.int64)
    elif wanted is not None and wanted > count:
        raise ConfigurationError(f"[simulation] num_to_test = {wanted}, but x_test has only {count} samples.")
    else:
        chosen = np.arange(count if wanted is None else wanted)
    if settings.output.sample_to_plot >= len(chosen):
        raise ConfigurationError(
            f"[output] sample_to_plot = {settings.output.sample_to_plot}, but only {len(chosen)} samples are simulated."
        )
    return chosen


def _check_top_k(top_k: int, name: str, classes: int) -> None:
    if top_k > 1 and top_k >= classes:
        raise ConfigurationError(
            f"[simulation] top_k = {top_k}: output '{name}' has {classes} classes, so that every sample would be correct. "
            "Expected fewer than there are classes."
        )


def _readout_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {readout.name: graph.output_shape(readout) for readout in graph.readouts}


def _targets_by_name(y: Any, graph: Graph) -> dict[str, Any]:
    """Returns what was given, by name of an output."""
    if y is None:
        return {}
    shapes = _readout_shapes(graph)
    given = y if isinstance(y, dict) else {next(iter(shapes)): y}
    names = output_names(graph)
    unknown = sorted(set(given) - set(names))
    if unknown or (len(shapes) > 1 and not isinstance(y, dict)):
        raise ConfigurationError(
            f"y_test must name outputs of the model. Expected arrays named {sorted(shapes)}. "
            f"Received: {sorted(given) if isinstance(y, dict) else 'one array'}"
        )
    return {names[name]: values for name, values in given.items()}


def _notes(y: Any, tasks: dict[str, Task]) -> tuple[str, ...]:
    """Returns what to say about outputs that are no classes, and where nothing is known of them."""
    notes = [f"Output '{name}' is taken for {task}." for name, task in tasks.items() if task.kind != "classes"]
    if y is None:
        notes.insert(0, "There are no labels (y_test.npz): the spiking network is compared with its source only.")
    return tuple(notes)
