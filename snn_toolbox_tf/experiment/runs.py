"""`run`: from settings to the folder of a finished run, as a table of contents."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras

from snn_toolbox_tf.config import ConfigurationError, Settings, read_settings, resolve_paths, write_settings
from snn_toolbox_tf.config.files import file_stem
from snn_toolbox_tf.experiment.conversion_stage import Converted, convert_prepared
from snn_toolbox_tf.experiment.exports import check_export, check_exportable, export_network
from snn_toolbox_tf.experiment.options import open_executor_of, wanted_figures
from snn_toolbox_tf.experiment.preparation import Prepared, prepare
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.run_folder import RunFolder
from snn_toolbox_tf.experiment.simulation_stage import CHECKPOINT, simulate_prepared, timed
from snn_toolbox_tf.experiment.sources import Data
from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.report.latency_record import LatencyRunRecord
from snn_toolbox_tf.report.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its folder: config.ini, the converted network, report.html, report.json, plots/, tables/.
        network: The file of the converted network in it.
        model_snn: The spiking network.
        record: Everything that the report shows; None if nothing was simulated.
        exported: What was written for use elsewhere, if [export] says so.
    """

    folder: pathlib.Path
    network: pathlib.Path
    model_snn: SpikingModel | LatencyModel
    record: RunRecord | LatencyRunRecord | None = dataclasses.field(repr=False)
    exported: pathlib.Path | None = None

    @property
    def report(self) -> pathlib.Path:
        """The report, one HTML file."""
        return self.folder / "report.html"

    @property
    def simulated(self) -> RunRecord | LatencyRunRecord:
        """The record of a run that has simulated.

        Raises:
            ValueError: If it has not ([tools] simulate = False).
        """
        if self.record is None:
            raise ValueError("This run has simulated nothing: [tools] simulate = False.")
        return self.record


def run(
    settings: Settings | str | os.PathLike[str],
    *,
    model: keras.Model | None = None,
    x_test: Any = None,
    y_test: Any = None,
    x_norm: Any = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Converts, simulates and reports, as the settings say.

    Args:
        settings: Settings, or the path of a configuration file.
        model: The source model, in place of [paths] filename_ann.
        x_test: Samples to simulate, in the structure of the model's inputs, in place of x_test.npz.
        y_test: Their labels, in place of y_test.npz: class indices or one-hot; a dict by output name for several outputs.
        x_norm: Calibration data, in place of x_norm.npz.
        resume: Whether to continue an unfinished run of the same settings, model and data.
        progress: Is told how the run proceeds.

    Returns:
        The finished run. Its folder appears whole or not at all: [paths] log_dir_of_current_run, or path_wd/<runlabel>, by
        default `<name of the model>_snn`.

    Raises:
        ConfigurationError: If a setting, a file or the folder of the run is not usable.
        UnsupportedModelError: If the model cannot be converted.
        TypeError, ValueError: If model or data are not usable.

    Example:
        >>> import keras, numpy as np, tempfile, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> settings = snn.Settings().replace(timesteps=16, path_wd=tempfile.mkdtemp())
        >>> finished = snn.run(settings, model=model, x_test=x, x_norm=x)
        >>> finished.report.name, finished.record.samples
        ('report.html', 20)
    """
    settings = absolute(settings)
    if settings.parameter_sweep.param_values:
        raise ConfigurationError(
            f"[parameter_sweep] param_values = {', '.join(map(str, settings.parameter_sweep.param_values))}: a run has one "
            "value of each setting. Use `snn.sweep(settings)` for all of them, or leave param_values empty."
        )
    prepared = prepare(settings, model, Data(x_test, y_test, x_norm))
    return run_prepared(prepared, resume=resume, progress=progress or Progress())


def absolute(settings: Settings | str | os.PathLike[str]) -> Settings:
    """Returns settings with absolute paths; those of a file start at its folder, others at the working directory."""
    if isinstance(settings, Settings):
        return resolve_paths(settings, os.getcwd())
    return read_settings(settings)


def run_folder(settings: Settings, name: str) -> pathlib.Path:
    """Returns the folder of a run.

    Args:
        settings: The settings.
        name: Its name if the settings do not say.

    Raises:
        ConfigurationError: If it would hold, and so replace, the model or the data.
    """
    paths = settings.paths
    folder = pathlib.Path(paths.log_dir_of_current_run or pathlib.Path(paths.path_wd, paths.runlabel or name))
    for key in ("path_wd", "dataset_path"):
        source = getattr(paths, key)
        if source and pathlib.Path(os.path.realpath(source)).is_relative_to(os.path.realpath(folder)):
            raise ConfigurationError(
                f"The folder of the run, {folder}, holds [paths] {key} = {source}, which the run would replace. "
                "Choose another runlabel or log_dir_of_current_run."
            )
    return folder


def run_prepared(
    prepared: Prepared,
    *,
    resume: bool,
    progress: Progress,
    convert: Callable[[Prepared, Progress], Converted] = convert_prepared,
    place: pathlib.Path | None = None,
) -> Run:
    """Does what `run` does, with everything read and checked.

    Args:
        prepared: The parts of the run.
        resume: Whether to continue an unfinished run.
        progress: Is told how the run proceeds.
        convert: Gives the spiking network.
        place: Where to write, if the run's folder belongs to a larger whole that is put into its place later.
    """
    settings = prepared.settings
    check_export(settings, prepared.name)
    name = file_stem(settings, prepared.name)
    target, overwrite = place or run_folder(settings, name), settings.output.overwrite or place is not None
    with (
        RunFolder(target, prepared.fingerprint, overwrite=overwrite, resume=resume) as folder,
        open_executor_of(settings) as executor,
    ):
        record, seconds = None, dict[str, float]()
        with timed(seconds, "convert"):
            progress.stage("converting")
            converted = convert(prepared, progress)
            progress.tell(str(converted.model_snn.conversion))
            check_exportable(settings, converted.model_snn)
            converted.model_snn.save(folder.path / f"{name}.keras")
        if prepared.samples is not None:
            record = simulate_prepared(prepared, converted, progress, executor, folder.path, seconds)
            progress.stage("writing the report")
            _write_report(folder.path, record, settings)
        (folder.path / CHECKPOINT).unlink(missing_ok=True)
        with atomic_files.replacing(folder.path / "config.ini") as file:
            file.write(write_settings(settings).encode())
        finished = folder.finish()
    exported = None
    if settings.export.export_format is not None:
        progress.stage("exporting")
        try:
            exported = export_network(settings, converted.model_snn, prepared.samples, prepared.name)
        except (ConfigurationError, OSError) as error:
            raise type(error)(
                f"{error} The run itself is finished, in '{finished}': `snn-toolbox-tf export` writes its network."
            ) from error
    return Run(finished, finished / f"{name}.keras", converted.model_snn, record, exported)


def _write_report(folder: pathlib.Path, record: RunRecord | LatencyRunRecord, settings: Settings) -> None:
    # Only a report imports matplotlib and Jinja.
    if isinstance(record, LatencyRunRecord):
        from snn_toolbox_tf.report.latency_page import write_latency_report

        write_latency_report(folder, record)
        return
    from snn_toolbox_tf.report.write import write_report

    write_report(folder, record, wanted_figures(settings))
