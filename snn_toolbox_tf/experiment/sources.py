"""The model and the data of a run: found, read and checked before any long work."""

import dataclasses
import hashlib
import json
import os
import pathlib
import zipfile
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.data import Batch, as_arrays
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.simulation.classes import class_labels

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclasses.dataclass(frozen=True)
class Data:
    """Arrays of a run, in the structure of the model's inputs; what is None is read from files.

    Attributes:
        x_test: Samples to simulate, `[samples, ...]`.
        y_test: Their labels: class indices or one-hot; a dict by output name if there are several outputs.
        x_norm: Calibration data.
    """

    x_test: Any = None
    y_test: Any = None
    x_norm: Any = None


@dataclasses.dataclass(frozen=True)
class TestData:
    """Checked samples and labels.

    Attributes:
        x: An array per input name.
        labels: Class indices per output name, for those outputs that are classes.
        indices: Position of each sample in the data that was given.
        notes: What the reader of the results should know.
    """

    x: Batch
    labels: dict[str, np.ndarray]
    indices: np.ndarray
    notes: tuple[str, ...] = ()

    #: Not a class of tests, whatever its name says to pytest.
    __test__ = False

    def part(self, start: int, stop: int) -> Batch:
        """Returns float32 arrays of some samples, per input name."""
        return {name: np.asarray(array[start:stop], np.float32) for name, array in self.x.items()}

    def __len__(self) -> int:
        return len(self.indices)


def load_model(settings: Settings, name: str | None = None) -> keras.Model:
    """Reads a Keras model from path_wd.

    Args:
        settings: The settings; [paths] says where the model is.
        name: File name, with or without ending; filename_ann if None.

    Raises:
        ConfigurationError: If there is no such file, or it holds no model that Keras can read.
    """
    wanted = settings.paths.filename_ann if name is None else name
    if not wanted:
        raise ConfigurationError("[paths] filename_ann: Expected the file name of a Keras model. Received: ''.")
    base = pathlib.Path(settings.paths.path_wd) / wanted
    found = [
        path for path in (base.with_name(base.name + suffix) for suffix in ("", *MODEL_SUFFIXES)) if path.is_file()
    ]
    if not found:
        there = sorted(p.name for p in base.parent.glob("*") if p.suffix in MODEL_SUFFIXES)
        raise ConfigurationError(
            f"There is no model '{base}' (.keras or .h5). Models in that folder: {', '.join(there) or 'none'}."
        )
    try:
        return _read_model(found[0])
    # Keras raises whatever a damaged file, an unknown layer or another version happens to trip over.
    except Exception as error:
        reason = " ".join(str(error).split())[:500].rstrip(".")
        raise ConfigurationError(
            f"Keras {keras.__version__} cannot read the model '{found[0]}': {reason}. "
            "Expected a model that `model.save` wrote as .keras or .h5."
        ) from error


def _read_model(path: pathlib.Path) -> keras.Model:
    architecture = path.with_suffix(".json")
    if path.suffix in (".h5", ".hdf5") and architecture.is_file():
        # snn_toolbox's other way: the architecture in a file of its own, weights beside it.
        model = keras.models.model_from_json(architecture.read_text())
        model.load_weights(path)
        return model
    return keras.saving.load_model(path, compile=False)


def load_arrays(path: str | os.PathLike[str]) -> Any:
    """Returns what an npz file holds: its only array, or a dict of them.

    Raises:
        ConfigurationError: If there is no such file, or it is damaged, empty or holds Python objects.
    """
    source = pathlib.Path(path)
    if not source.is_file():
        raise ConfigurationError(f"There is no data file '{source}'. Expected one written by `numpy.savez`.")
    try:
        with np.load(source, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ConfigurationError(
                    f"'{source}' is a single .npy array. Expected .npz: `numpy.savez(path, array)`."
                )
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"'{source}' cannot be read as an npz file of plain arrays: {error}. Expected one written by `numpy.savez`."
        ) from error
    if not arrays:
        raise ConfigurationError(f"'{source}' holds no array. Expected one array, or one per input.")
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def data_folder(settings: Settings) -> pathlib.Path:
    """Returns the folder of the data files."""
    return pathlib.Path(settings.paths.dataset_path or settings.paths.path_wd)


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
        given = load_arrays(path)
    frames = settings.input_mode == "frames"
    arrays = as_arrays(given, graph, argument="x_norm", merge_frames=frames)
    count, wanted = len(next(iter(arrays.values()))), settings.normalization.num_samples
    if wanted is not None and wanted > count:
        raise ConfigurationError(f"[normalization] num_samples = {wanted}, but x_norm has only {count} samples.")
    cut = {name: array[:wanted] for name, array in arrays.items()}
    return keras.tree.map_structure(lambda name: cut[name], graph.input_structure)


def load_test_data(settings: Settings, data: Data, graph: Graph) -> TestData:
    """Returns the checked samples that are to be simulated.

    Raises:
        ConfigurationError: If a file is missing, or the chosen samples are not there.
        TypeError, ValueError: If the arrays do not fit the model.
    """
    folder = data_folder(settings)
    x = load_arrays(folder / "x_test.npz") if data.x_test is None else data.x_test
    frames = settings.input_mode == "frames"
    arrays = as_arrays(x, graph, argument="x_test", frames=frames)
    if frames:
        _check_frames(settings, arrays)
    count = len(next(iter(arrays.values())))
    indices = _chosen(settings, count)
    y = data.y_test
    if y is None and data.x_test is None and (folder / "y_test.npz").is_file():
        y = load_arrays(folder / "y_test.npz")
    labels, notes = _labels(y, graph, count)
    return TestData(
        {name: _taken(array, indices) for name, array in arrays.items()},
        {name: values[indices] for name, values in labels.items()},
        indices,
        notes,
    )


def _taken(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Returns chosen samples; the first ones without a copy."""
    first = np.array_equal(indices, np.arange(len(indices)))
    return array[: len(indices)] if first else array[indices]


def _check_frames(settings: Settings, arrays: Batch) -> None:
    shortest = min(array.shape[1] for array in arrays.values())
    if shortest < settings.timesteps:
        raise ConfigurationError(
            f"x_test has {shortest} frames per sample, fewer than the {settings.timesteps} timesteps of [simulation] "
            "duration / dt."
        )


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


def _labels(y: Any, graph: Graph, samples: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Returns class indices by output, and what to say about outputs without."""
    if y is None:
        return {}, ("There are no labels (y_test.npz): the spiking network is compared with its source only.",)
    readouts = {readout.name: graph[readout.node].shape for readout in graph.readouts}
    given = y if isinstance(y, dict) else {next(iter(readouts)): y}
    unknown = sorted(set(given) - set(readouts))
    if unknown or (len(readouts) > 1 and not isinstance(y, dict)):
        raise ConfigurationError(
            f"y_test must name outputs of the model. Expected arrays named {sorted(readouts)}. "
            f"Received: {sorted(given) if isinstance(y, dict) else 'one array'}"
        )
    labels, notes = {}, []
    for name, values in given.items():
        array, shape = np.asarray(values), readouts[name]
        if len(shape) != 1 or _is_regression_target(array, (samples, *shape)):
            notes.append(f"y_test for output '{name}' holds no class labels: no accuracy is computed for it.")
            continue
        labels[name] = class_labels(array, samples, shape[0])
    return labels, tuple(notes)


def _is_regression_target(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether these are real numbers in the shape of the output, and no classes."""
    if array.dtype.kind != "f" or array.size != int(np.prod(shape)) or len(array) != shape[0]:
        return False
    values = array.reshape(shape)
    binary = bool(np.isin(values, (0.0, 1.0)).all())
    return not binary or (shape[-1] > 1 and not bool((values.sum(axis=-1) == 1).all()))


def content_hash(model: keras.Model) -> str:
    """Returns a digest of a model's architecture and weights."""
    architecture = json.dumps(json.loads(model.to_json()), sort_keys=True)
    return array_hash([np.frombuffer(architecture.encode(), np.uint8), *model.get_weights()])


def array_hash(arrays: Any) -> str:
    """Returns a digest of arrays in any structure."""
    digest = hashlib.sha256()
    for array in keras.tree.flatten(arrays):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
