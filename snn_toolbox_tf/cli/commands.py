"""What each command does; each returns its exit status."""

import pathlib
from collections.abc import Callable
from typing import Any

import keras
from rich.table import Table

from snn_toolbox_tf.cli.console_progress import ConsoleProgress
from snn_toolbox_tf.cli.request import Request
from snn_toolbox_tf.cli.screen import Screen
from snn_toolbox_tf.config import Settings, read_settings
from snn_toolbox_tf.config.files import file_stem
from snn_toolbox_tf.conversion.check import CheckReport, check
from snn_toolbox_tf.conversion.neuron_options import ALL_POPULATIONS
from snn_toolbox_tf.conversion.search import LARGEST_TIMESTEPS
from snn_toolbox_tf.experiment.conversion_stage import convert_prepared
from snn_toolbox_tf.experiment.exports import check_export, export_network
from snn_toolbox_tf.experiment.latency import latency_code_of, max_pooling_of
from snn_toolbox_tf.experiment.neuron_settings import timestep_of
from snn_toolbox_tf.experiment.options import conversion_options, open_executor_of
from snn_toolbox_tf.experiment.preparation import load_converted, prepare
from snn_toolbox_tf.experiment.run_folder import holds_run
from snn_toolbox_tf.experiment.runs import run_folder, run_prepared
from snn_toolbox_tf.experiment.simulation_stage import simulate_prepared
from snn_toolbox_tf.experiment.sources import Data, data_folder, load_arrays, load_noted
from snn_toolbox_tf.experiment.studies import study
from snn_toolbox_tf.experiment.sweeps import Sweep, prepare_sweep, sweep
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import ConversionRecord, SpikingModel
from snn_toolbox_tf.report.key_numbers import headline
from snn_toolbox_tf.report.record_as_json import plain, record_as_json
from snn_toolbox_tf.report.summary import summarize

NOT_CONVERTIBLE = 1


def _progress(settings: Settings, screen: Screen) -> ConsoleProgress:
    quiet = screen.quiet or settings.output.verbose == 0
    return ConsoleProgress(screen.notes, quiet=quiet, interruption=screen.interruption)


def run_check(request: Request, screen: Screen) -> int:
    """Tells what becomes of a model; with a configuration file, checks settings and data as well."""
    settings, model = load_noted(request.settings)
    for note in settings.notes:
        screen.note(f"Note: {note}")
    # Fails if options do not go together.
    options, latency = conversion_options(settings), latency_code_of(settings)
    report = check(
        model,
        max_pooling=max_pooling_of(settings),
        neuron=options.neurons[ALL_POPULATIONS],
        code="rate" if latency is None else "latency",
    )
    data = report.as_dict()
    screen.result(_check_table(report) if screen.is_terminal else report, data)
    if not report.ok:
        return NOT_CONVERTIBLE
    if request.configured:
        asked = settings.parameter_sweep
        if asked.param_values:
            prepared = prepare_sweep(settings, asked.param_name, asked.param_values, None, Data()).points[0]
        else:
            check_export(settings)
            prepared = prepare(settings, model)
            run_folder(settings, file_stem(settings, prepared.name))
        tested = len(prepared.samples) if prepared.samples is not None else 0
        calibrated = (
            len(keras.tree.flatten(prepared.calibration_data)[0]) if prepared.calibration_data is not None else 0
        )
        screen.note(f"settings and data can be used: {tested:,} samples to test, {calibrated:,} to calibrate with.")
    if settings.timesteps == "auto":
        screen.note(_to_be_found(settings))
    return 0


def _to_be_found(settings: Settings) -> str:
    tolerance = conversion_options(settings).used_tolerance
    return (
        f"duration = auto: T will be found by the conversion, as the smallest number of timesteps up to {LARGEST_TIMESTEPS} "
        f"with which no more than {100 * tolerance:g} % of the decisions differ from the source's (numbers: a "
        "relative error of that)."
    )


def _check_table(report: CheckReport) -> Any:
    """Returns the report as a table that fits the terminal."""
    table = Table("name", "class", "becomes", "reason", box=None, pad_edge=False, caption_justify="left")
    styles = {"refused": "red", "population": "green", "readout": "cyan", "removed": "dim"}
    for row in report.rows:
        reason = f"{row.reason}; remedy: {row.remedy}" if row.remedy else row.reason
        table.add_row(row.name, row.class_name, row.becomes, reason, style=styles.get(row.becomes))
    table.caption = "\n".join([report.summary, *report.outputs])
    return table


def run_run(request: Request, screen: Screen) -> int:
    """Converts, simulates and reports; for every value, if there is a parameter sweep."""
    settings = request.settings
    if settings.parameter_sweep.param_values:
        with _progress(settings, screen) as progress:
            swept = sweep(settings, resume=request.resume, progress=progress)
        screen.result(_sweep_text(swept), {"folder": str(swept.folder), "table": swept.table})
        return 0
    prepared = prepare(settings)
    with _progress(settings, screen) as progress:
        finished = run_prepared(prepared, resume=request.resume, progress=progress)
    data: dict[str, Any] = {"folder": str(finished.folder), "network": str(finished.network)}
    places = f"spiking network: {finished.network}"
    if finished.exported:
        data["exported"] = str(finished.exported)
        places += f"\nexported: {finished.exported}"
    if finished.record is None:
        screen.result(places, data)
        return 0
    record = finished.record
    data |= {"report": str(finished.report), **headline(record), "conversion": record.conversion, "notes": record.notes}
    places += f"\nreport: {finished.report}"
    screen.result(f"{summarize(record)}\n\n{places}", data)
    return 0


def run_study(request: Request, screen: Screen) -> int:
    """Runs a study, and prints its table."""
    with _progress(request.settings, screen) as progress:
        finished = study(request.settings, request.study, resume=request.resume, progress=progress)
    data = {
        "folder": str(finished.folder),
        "report": str(finished.report),
        "result": plain(finished.result.as_dict()),
        "notes": list(finished.notes),
    }
    text = "\n".join([*(f"Note: {note}" for note in finished.notes), f"{finished.result}\n\nreport: {finished.report}"])
    screen.result(text, data)
    return 0


def _sweep_text(swept: Sweep) -> str:
    return f"{swept.text()}\n\nreport: {swept.folder / 'report.html'}"


def run_convert(request: Request, screen: Screen) -> int:
    """Converts a model and writes it."""
    settings = request.settings
    data = Data(x_norm=load_arrays(request.calibration_data)) if request.calibration_data else None
    prepared = prepare(settings, data=data)
    with _progress(settings, screen) as progress:
        progress.stage("converting")
        converted = convert_prepared(prepared, progress)
    model_snn, notes = converted.model_snn, [*prepared.settings.notes, *converted.notes]
    target = request.output
    model_snn.save(target)
    conversion = model_snn.conversion
    populations = len(model_snn.network.graph.of_type(Population))
    grid = f", of the grid {conversion.grid_error:.1e}" if isinstance(conversion, ConversionRecord) else ""
    text = (
        f"'{prepared.name}' converted: {populations} populations, error of the passes {conversion.pass_error:.1e}{grid}\n"
        f"{conversion}\n{target}"
    )
    text = "\n".join([*(f"Note: {note}" for note in notes), text])
    screen.result(
        text, {"file": str(target), "populations": populations, "conversion": conversion.summary, "notes": notes}
    )
    return 0


def run_evaluate(request: Request, screen: Screen) -> int:
    """Simulates a converted network and prints what a report would show."""
    settings = request.settings
    model_snn = None if settings.tools.convert else load_converted(settings)
    if model_snn is not None and not request.configured:
        settings = _as_converted(settings, model_snn, request.flags)
    prepared = prepare(settings, model_snn=model_snn)
    with _progress(settings, screen) as progress, open_executor_of(settings) as executor:
        record = simulate_prepared(prepared, convert_prepared(prepared, progress), progress, executor)
    screen.result(summarize(record), record_as_json(record))
    return 0


def run_export(request: Request, screen: Screen) -> int:
    """Writes a converted network in another format."""
    settings = request.settings
    check_export(settings)
    model_snn = None if settings.tools.convert else load_converted(settings)
    if model_snn is not None and not request.configured:
        settings = _as_converted(settings, model_snn, request.flags)
    with _progress(settings, screen) as progress:
        if model_snn is None or settings.tools.simulate:
            prepared = prepare(settings, model_snn=model_snn)
            progress.stage("converting")
            model_snn, samples = convert_prepared(prepared, progress).model_snn, prepared.samples
        else:
            samples = None
        progress.stage("exporting")
        written = export_network(settings, model_snn, samples)
    screen.result(str(written), {"format": settings.export.export_format, "path": str(written)})
    return 0


def _as_converted(settings: Settings, model_snn: SpikingModel | LatencyModel, flags: dict[str, Any]) -> Settings:
    """Returns settings with the converted network's own number of timesteps and input, unless flags say otherwise.

    The network of a run finds the data that the run has read.
    """
    changes: dict[str, Any] = {}
    if isinstance(model_snn, SpikingModel) and not {"duration", "timesteps"} & set(flags):
        changes["timesteps"] = model_snn.timesteps
    if isinstance(model_snn, SpikingModel) and "dt" not in flags:
        changes["dt"] = timestep_of(model_snn.network.graph) or settings.simulation.dt
    folder = pathlib.Path(settings.paths.path_wd)
    if "dataset_path" not in flags and not (folder / "x_test.npz").is_file() and holds_run(folder):
        changes["dataset_path"] = str(data_folder(read_settings(folder / "config.ini")))
    if isinstance(model_snn, SpikingModel) and not {"poisson_input", "frame_input"} & set(flags):
        mode = model_snn.input_options.mode
        changes |= {"poisson_input": mode == "poisson", "frame_input": mode == "frames"}
    return settings.replace(**changes)


COMMANDS: dict[str, Callable[[Request, Screen], int]] = {
    "check": run_check,
    "run": run_run,
    "study": run_study,
    "convert": run_convert,
    "evaluate": run_evaluate,
    "export": run_export,
}
