"""`sweep`: one run per value of one setting, one table and one plot."""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import keras

from snn_toolbox_tf.config import ConfigurationError, Settings, read_value, write_settings
from snn_toolbox_tf.config.files import file_stem
from snn_toolbox_tf.config.sections import SECTION_OF, affects
from snn_toolbox_tf.config.settings import key_of, section_of, write_value
from snn_toolbox_tf.experiment import sources
from snn_toolbox_tf.experiment.options import open_executor_of
from snn_toolbox_tf.experiment.preparation import Prepared, check_conversion, load_converted, prepare
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.experiment.run_folder import RunFolder
from snn_toolbox_tf.experiment.runs import absolute, run_folder
from snn_toolbox_tf.experiment.sources import Data
from snn_toolbox_tf.experiment.sweep_points import Point, run_points
from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.report.sweep_table import sweep_as_text

_POINTS = "points.json"
_FIXED = ("path_wd", "log_dir_of_current_run", "runlabel")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Attributes:
        folder: Its folder: config.ini, report.html, sweep.csv, sweep.json, sweep.png, and a run's folder per value.
        param_name: The setting that was varied.
        table: One row per value: the value, accuracies, rate, operations and the name of the run's folder.
    """

    folder: pathlib.Path
    param_name: str
    table: list[dict[str, Any]]

    def text(self) -> str:
        """Returns the table as text."""
        return sweep_as_text(self.param_name, self.table)


def sweep(
    settings: Settings | str | os.PathLike[str],
    param_name: str | None = None,
    param_values: Iterable[Any] | None = None,
    *,
    model: keras.Model | None = None,
    x_test: Any = None,
    y_test: Any = None,
    x_norm: Any = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Sweep:
    """Runs once per value of a setting. The network is converted again whenever it depends on the setting.

    Args:
        settings: Settings, or the path of a configuration file.
        param_name: The setting to vary; that of [parameter_sweep] if None.
        param_values: Its values; those of [parameter_sweep] if None.
        model: The source model, in place of a file; see `run`, also for `x_test`, `y_test` and `x_norm`.
        x_test: Samples to simulate.
        y_test: Labels.
        x_norm: Calibration data.
        resume: Whether to continue an unfinished sweep.
        progress: Is told how it proceeds.

    Returns:
        The finished sweep. Its folder appears whole or not at all; it is that of a run, by default
        `<name of the model>_snn_<param_name>`.

    Raises:
        ConfigurationError: If the setting cannot be varied, a value is not usable, or as for `run`; all values are checked
            before the first run.

    Example:
        >>> import keras, numpy as np, tempfile, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> settings = snn.Settings().replace(duration=8, path_wd=tempfile.mkdtemp(), plot_vars=[])
        >>> swept = snn.sweep(settings, "v_thresh", [0.5, 1.0], model=model, x_test=x, x_norm=x)
        >>> [row["v_thresh"] for row in swept.table]
        [0.5, 1.0]
    """
    settings, progress = absolute(settings), progress or Progress()
    asked = settings.parameter_sweep
    name = asked.param_name if param_name is None else param_name
    given = asked.param_values if param_values is None else tuple(param_values)
    prepared_sweep = prepare_sweep(settings, name, given, model, Data(x_test, y_test, x_norm))
    name, values, points = prepared_sweep.name, prepared_sweep.values, prepared_sweep.points
    target = prepared_sweep.target
    fingerprint = {
        **points[0].fingerprint,
        f"[{SECTION_OF[name]}] {name}": list(values),
        **{key: [point.digests.get(key) for point in points] for key in points[0].digests},
    }
    with (
        RunFolder(target, fingerprint, overwrite=settings.output.overwrite, resume=resume) as folder,
        open_executor_of(settings) as executor,
    ):
        finished = _finished_points(folder.path / _POINTS)
        wanted = [_point(name, value, prepared, target) for value, prepared in zip(values, points, strict=True)]
        left = [point for point in wanted if point.label not in finished]
        for point, row in run_points(left, folder.path, executor, resume=resume, progress=progress):
            finished[point.label] = {name: point.value, **row, "folder": point.label}
            with atomic_files.replacing(folder.path / _POINTS) as file:
                file.write(json.dumps(list(finished.values())).encode())
        table = [finished[point.label] for point in wanted]
        # Only a report imports matplotlib and Jinja.
        from snn_toolbox_tf.report.sweep import write_sweep_report

        write_sweep_report(
            folder.path, points[0].name, name, table, settings.as_dict(), logarithmic=asked.param_logscale
        )
        (folder.path / _POINTS).unlink(missing_ok=True)
        with atomic_files.replacing(folder.path / "config.ini") as file:
            kept = settings.replace(param_name=name, param_values=[write_value(name, value) for value in values])
            file.write(write_settings(kept).encode())
        return Sweep(folder.finish(), name, table)


@dataclasses.dataclass(frozen=True)
class PreparedSweep:
    """The checked parts of a sweep.

    Attributes:
        name: The setting that is varied, by its key.
        values: Its values in their normal form.
        points: The parts of every run.
        target: Folder of the sweep.
    """

    name: str
    values: tuple[Any, ...]
    points: list[Prepared]
    target: pathlib.Path


def prepare_sweep(
    settings: Settings, name: str, values: tuple[Any, ...], model: keras.Model | None, data: Data
) -> PreparedSweep:
    """Reads and checks everything that a sweep needs, before the first long computation.

    Args:
        settings: The settings, with absolute paths.
        name: The setting that is varied.
        values: Its values; texts are read.
        model: The source model, or None to read it.
        data: Arrays in place of files.

    Raises:
        ConfigurationError: As for `sweep`.
    """
    checked, key = _checked_values(settings, name, values), key_of(name)
    if name == "timesteps" and settings.simulation.dt != 1:
        raise ConfigurationError(
            f"[parameter_sweep] param_name = timesteps: with dt = {settings.simulation.dt:g}, vary duration."
        )
    points = _prepare_points(settings, key, checked, model, data)
    return PreparedSweep(key, checked, points, run_folder(settings, f"{file_stem(settings, points[0].name)}_{key}"))


def _checked_values(settings: Settings, name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns values in their normal form; refuses a setting that cannot be varied, and values given twice."""
    section = section_of(name)
    if section in ("output", "tools", "parameter_sweep") or name in _FIXED:
        raise ConfigurationError(
            f"[parameter_sweep] param_name = {name}: a setting of [{section}] that changes no result cannot be varied. "
            "Expected, for example, v_thresh, percentile or duration."
        )
    if not values:
        raise ConfigurationError("[parameter_sweep] param_values: Expected at least one value. Received none.")
    checked, problems = [], []
    for value in values:
        try:
            read = read_value(name, value) if isinstance(value, str) else value
            checked.append(dict(settings.replace(**{name: read}).items(section))[key_of(name)])
        except ConfigurationError as error:
            problems.append(str(error))
    labels = [point_label(name, value) for value in checked]
    problems += [
        f"[parameter_sweep] param_values: '{label}' occurs twice." for label in set(labels) if labels.count(label) > 1
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return tuple(checked)


def point_label(name: str, value: Any) -> str:
    """Returns the name of a point's folder."""
    key = key_of(name)
    return re.sub(r"[^\w.=+-]+", "_", f"{key}={write_value(key, value)}")


def _prepare_points(
    settings: Settings, name: str, values: tuple[Any, ...], model: keras.Model | None, data: Data
) -> list[Prepared]:
    """Returns the parts of every run; all are checked, and what does not depend on the setting is there once."""
    if not settings.tools.simulate:
        raise ConfigurationError("[tools] simulate = False: a parameter sweep has nothing to compare.")
    given = {"filename_ann": model, "dataset_path": data.x_test}
    if given.get(name) is not None:
        raise ConfigurationError(
            f"[parameter_sweep] param_name = {name} varies a file, but a model or data was passed in its place. "
            "Leave that out, or vary another setting."
        )
    base = dataclasses.replace(settings, parameter_sweep=Settings().parameter_sweep)
    points = [absolute(base.replace(**{name: value})) for value in values]
    if affects(name) == "files":
        return [prepare(point, model, data) for point in points]
    base, model, data = _read_once(base, model, data)
    points = [dataclasses.replace(point, notes=base.notes) for point in points]
    model_snn = None if base.tools.convert else load_converted(base)
    if affects(name) in ("data", "calibration"):
        return [prepare(point, model, data, model_snn=model_snn) for point in points]
    first = prepare(points[0], model, data, model_snn=model_snn)
    if isinstance(first.network, Graph):
        for point in points[1:]:
            check_conversion(point, first.network, first.calibration_data)
    return [dataclasses.replace(first, settings=point) for point in points]


def _read_once(settings: Settings, model: keras.Model | None, data: Data) -> tuple[Settings, keras.Model | None, Data]:
    """Returns settings with notes, model and data, read from files if they are not given, so that all points share them."""
    if model is None and (settings.tools.convert or settings.tools.evaluate_ann):
        settings, model = sources.load_noted(settings)
    folder = sources.data_folder(settings)

    def read(given: Any, name: str) -> Any:
        path = folder / name
        return sources.load_arrays(path) if given is None and path.is_file() else given

    y_test = data.y_test if data.x_test is not None else read(data.y_test, "y_test.npz")
    return settings, model, Data(read(data.x_test, "x_test.npz"), y_test, read(data.x_norm, "x_norm.npz"))


def _point(name: str, value: Any, prepared: Prepared, target: pathlib.Path) -> Point:
    """Returns a run of the sweep, which is to end in its folder within that of the sweep."""
    label = point_label(name, value)
    settings = prepared.settings.replace(log_dir_of_current_run=str(target / label))
    title = f"{name} = {write_value(name, value)}"
    return Point(label, title, value, dataclasses.replace(prepared, settings=settings))


def _finished_points(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Returns the rows of the table that an earlier, interrupted sweep has finished, by folder."""
    rows = json.loads(path.read_text()) if path.is_file() else []
    return {row["folder"]: row for row in rows}
