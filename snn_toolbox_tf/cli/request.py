"""What a command is asked to do, read and checked before TensorFlow is imported."""

import argparse
import dataclasses
import os
import pathlib
from typing import Any

from snn_toolbox_tf.config import ConfigurationError, Settings, read_settings, read_values, resolve_paths
from snn_toolbox_tf.config.files import MODEL_SUFFIXES, find_arrays, find_model, snn_name
from snn_toolbox_tf.config.ini import PATH_KEYS


@dataclasses.dataclass(frozen=True)
class Request:
    """What a command is asked to do.

    Attributes:
        settings: Those of a configuration file, or the usual ones for a model; overridden by flags.
        flags: The settings that were given as flags, by key.
        configured: Whether a configuration file was given, and not a model.
        output: Where `convert` writes.
        resume: Whether to go on with an unfinished run.
        calibration_data: A file in place of x_norm.npz.
        study: Which study is asked for.
    """

    settings: Settings
    flags: dict[str, Any]
    configured: bool
    output: pathlib.Path
    resume: bool = False
    calibration_data: pathlib.Path | None = None
    study: str = ""


def read_request(arguments: argparse.Namespace) -> Request:
    """Returns what the arguments ask for.

    Args:
        arguments: What the parser gave.

    Raises:
        FileNotFoundError: If there is no such configuration file.
        ConfigurationError: If a file or a flag is not usable.
    """
    source = pathlib.Path(arguments.source)
    # Anything but a model: snn_toolbox's files are often called `config`.
    configured = source.suffix not in MODEL_SUFFIXES
    if configured:
        settings = read_settings(source)
    elif arguments.command in ("evaluate", "export"):
        settings = _of_model(source, filename_snn=source.name, convert=False, evaluate_ann=False)
    else:
        settings = _of_model(source, filename_ann=source.name)
    flags = _flags_of(arguments)
    settings = settings.replace(**flags)
    output = pathlib.Path(settings.paths.path_wd, f"{snn_name(settings)}.keras")
    if arguments.command == "run":
        return Request(settings, flags, configured, output, resume=arguments.resume)
    if arguments.command == "study":
        return Request(settings, flags, configured, output, resume=arguments.resume, study=arguments.study)
    if arguments.command == "export":
        settings = settings.replace(simulate=bool(settings.export.warmup_samples), evaluate_ann=False)
        if settings.export.export_format is None:
            raise ConfigurationError(
                "Expected a format to export to: --format serving, nir, tflite or keras, or [export] export_format."
            )
        if arguments.output:
            settings = settings.replace(export_path=os.path.abspath(arguments.output))
        return Request(settings, flags, configured, output)
    if arguments.command == "convert":
        settings = settings.replace(simulate=False, convert=True)
        output = pathlib.Path(arguments.output) if arguments.output else output
        _check_output(output, settings)
        data = find_arrays(arguments.calibration_data) if arguments.calibration_data else None
        return Request(settings, flags, configured, output, calibration_data=data)
    return Request(settings, flags, configured, output)


def _of_model(source: pathlib.Path, **values: Any) -> Settings:
    settings = resolve_paths(Settings().replace(path_wd=str(source.parent), **values), os.getcwd())
    find_model(settings, source.name)
    return settings


def _flags_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings that were given as flags, by key; their folders start at the working directory."""
    given = {
        name.removeprefix("setting_"): value
        for name, value in vars(arguments).items()
        if name.startswith("setting_") and value is not None
    }
    given |= read_values({key: value for key, value in given.items() if isinstance(value, str)})
    return given | {key: os.path.abspath(given[key]) for key in PATH_KEYS if given.get(key)}


def _check_output(target: pathlib.Path, settings: Settings) -> None:
    if target.suffix != ".keras":
        raise ConfigurationError(f"--output: Expected a file name that ends in .keras. Received: '{target}'.")
    if target.is_dir():
        raise ConfigurationError(f"--output: '{target}' is a folder. Expected a file name that ends in .keras.")
    if target.exists() and not settings.output.overwrite:
        raise ConfigurationError(f"'{target}' exists. Choose another --output, or replace it with --overwrite.")
    if not target.parent.is_dir():
        raise ConfigurationError(f"--output: there is no folder '{target.parent}'.")
