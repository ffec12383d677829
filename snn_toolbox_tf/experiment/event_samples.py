"""Events of event cameras as the samples of a run, as snn_toolbox makes them of its DVS settings."""

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.events import EventError, Recording, read_aedat, read_nmnist, scale_frames, to_frames, to_timesteps
from snn_toolbox_tf.events.aedat import CHIPS, chip_in_header
from snn_toolbox_tf.events.event_array import inside
from snn_toolbox_tf.events.frame_layout import channels_of
from snn_toolbox_tf.events.reading import SUFFIXES, holds_events, recordings_of
from snn_toolbox_tf.experiment.sources import data_folder, load_arrays
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.network import inputs_of


class EventSamples(NamedTuple):
    """Samples that were events.

    Attributes:
        x: Frames of spikes, int8 `[samples, timesteps, ...]`, or sums of events, float32 `[samples, ...]`.
        y: The class of each sample, or None.
        summed: What the source gets if x are frames of spikes: the sums, float32 `[samples, 1, ...]`.
        notes: What the reader of the results should know.
    """

    x: np.ndarray
    y: np.ndarray | None
    summed: np.ndarray | None
    notes: tuple[str, ...]


class _Sensor(NamedTuple):
    """A recording, and the size of the sensor that it is from, if that is known."""

    recording: Recording
    size: tuple[int, int] | None


def event_samples(settings: Settings, graph: Graph) -> EventSamples | None:
    """Returns the samples of a run whose data are events; None if they are not.

    Raises:
        ConfigurationError: If files or folders are missing, not usable, or do not fit the network.
    """
    if settings.input.dataset_format == "aedat":
        recordings = _recordings_of_folder(settings)
    else:
        path = data_folder(settings) / "x_test.npz"
        arrays = _by_name(load_arrays(path)) if path.is_file() else {}
        if not holds_events(arrays):
            return None
        recordings = _recordings_of_arrays(settings, arrays, path)
    return _samples(settings, graph, recordings)


def summed_calibration_events(given: Any, settings: Settings, graph: Graph) -> Any:
    """Returns calibration data; if they are events, the sums of those of each sample."""
    arrays = _by_name(given)
    if not holds_events(arrays):
        return given
    layout = _Layout(settings, graph)
    recordings = _recordings_of_arrays(settings, arrays, data_folder(settings) / "x_norm.npz")
    return np.concatenate([layout.summed(layout.cut(*sensor)) for sensor in recordings])


def _by_name(given: Any) -> dict[str, np.ndarray]:
    return given if isinstance(given, dict) else {"events": np.asarray(given)}


def _recordings_of_arrays(settings: Settings, arrays: dict[str, np.ndarray], path: pathlib.Path) -> Iterator[_Sensor]:
    try:
        recordings = recordings_of(arrays)
    except EventError as error:
        raise ConfigurationError(f"'{path}': {error}") from error
    labels = path.with_name("y_test.npz")
    if path.name == "x_test.npz" and "labels" not in arrays and labels.is_file():
        given = np.asarray(load_arrays(labels))
        classes = given.argmax(axis=-1) if given.ndim == 2 else given
        if len(classes) != len(recordings):
            raise ConfigurationError(
                f"'{labels}' has {len(classes)} labels, and '{path}' {len(recordings)} recordings. Expected one for each."
            )
        recordings = [Recording(found.events, label) for found, label in zip(recordings, classes, strict=True)]
    return iter([_Sensor(found, settings.input.chip_size) for found in recordings])


def _recordings_of_folder(settings: Settings) -> Iterator[_Sensor]:
    """Yields the recordings of all folders; what is wrong with the folders is said at once."""
    folder = data_folder(settings)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    files = {name: sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in SUFFIXES) for name in names}
    classes = dict(settings.input.label_dict)
    if not classes:
        # Others are results of runs, for example.
        classes = {name: index for index, name in enumerate(name for name in names if files[name])}
    missing = [name for name in classes if not files.get(name)]
    unknown = [name for name in names if files[name] and name not in classes]
    if not classes or missing or unknown:
        raise ConfigurationError(
            f"[input] dataset_format = aedat: expected in '{folder}' a folder per class with recordings "
            f"({', '.join(SUFFIXES)}), those of label_dict if it is given. Without recordings: {missing or 'none'}; not in "
            f"label_dict: {unknown or 'none'}; folders: {names or 'none'}."
        )
    return (_read(settings, path, label) for name, label in classes.items() for path in files[name])


def _read(settings: Settings, path: pathlib.Path, label: int) -> _Sensor:
    size = settings.input.chip_size
    try:
        if path.suffix.lower() == ".bin":
            # What is outside is left out later.
            return _Sensor(Recording(read_nmnist(path, sensor_size=(256, 256)), label), size)
        named = chip_in_header(path)
        if named in CHIPS:
            return _Sensor(Recording(read_aedat(path, as_stored=True), label), size or CHIPS[str(named)][:2])
        chip = None
        if named is None and size is not None:
            # Of the same addresses are all of the DAVIS family.
            chip = "dvs128" if size == CHIPS["dvs128"][:2] or path.suffix.lower() == ".dat" else "davis640"
        return _Sensor(Recording(read_aedat(path, chip=chip, as_stored=True), label), size)
    except EventError as error:
        hint = " [input] chip_size says which one it is." if "Pass `chip`" in str(error) else ""
        raise ConfigurationError(f"{error}{hint}") from error


def _samples(settings: Settings, graph: Graph, recordings: Iterator[_Sensor]) -> EventSamples:
    layout, wanted = _Layout(settings, graph), _wanted(settings)
    thin = settings.input_mode == "frames"
    spikes: list[np.ndarray] = []
    sums: list[np.ndarray] = []
    labels: list[Any] = []
    outside = total = 0
    for sensor in recordings:
        events, size, left_out = layout.cut(*sensor)
        outside, total = outside + left_out, total + len(sensor.recording.events)
        frames = layout.summed((events, size))
        sums.append(frames)
        labels += [sensor.recording.label] * len(frames)
        if thin:
            spikes += layout.thin((events, size), len(frames), int(settings.timesteps))
        if wanted is not None and len(labels) >= wanted:
            break
    summed = np.concatenate(sums)
    y = None if labels[0] is None else np.asarray(labels)
    notes = []
    if outside:
        notes.append(f"{outside:,} of {total:,} events lie outside the sensor ([input] chip_size) and were left out.")
    if not thin:
        return EventSamples(summed, y, None, tuple(notes))
    x = np.stack(spikes)
    unfinished = int(np.any(x[:, -1] != 0, axis=(1, 2, 3)).sum())
    if unfinished:
        notes.append(
            f"{unfinished} of {len(x)} samples have events up to their last timestep; a longer [simulation] duration shows "
            "what may follow."
        )
    return EventSamples(x, y, summed[:, np.newaxis], tuple(notes))


def _wanted(settings: Settings) -> int | None:
    """Returns how many samples are needed; None for all."""
    listed = settings.simulation.sample_idxs_to_test
    return max(listed) + 1 if listed else settings.simulation.num_to_test


class _Layout:
    """How events become the input of one network."""

    def __init__(self, settings: Settings, graph: Graph) -> None:
        given = self._given = settings.input
        nodes = inputs_of(graph)
        shape, channels = nodes[0].shape, channels_of(given.frame_gen_method)
        self._channels_first = len(shape) == 3 and shape[-1] != channels and shape[0] == channels
        if len(nodes) > 1 or len(shape) != 3 or (shape[-1] != channels and not self._channels_first):
            raise ConfigurationError(
                f"[input] frame_gen_method = {given.frame_gen_method} gives frames with {channels} channel(s). Expected a "
                "network with one input of two axes and these channels. "
                f"Received inputs: {[tuple(node.shape) for node in nodes]}"
            )
        axes = shape[1:] if self._channels_first else shape[:2]
        self._frame_size = axes if given.is_x_first else axes[::-1]
        self._options: dict[str, Any] = {
            "method": given.frame_gen_method,
            "frame_size": self._frame_size,
            "flip_x": given.is_x_flipped,
            "flip_y": given.is_y_flipped,
            "x_first": given.is_x_first,
            "maxpool_subsampling": given.maxpool_subsampling,
            "clip_three_sigma": given.do_clip_three_sigma,
        }

    def cut(self, recording: Recording, size: tuple[int, int] | None) -> tuple[Any, ...]:
        """Returns the events inside the sensor, its size, and how many are outside."""
        size = size or self._frame_size
        kept = inside(recording.events, size)
        if not kept.any():
            raise ConfigurationError(
                f"A recording with label {recording.label} has no events on a sensor of {size[0]} x {size[1]} pixels. "
                "Expected some; [input] chip_size is width and height of the sensor."
            )
        return recording.events[kept], size, int((~kept).sum())

    def summed(self, cut: tuple[Any, ...]) -> np.ndarray:
        """Returns the scaled sums of a recording's samples, `[samples, ...]`."""
        events, size = cut[:2]
        count = self._given.num_dvs_events_per_sample
        incomplete = "keep" if len(events) < count else "drop"
        frames = to_frames(events, size, event_count=count, incomplete=incomplete, **self._options)
        return self._placed(scale_frames(frames))

    def thin(self, cut: tuple[Any, ...], samples: int, timesteps: int) -> list[np.ndarray]:
        """Returns the frames of spikes of each of a recording's samples."""
        events, size = cut[:2]
        count, width = self._given.num_dvs_events_per_sample, self._given.eventframe_width
        parts = [events[count * sample : count * (sample + 1)] for sample in range(samples)]
        return [self._placed(to_timesteps(part, size, timesteps, frame_width=width, **self._options)) for part in parts]

    def _placed(self, frames: np.ndarray) -> np.ndarray:
        return np.moveaxis(frames, -1, 1) if self._channels_first else frames
