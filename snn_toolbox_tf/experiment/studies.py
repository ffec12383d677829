"""`study`: one question over many runs, to a folder with its answer."""

import dataclasses
import os
import pathlib
from typing import Any

import keras

from snn_toolbox_tf.config import ConfigurationError, Settings, write_settings
from snn_toolbox_tf.experiment.notes import noted
from snn_toolbox_tf.experiment.preparation import Prepared, prepare
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.run_folder import RunFolder
from snn_toolbox_tf.experiment.runs import absolute, run_folder
from snn_toolbox_tf.experiment.sources import Data
from snn_toolbox_tf.experiment.study_kinds import STUDY_KINDS, Subject
from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.foundation.journal import Journal

_POINTS = "points.json"


@dataclasses.dataclass(frozen=True)
class Study:
    """A finished study.

    Attributes:
        folder: Its folder: report.html, study.json, study.txt, study.png and config.ini.
        name: Its name, for example "weight-precision".
        result: What the study's own function returns: `print` shows it as a table, `plot()` draws it.
        notes: What conversions had to say.
    """

    folder: pathlib.Path
    name: str
    result: Any
    notes: tuple[str, ...] = ()

    @property
    def report(self) -> pathlib.Path:
        """The page."""
        return self.folder / "report.html"


def study(
    settings: Settings | str | os.PathLike[str],
    name: str,
    *,
    model: keras.Model | None = None,
    x_test: Any = None,
    y_test: Any = None,
    x_norm: Any = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Study:
    """Runs a study of a model, and writes a folder with a page, table, figure and data.

    Args:
        settings: Settings, or the path of a configuration file; [study] says what is varied.
        name: "energy" (`energy_curve`), "weight-precision" (`weight_precision`), "robustness" (`robustness`),
            "bias-variance" (`bias_and_variance`) or "time-resolution" (`time_resolution`).
        model: The source model, in place of a file; see `run`, also for `x_test`, `y_test` and `x_norm`.
        x_test: Samples to simulate.
        y_test: Labels.
        x_norm: Calibration data.
        resume: Whether to continue an unfinished study: its finished points are kept.
        progress: Is told how it proceeds.

    Returns:
        The finished study. Its folder appears whole or not at all: [paths] log_dir_of_current_run, or path_wd/<runlabel>, by
        default `<name of the model>_<name of the study>`.

    Raises:
        ConfigurationError: If a setting, a file, the model, the data or the folder is not usable.

    Example:
        >>> import keras, numpy as np, tempfile, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> y = model.predict(x, verbose=0).argmax(1)
        >>> settings = snn.Settings().replace(path_wd=tempfile.mkdtemp(), study_timesteps=[4, 8])
        >>> finished = snn.study(settings, "energy", model=model, x_test=x, y_test=y, x_norm=x)
        >>> finished.result.timesteps, finished.report.name
        ((4, 8), 'report.html')
    """
    settings, progress = absolute(settings), progress or Progress()
    try:
        kind = STUDY_KINDS[check_one_of(name, STUDY_KINDS, "name")]
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    _check_settings(settings)
    kind.check(settings)
    prepared = prepare(settings, model, Data(x_test, y_test, x_norm))
    _check(prepared)
    # Names of points stay short; what they depend on is in the fingerprint.
    fingerprint = {**prepared.fingerprint, "study": name, **dict(settings.items("study")), **_energy_settings(settings)}
    target = run_folder(settings, f"{prepared.name}_{name.replace('-', '_')}")
    with RunFolder(target, fingerprint, overwrite=settings.output.overwrite, resume=resume) as folder:
        journal = Journal(folder.path / _POINTS, tell=lambda point: progress.stage(f"{name}: {point}"))
        progress.stage(name)
        notes = [*prepared.settings.notes, *(prepared.samples.notes if prepared.samples is not None else ())]
        try:
            with noted(notes):
                result = kind.run(Subject(prepared, journal, progress, notes))
        except (TypeError, ValueError) as error:
            raise ConfigurationError(str(error)) from error
        notes = list(dict.fromkeys(notes))
        # Only a report imports matplotlib and Jinja.
        from snn_toolbox_tf.report.study import write_study_report

        write_study_report(folder.path, prepared.name, name, result, settings.as_dict(), notes)
        (folder.path / _POINTS).unlink(missing_ok=True)
        with atomic_files.replacing(folder.path / "config.ini") as file:
            file.write(write_settings(settings).encode())
        return Study(folder.finish(), name, result, tuple(notes))


def _check_settings(settings: Settings) -> None:
    """Checks what needs neither model nor data: also, that nothing is asked for that no study does."""
    tools = settings.tools
    off = [key for key in ("convert", "simulate", "normalize") if not getattr(tools, key)]
    if off:
        raise ConfigurationError(
            "A study converts its source anew for its points, with calibration data, and runs them on test data. Expected "
            f"[tools] convert, simulate and normalize to be True. Received: {', '.join(f'{key} = False' for key in off)}"
        )
    if settings.conversion.spike_code == "latency":
        raise ConfigurationError("Studies are for spike_code = temporal_mean_rate. Received: spike_code = latency")
    if settings.parameter_sweep.param_values:
        raise ConfigurationError(
            "A study varies what [study] says. Leave [parameter_sweep] param_values empty, or use `snn-toolbox-tf run`. "
            f"Received: param_values = {', '.join(map(str, settings.parameter_sweep.param_values))}"
        )
    if tools.executor != "local":
        raise ConfigurationError(f"Studies run in this process. Expected executor = local. Received: {tools.executor}")
    if settings.input.frame_input:
        raise ConfigurationError(
            "Studies are for input that does not change in time. Received: [input] frame_input = True"
        )
    if isinstance(settings.timesteps, str):
        raise ConfigurationError(
            "Studies need a number of timesteps, or vary it themselves. Received: [simulation] duration = auto"
        )


def _check(prepared: Prepared) -> None:
    """Checks what depends on the data."""
    if prepared.samples is None or prepared.calibration_data is None:
        raise ConfigurationError(
            "A study needs test data and calibration data: x_test.npz and x_norm.npz. Received no "
            f"{'x_test.npz' if prepared.samples is None else 'x_norm.npz'}"
        )
    if prepared.samples.source_x is not None:
        raise ConfigurationError("Studies are for input that does not change in time. Received events, as frames.")


def _energy_settings(settings: Settings) -> dict[str, Any]:
    return {f"[output] {key}": getattr(settings.output, key) for key in ("energy", "energy_memory")}
