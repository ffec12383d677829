"""Cost follows work: the time of a spiking ResNet-20 against its mean firing rate, against T, and against threads.

    python benchmarks/event_cost.py [--repetitions 5] [--figure docs/images/event_cost.png]

Higher thresholds make neurons fire less. Both engines and T dense passes of the source run in turn, in compiled functions;
each number of threads has a process of its own. The data are found through the environment variable SNN_TOOLBOX_TF_DATA.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from measuring import interleaved
from networks import CASES, data_folder, load_images
from simulation_speed import PASSES, compiled

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.report.style import ANN, SNN, image, styled

NETWORK, BATCH_SIZE, TIMESTEPS = "resnet20_cifar10", 16, 32
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MANY_TIMESTEPS = (8, 16, 32, 64, 128, 256)
ENGINES = ("dense", "event")


def load() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Returns the source network, calibration images and test images."""
    folder, case = data_folder(), CASES[NETWORK]
    calibration, _ = load_images(folder / case.calibration, 256, case.prepare)
    images, _ = load_images(folder / case.test, BATCH_SIZE, case.prepare)
    return case.load(folder), calibration, images


def convert(scale: float = 1.0) -> tuple[keras.Model, snn.SpikingModel, np.ndarray]:
    """Returns the source, the spiking network with its thresholds times `scale`, and test images."""
    model, calibration, images = load()
    model_snn = snn.convert_keras(model, calibration, percentile=99.9, threshold_scale=scale, timesteps=TIMESTEPS)
    return model, model_snn, images


def seconds(model: keras.Model, model_snn: snn.SpikingModel, x: np.ndarray, timesteps: int, repetitions: int) -> dict:
    """Returns the seconds of T dense passes ("ann") and of a simulation with each engine."""
    tasks = {"ann": compiled(model, tf.constant(x))}
    for engine in ENGINES:
        model_snn.engine = engine
        tasks[engine] = compiled(model_snn, tf.constant(x), timesteps=timesteps)
    found = interleaved(tasks, repetitions)
    return {**found, "ann": found["ann"] * timesteps / PASSES}


def against_rate(repetitions: int) -> list[dict]:
    """One row per scale of the thresholds."""
    rows = []
    for scale in SCALES:
        model, model_snn, x = convert(scale)
        counts = model_snn.simulate(x, timesteps=TIMESTEPS, outputs="last").spike_counts
        rate = sum(c.sum() for c in counts.values()) / sum(c.size for c in counts.values()) / (len(x) * TIMESTEPS)
        rows.append({"rate": float(rate), **seconds(model, model_snn, x, TIMESTEPS, repetitions)})
    return rows


def against_timesteps(repetitions: int) -> list[dict]:
    """One row per T."""
    model, model_snn, x = convert()
    return [{"timesteps": t, **seconds(model, model_snn, x, t, repetitions)} for t in MANY_TIMESTEPS]


def against_threads(repetitions: int) -> list[dict]:
    """One row per number of threads, each measured in a process of its own."""
    rows = []
    threads = 1
    while threads <= (os.cpu_count() or 1):
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
        command = [sys.executable, __file__, "--row", "--repetitions", str(repetitions)]
        output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        rows.append({"threads": threads, **json.loads(output.splitlines()[-1])})
        threads *= 2
    return rows


def print_table(head: str, rows: list[dict]) -> None:
    """Prints a Markdown table of images per second, and of times as multiples of T dense passes."""
    heads = [head, "dense, images/s", "event, images/s", "dense / T dense passes", "event / T dense passes"]
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in rows:
        first = next(iter(row.values()))
        rates = " | ".join(f"{BATCH_SIZE / row[engine]:.1f}" for engine in ENGINES)
        ratios = " | ".join(f"{row[engine] / row['ann']:.2f}" for engine in ENGINES)
        print(f"| {first:.3g} | {rates} | {ratios} |", flush=True)


@styled()
def figure_of(tables: dict[str, list[dict]]) -> Figure:
    """Returns a panel per table: seconds of both engines and of T dense passes."""
    figure = Figure(figsize=(8.2, 2.6), layout="constrained")
    for axes, (head, rows) in zip(figure.subplots(1, len(tables)), tables.items(), strict=True):
        x = [next(iter(row.values())) for row in rows]
        for engine, color, style in (("ann", ANN, ":"), ("dense", ANN, "-"), ("event", SNN, "-")):
            name = "T dense passes" if engine == "ann" else f"engine {engine}"
            axes.plot(
                x, [1000 * row[engine] / BATCH_SIZE for row in rows], style, color=color, marker="o", ms=3, label=name
            )
        axes.set(xlabel=head, ylim=(0, None))
        axes.set_xticks(x if head == "threads" else np.linspace(0, max(x), 5), minor=False)
        axes.xaxis.set_major_formatter("{x:.2g}" if head != "timesteps" else "{x:.0f}")
    figure.axes[0].set_ylabel("milliseconds per image")
    figure.axes[1].legend(frameon=False)
    return figure


def main() -> None:
    """Prints the tables, and draws them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--figure", type=pathlib.Path)
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        return print(json.dumps(seconds(*convert(), TIMESTEPS, arguments.repetitions)))
    tables = {
        "mean firing rate": against_rate(arguments.repetitions),
        "timesteps": against_timesteps(arguments.repetitions),
        "threads": against_threads(arguments.repetitions),
    }
    print(", ".join(f"{key} {value}" for key, value in versions().items()), snn.ops.implementation())
    for head, rows in tables.items():
        print_table(head, rows)
    if arguments.figure:
        arguments.figure.write_bytes(image(figure_of(tables), "png", 200))
    return None


if __name__ == "__main__":
    main()
