"""Models and arrays from files."""

import dataclasses
import os
import pathlib
from typing import Any

import keras

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.experiment.notes import noted
from snn_toolbox_tf.foundation.npz_files import read_arrays
from snn_toolbox_tf.model_files import MODEL_SUFFIXES, ModelFileError
from snn_toolbox_tf.model_files import load_model as read_model


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


def load_model(settings: Settings, name: str | None = None) -> keras.Model:
    """Reads a Keras model from path_wd.

    Args:
        settings: The settings; [paths] says where the model is.
        name: File name, with or without ending; filename_ann if None.

    Raises:
        ConfigurationError: If there is no such file, or it holds no model that can be read.
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
        return read_model(found[0])
    except ModelFileError as error:
        raise ConfigurationError(str(error)) from error


def load_noted(settings: Settings) -> tuple[Settings, keras.Model]:
    """Reads the source model; returns it and the settings with a note on what reading it took, for the results.

    Args:
        settings: The settings; [paths] says where the model is.

    Raises:
        ConfigurationError: If there is no such file, or it holds no model that can be read.
    """
    notes: list[str] = []
    with noted(notes):
        model = load_model(settings)
    return dataclasses.replace(settings, notes=(*settings.notes, *notes)), model


def load_arrays(path: str | os.PathLike[str]) -> Any:
    """Returns what an npz file holds: its only array, or a dict of them.

    Raises:
        ConfigurationError: If there is no such file, or it is damaged, empty or holds Python objects.
    """
    source = pathlib.Path(path)
    if not source.is_file():
        raise ConfigurationError(
            f"There is no data file '{source}'. Expected one written by `numpy.savez`; [paths] dataset_path "
            "(--dataset-path) names the folder of x_test.npz, y_test.npz and x_norm.npz."
        )
    try:
        arrays = read_arrays(source)
    except ValueError as error:
        raise ConfigurationError(
            f"'{source}' cannot be read as an npz file of plain arrays: {error}. Expected one written by `numpy.savez`."
        ) from error
    if not arrays:
        raise ConfigurationError(f"'{source}' holds no array. Expected one array, or one per input.")
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def data_folder(settings: Settings) -> pathlib.Path:
    """Returns the folder of the data files."""
    return pathlib.Path(settings.paths.dataset_path or settings.paths.path_wd)
