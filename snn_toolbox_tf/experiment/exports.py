"""What `export`, and a run that is told to, write for use elsewhere; checked before any long work."""

import contextlib
import pathlib
import tempfile
from typing import Any

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.config.files import snn_name
from snn_toolbox_tf.experiment.run_folder import holds_run
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.export.serving import check_asked, export_serving
from snn_toolbox_tf.export.serving_config import CONFIGURATIONS, write_serving_config
from snn_toolbox_tf.export.tflite import check_for_tflite, export_tflite
from snn_toolbox_tf.export.versions import checked_version, next_version
from snn_toolbox_tf.export.warmup import require_messages
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import in_structure
from snn_toolbox_tf.nir_files.export_file import export_nir
from snn_toolbox_tf.nir_files.package import nir_package
from snn_toolbox_tf.simulation.early_exit import EarlyExit

_NO_EXPORT = (
    "[export] A network in latency code is saved as a .keras file, and not exported. Convert with [conversion] spike_code = "
    "temporal_mean_rate."
)


def export_target(settings: Settings, source_name: str = "ann") -> pathlib.Path:
    """Returns where a network is exported to: a file, or for a model server the folder of its versions."""
    export = settings.export
    name = snn_name(settings, source_name)
    usual = f"serving/{name}" if export.export_format == "serving" else f"{name}.{export.export_format}"
    folder = pathlib.Path(settings.paths.path_wd)
    # What is in the folder of a run is replaced with it.
    return (folder.parent if holds_run(folder) else folder) / (export.export_path or usual)


def check_export(settings: Settings, source_name: str = "ann") -> None:
    """Raises if a network cannot be written as the settings say, or must not.

    Raises:
        ConfigurationError: If the place is taken, or a package is missing.
    """
    export, target = settings.export, export_target(settings, source_name)
    if export.export_format is None:
        return
    try:
        if export.export_format == "serving":
            version = export.export_version
            checked_version(target, next_version(target) if version is None else version)
            if export.warmup_samples:
                require_messages()
            return
        if export.export_format == "nir":
            nir_package()
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(f"[export] {error}") from error
    ending = f".{export.export_format}"
    if target.suffix != ending:
        raise ConfigurationError(
            f"[export] export_path: Expected a file name that ends in {ending}. Received: '{target}'."
        )
    if target.is_dir():
        raise ConfigurationError(f"[export] '{target}' is a folder. Expected a file name that ends in {ending}.")
    if target.exists() and not settings.output.overwrite:
        raise ConfigurationError(
            f"[export] '{target}' exists. Choose another export_path, or replace it with [output] overwrite = True "
            "(--overwrite)."
        )


def check_exportable(settings: Settings, model_snn: SpikingModel | LatencyModel) -> None:
    """Raises if a network is none that can be written as the settings say; before it is simulated for hours.

    Raises:
        ConfigurationError: If it is.
    """
    export = settings.export
    if export.export_format is None:
        return
    if isinstance(model_snn, LatencyModel):
        raise ConfigurationError(_NO_EXPORT)
    try:
        if export.export_format == "serving":
            check_asked(model_snn, export.export_timesteps or None, _early_exit(settings), export.closed_form)
        elif export.export_format == "tflite":
            check_for_tflite(model_snn)
        elif export.export_format == "nir":
            # It knows when it has written one, which takes no time.
            with tempfile.TemporaryDirectory() as folder:
                export_nir(model_snn, pathlib.Path(folder, "network.nir"))
    except ValueError as error:
        raise ConfigurationError(f"[export] {error}") from error


def export_network(
    settings: Settings,
    model_snn: SpikingModel | LatencyModel,
    samples: TestSamples | None,
    source_name: str = "ann",
) -> pathlib.Path:
    """Writes a network as the settings say.

    Args:
        settings: The settings; [export] says how.
        model_snn: The network.
        samples: Where samples of warm-up requests come from.
        source_name: Name of a source that comes from no file.

    Returns:
        The file or folder that was written.

    Raises:
        ConfigurationError: If the network is none that can be written so.
    """
    export, target = settings.export, export_target(settings, source_name)
    if isinstance(model_snn, LatencyModel):
        raise ConfigurationError(_NO_EXPORT)
    try:
        if export.export_format == "serving":
            return _export_serving(settings, model_snn, target, samples)
        if export.export_format == "tflite":
            return export_tflite(model_snn, target, timesteps=next(iter(export.export_timesteps), None))
        if export.export_format == "nir":
            export_nir(model_snn, target)
            return target
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"[export] {error}") from error
    model_snn.save(target)
    return target


def _export_serving(
    settings: Settings, model_snn: SpikingModel, target: pathlib.Path, samples: TestSamples | None
) -> pathlib.Path:
    export = settings.export
    version = export_serving(
        model_snn,
        target,
        version=export.export_version,
        timesteps=export.export_timesteps or None,
        early_exit=_early_exit(settings),
        closed_form=export.closed_form,
        warmup=_warmup(export.warmup_samples, model_snn, samples),
    )
    if not any((target.parent / name).exists() for name in CONFIGURATIONS):
        # A model whose name no URL can hold has no place in them.
        with contextlib.suppress(FileNotFoundError):
            write_serving_config(target.parent)
    return version


def _early_exit(settings: Settings) -> EarlyExit | None:
    confidence = settings.export.exit_confidence
    return None if confidence is None else EarlyExit(confidence=confidence)


def _warmup(count: int, model_snn: SpikingModel, samples: TestSamples | None) -> Any:
    """Returns the first samples, in the structure of the network's inputs; None if there shall be none."""
    if not count:
        return None
    if samples is None:
        raise ConfigurationError("[export] warmup_samples: there are no samples. Set [tools] simulate = True, or 0.")
    arrays = samples.part(0, min(count, len(samples)))
    return in_structure(arrays, model_snn.network.graph)
