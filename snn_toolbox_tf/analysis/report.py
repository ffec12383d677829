"""A report of one run: a short table, two plots and a JSON record."""

import json
import os
import pathlib
import platform
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf import files
from snn_toolbox_tf.analysis.plots import plot_accuracy, plot_firing_rates
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.version import __version__


def versions() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    return {
        "snn_toolbox_tf": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def summarize(result: SimulationResult, accuracy: np.ndarray, ann_accuracy: float) -> str:
    """Returns the run as a table in plain text."""
    lines = [f"{'timesteps':>10}  {'SNN accuracy':>12}"]
    shown = sorted({2**power for power in range(12)} & set(result.timesteps.tolist()) | {int(result.timesteps[-1])})
    position = {timestep: index for index, timestep in enumerate(result.timesteps.tolist())}
    lines += [f"{timestep:>10}  {100 * accuracy[position[timestep]]:>10.2f} %" for timestep in shown]
    lines.append(f"{'ANN':>10}  {100 * ann_accuracy:>10.2f} %")
    lines.append("")
    width = max(len(name) for name in result.firing_rates)
    lines.append(f"{'population':<{width}}  {'firing rate':>11}  {'dead':>6}  {'saturated':>9}")
    for name, rates in result.neuron_firing_rates.items():
        dead, saturated = 100 * (rates == 0).mean(), 100 * (rates == 1).mean()
        lines.append(f"{name:<{width}}  {rates.mean():>11.4f}  {dead:>4.0f} %  {saturated:>7.0f} %")
    lines.append("")
    synaptic = sum(float(values.mean()) for values in result.synaptic_operations.values())
    multiply = sum(float(values.mean()) for values in result.multiply_accumulates.values())
    lines.append(f"per sample: {synaptic:,.0f} synaptic operations, {multiply:,.0f} multiply-accumulates")
    return "\n".join(lines)


def write_report(
    folder: str | os.PathLike[str],
    model_snn: SpikingModel,
    result: SimulationResult,
    y: Any,
    *,
    ann_accuracy: float,
    settings: dict[str, Any] | None = None,
) -> pathlib.Path:
    """Writes accuracy.png, firing_rates.png, summary.txt and report.json; files of the same name are replaced.

    Args:
        folder: Where to; it is created.
        model_snn: The model that ran.
        result: What `model_snn.simulate` gave.
        y: Labels, see `SimulationResult.accuracy`.
        ann_accuracy: The source's accuracy on the same samples, a fraction.
        settings: What else belongs into the record (seeds, training).

    Returns:
        The folder's absolute path.
    """
    folder = pathlib.Path(folder).resolve()
    accuracy = result.accuracy(y)
    conversion = {key: value for key, value in model_snn.conversion.items() if key != "thresholds"}
    record = {
        "model": model_snn.name,
        "settings": settings or {},
        "conversion": conversion,
        "input": model_snn.input_options.mode,
        "seed": model_snn.input_options.seed,
        "samples": result.samples,
        "timesteps": result.timesteps.tolist(),
        "accuracy": accuracy.tolist(),
        "ann_accuracy": ann_accuracy,
        "firing_rates": result.firing_rates,
        "synaptic_operations": {name: float(v.mean()) for name, v in result.synaptic_operations.items()},
        "multiply_accumulates": {name: float(v.mean()) for name, v in result.multiply_accumulates.items()},
        "reproducibility_exceptions": model_snn.reproducibility_exceptions,
        "versions": versions(),
    }
    figures = {
        "accuracy.png": plot_accuracy(result, accuracy, ann_accuracy),
        "firing_rates.png": plot_firing_rates(result),
    }
    for name, figure in figures.items():
        with files.replacing(folder / name) as file:
            figure.savefig(file, format="png", dpi=150)
    for name, text in {
        "summary.txt": summarize(result, accuracy, ann_accuracy),
        "report.json": json.dumps(record, indent=2),
    }.items():
        with files.replacing(folder / name) as file:
            file.write(f"{text}\n".encode())
    return folder
