"""Which files the settings and arguments mean; reading models and arrays is the experiment's part."""

import os
import pathlib

from snn_toolbox_tf.config.section import ConfigurationError
from snn_toolbox_tf.config.settings import Settings

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


def find_model(settings: Settings, name: str | None = None) -> pathlib.Path:
    """Returns the path of a model in path_wd.

    Args:
        settings: The settings.
        name: File name, with or without ending; filename_ann if None.

    Raises:
        ConfigurationError: If there is no such file.
    """
    wanted = settings.paths.filename_ann if name is None else name
    if not wanted:
        raise ConfigurationError("[paths] filename_ann: Expected the file name of a Keras model. Received: ''.")
    base = pathlib.Path(settings.paths.path_wd) / wanted
    for path in (base.with_name(base.name + suffix) for suffix in ("", *MODEL_SUFFIXES)):
        if path.is_file():
            return path
    there = sorted(path.name for path in base.parent.glob("*") if path.suffix in MODEL_SUFFIXES)
    raise ConfigurationError(
        f"There is no model '{base}' (.keras or .h5). Models in that folder: {', '.join(there) or 'none'}."
    )


def find_arrays(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of a data file.

    Raises:
        ConfigurationError: If there is no such file.
    """
    source = pathlib.Path(path)
    if not source.is_file():
        raise ConfigurationError(
            f"There is no data file '{source}'. Expected one written by `numpy.savez`; [paths] dataset_path "
            "(--dataset-path) names the folder of x_test.npz, y_test.npz and x_norm.npz."
        )
    return source


def snn_name(settings: Settings, source_name: str = "ann") -> str:
    """Returns the file name of the converted network, without ending.

    Args:
        settings: The settings.
        source_name: Name of a source that comes from no file.
    """
    return settings.paths.filename_snn.removesuffix(".keras") or f"{ann_stem(settings) or source_name}_snn"


def file_stem(settings: Settings, source_name: str) -> str:
    """Returns the name of the converted network within a run's folder: `snn_name` without folders."""
    return pathlib.PurePath(snn_name(settings, source_name)).name


def ann_stem(settings: Settings) -> str:
    """Returns the file name of the source model, without ending; "" if it comes from no file."""
    ann = pathlib.PurePath(settings.paths.filename_ann)
    return ann.stem if ann.suffix in MODEL_SUFFIXES else ann.name
