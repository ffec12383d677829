"""`run`: from settings to the folder of a finished run, as a table of contents."""

import contextlib
import dataclasses
import os
import pathlib
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras

from snn_toolbox_tf import files
from snn_toolbox_tf.config import Settings, read_settings, resolve_paths, write_settings
from snn_toolbox_tf.convert import convert_keras
from snn_toolbox_tf.experiment.activity import COMPARED_SAMPLES, compare_activity, trace_sample
from snn_toolbox_tf.experiment.arguments import conversion_arguments, simulation_arguments, wanted_figures
from snn_toolbox_tf.experiment.evaluation import Evaluation, Evaluator, ann_outputs_of
from snn_toolbox_tf.experiment.preparation import Prepared, prepare, snn_name
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.recorder import Recorder
from snn_toolbox_tf.experiment.run_folder import RunFolder
from snn_toolbox_tf.experiment.sources import Data, TestData
from snn_toolbox_tf.experiment.summary import build_record
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.report.record import RunRecord
from snn_toolbox_tf.report.write import write_report

_CHECKPOINT = "evaluation.npz"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its folder: config.ini, the converted network, report.html, report.json, plots/, tables/.
        model_snn: The spiking network.
        record: Everything that the report shows; None if nothing was simulated.
    """

    folder: pathlib.Path
    model_snn: SpikingModel
    record: RunRecord | None = dataclasses.field(repr=False)

    @property
    def report(self) -> pathlib.Path:
        """The report, one HTML file."""
        return self.folder / "report.html"


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
        resume: Whether to go on with an unfinished run of the same settings, model and data.
        progress: Is told how the run proceeds.

    Returns:
        The finished run. Its folder, [paths] log_dir_of_current_run, appears whole or not at all.

    Raises:
        ConfigurationError: If a setting, a file or the folder of the run is not usable.
        UnsupportedModelError: If the model cannot be converted.
        TypeError, ValueError: If model or data are not usable.

    Example:
        >>> import keras, numpy as np, tempfile, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> settings = snn.Settings().replace(duration=16, path_wd=tempfile.mkdtemp())
        >>> finished = snn.run(settings, model=model, x_test=x, x_norm=x)
        >>> finished.report.name, finished.record.samples
        ('report.html', 20)
    """
    prepared = prepare(absolute(settings), model, Data(x_test, y_test, x_norm))
    return run_prepared(prepared, resume=resume, progress=progress or Progress())


def absolute(settings: Settings | str | os.PathLike[str]) -> Settings:
    """Returns settings with absolute paths; those of a file start at its folder, others at the working directory."""
    if isinstance(settings, Settings):
        return resolve_paths(settings, os.getcwd())
    return read_settings(settings)


def run_folder(settings: Settings) -> pathlib.Path:
    """Returns the folder of a run."""
    paths = settings.paths
    return pathlib.Path(paths.log_dir_of_current_run or pathlib.Path(paths.path_wd, "log", "gui", paths.runlabel))


def run_prepared(
    prepared: Prepared, *, resume: bool, progress: Progress, convert: Callable[[Prepared], SpikingModel] | None = None
) -> Run:
    """Does what `run` does, with everything read and checked.

    Args:
        prepared: The parts of the run.
        resume: Whether to go on with an unfinished run.
        progress: Is told how the run proceeds.
        convert: Gives the spiking network; by default, it is converted.
    """
    settings = prepared.settings
    overwrite = settings.output.overwrite
    with RunFolder(run_folder(settings), prepared.fingerprint, overwrite=overwrite, resume=resume) as folder:
        record, seconds, notes = None, dict[str, float](), list(settings.notes)
        with _timed(seconds, "convert"), _noted(notes):
            progress.stage("converting")
            model_snn = prepared.model_snn or (convert or convert_prepared)(prepared)
            model_snn.save(folder.path / f"{snn_name(settings)}.keras")
        if prepared.test is not None:
            record = simulate_prepared(prepared, prepared.test, model_snn, progress, folder.path, seconds, notes)
            progress.stage("writing the report")
            write_report(folder.path, record, wanted_figures(settings))
        (folder.path / _CHECKPOINT).unlink(missing_ok=True)
        with files.replacing(folder.path / "config.ini") as file:
            file.write(write_settings(settings).encode())
        return Run(folder.finish(), model_snn, record)


def convert_prepared(prepared: Prepared) -> SpikingModel:
    """Converts the source of a run."""
    settings = prepared.settings
    return convert_keras(
        prepared.source, prepared.calibration_data, timesteps=settings.timesteps, **conversion_arguments(settings)
    )


def simulate_prepared(
    prepared: Prepared,
    test: TestData,
    model_snn: SpikingModel,
    progress: Progress,
    folder: pathlib.Path | None = None,
    seconds: dict[str, float] | None = None,
    notes: list[str] | None = None,
) -> RunRecord:
    """Simulates all samples, and some of them in detail.

    Args:
        prepared: The parts of the run.
        test: Its samples.
        model_snn: The spiking network.
        progress: Is told how the run proceeds.
        folder: Where recordings and a checkpoint go, if anywhere; what its checkpoint has is gone on with.
        seconds: Seconds of earlier stages.
        notes: What the reader should know.
    """
    settings, arguments = prepared.settings, simulation_arguments(prepared.settings)
    frames = settings.input_mode == "frames"
    seconds, compared = dict(seconds or {}), min(COMPARED_SAMPLES, len(test))
    evaluation = _evaluate(prepared, test, model_snn, progress, folder)
    with _timed(seconds, "compare"):
        progress.stage("comparing activations with firing rates")
        comparisons = compare_activity(model_snn, test.part(0, compared), arguments, frames=frames)
        trace = trace_sample(model_snn, test.x, settings.output.sample_to_plot, arguments, prepared.neurons)
    return build_record(
        prepared.name,
        settings,
        model_snn,
        evaluation,
        test,
        comparisons,
        compared_samples=compared,
        trace=dataclasses.replace(trace, sample=int(test.indices[trace.sample])),
        seconds=seconds,
        notes=[*(notes or []), *test.notes],
    )


def _evaluate(
    prepared: Prepared, test: TestData, model_snn: SpikingModel, progress: Progress, folder: pathlib.Path | None
) -> Evaluation:
    """Runs all samples through source and spiking network; goes on with what the folder's checkpoint has."""
    settings = prepared.settings
    frames = settings.input_mode == "frames"
    checkpoint = folder / _CHECKPOINT if folder else None
    evaluation = Evaluation.load(checkpoint) if checkpoint else Evaluation()
    progress.stage("simulating", len(test), evaluation.done)
    source = prepared.source if settings.tools.evaluate_ann else None
    recorder = Recorder(settings, model_snn, folder / "recordings") if folder else None
    evaluator = Evaluator(
        model_snn,
        ann_outputs_of(source, model_snn, frames=frames),
        test,
        {**simulation_arguments(settings), "record": recorder.kinds if recorder else ()},
        batch_size=settings.simulation.batch_size,
        top_k=settings.simulation.top_k,
        keep=recorder.keep if recorder else None,
    )
    evaluator.run(evaluation, checkpoint, progress)
    return evaluation


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


@contextlib.contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """Adds warnings to the notes as well."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            notes.append(str(warning.message))
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
