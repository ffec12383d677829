"""Models and arrays from files."""

import dataclasses
import os
import pathlib
from typing import Any

import keras

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.config.files import find_arrays, find_model
from snn_toolbox_tf.experiment.notes import noted
from snn_toolbox_tf.foundation.npz_files import read_arrays
from snn_toolbox_tf.model_files import ModelFileError
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
    path = find_model(settings, name)
    try:
        return read_model(path)
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
    source = find_arrays(path)
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
