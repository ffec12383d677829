"""Speed and memory of the simulation, side by side with dense passes of the source network.

For every network, batch size and T it measures one simulation and T dense passes of the same Keras model (a compiled
function; `PASSES` of them are timed, and scaled to T), warmed up, in turn, and takes the median of 5. It also measures the
memory that a simulation takes on top of TensorFlow's own, the share of time of each op, the integrate-fire op against the
machine's copy bandwidth, and SpikingJelly with the same weights, if it is installed (single-step and multi-step, the faster
one counts).

    python benchmarks/simulation_speed.py [--networks resnet20_cifar10 ...] [--batch-sizes 1 16] [--timesteps 32]

The trained networks and the data are found through the environment variable SNN_TOOLBOX_TF_DATA.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import spikingjelly_resnet20
import tensorflow as tf
from measuring import copy_task, interleaved, reset_peak, resident_bytes, shares_of_time
from networks import CASES, data_folder, load_images

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions

NETWORKS = ["resnet20_cifar10", "vgg16_cifar10", "lenet5_mnist", "mobilenet_vww96"]
BATCH_SIZES = [1, 16, 64, 256]
TIMESTEPS = [8, 32, 128]
PASSES = 8
CALIBRATION_IMAGES = 256
#: Timesteps, neurons: currents of 4 MiB, which most machines' last cache holds, and of 128 MiB, which it does not.
OP_SIZES = [(4, 2**18), (8, 2**17), (32, 2**15), (4, 2**23), (8, 2**22), (32, 2**20)]
#: One step is too short to time.
IN_A_ROW = 20


def compiled(model: keras.Model, x: tf.Tensor, *, timesteps: int | None = None):
    """Returns a task that runs a model on a batch, in a compiled function of its own."""
    if timesteps is None:
        function = tf.function(lambda x: model(x, training=False), autograph=False).get_concrete_function(x)
        return lambda: [function(x) for _ in range(PASSES)][-1].numpy()
    model.timesteps = timesteps
    function = tf.function(lambda x: model(x), autograph=False).get_concrete_function(x)
    return lambda: function(x).numpy()


def measure_network(name: str, arguments: argparse.Namespace, folder: pathlib.Path) -> list[dict]:
    """Prints and returns one row per batch size and T."""
    case = CASES[name]
    model = case.load(folder)
    calibration, _ = load_images(folder / case.calibration, CALIBRATION_IMAGES, case.prepare)
    images, _ = load_images(folder / case.test, max(arguments.batch_sizes), case.prepare)
    model_snn = snn.convert_keras(model, calibration, percentile=99.9, engine=arguments.engine)
    peer = None
    if name == "resnet20_cifar10" and spikingjelly_resnet20.available():
        peer = spikingjelly_resnet20.build(folder / "resnet20_cifar10.npz", calibration)
    rows = []
    for batch_size in arguments.batch_sizes:
        x = tf.constant(images[:batch_size])
        tasks = {"ann": compiled(model, x)}
        for timesteps in arguments.timesteps:
            tasks[f"snn {timesteps}"] = compiled(model_snn, x, timesteps=timesteps)
            if peer is not None:
                for mode in ("s", "m"):
                    task = functools.partial(peer, images[:batch_size], timesteps, mode)
                    tasks[f"peer {mode} {timesteps}"] = task
        seconds = interleaved(tasks, arguments.repetitions)
        for timesteps in arguments.timesteps:
            dense, spiking = seconds["ann"] * timesteps / PASSES, seconds[f"snn {timesteps}"]
            row = {"network": name, "batch_size": batch_size, "timesteps": timesteps, "seconds": spiking}
            row |= {"images_per_second": batch_size / spiking, "dense_images_per_second": batch_size / dense}
            row["ratio"] = spiking / dense
            if peer is not None:
                fastest = min(seconds[f"peer {mode} {timesteps}"] for mode in ("s", "m"))
                row["spikingjelly_images_per_second"] = batch_size / fastest
            rows.append(row)
            print_row(row)
    return rows


def print_row(row: dict) -> None:
    """Prints a row of the table."""
    peer = row.get("spikingjelly_images_per_second")
    print(
        f"| {row['network']} | {row['batch_size']} | {row['timesteps']} | {row['images_per_second']:.1f} "
        f"| {row['dense_images_per_second']:.1f} | {row['ratio']:.2f} | {'' if peer is None else f'{peer:.1f}'} |",
        flush=True,
    )


def measure_shares(name: str, batch_size: int, timesteps: int, folder: pathlib.Path, engine: str) -> dict[str, float]:
    """Returns the share of kernel time of the ops that take most of it."""
    case = CASES[name]
    images, _ = load_images(folder / case.test, CALIBRATION_IMAGES, case.prepare)
    model_snn = snn.convert_keras(case.load(folder), images, percentile=99.9, engine=engine)
    return shares_of_time(compiled(model_snn, tf.constant(images[:batch_size]), timesteps=timesteps))


def measure_op(repetitions: int) -> list[dict]:
    """Measures the native op, in place as in the time loop, against copying as many bytes."""
    rows = []
    for timesteps, neurons in OP_SIZES:
        current, v = tf.random.stateless_uniform([timesteps, 1, neurons], [0, 0]), tf.zeros([1, neurons])
        steps = in_a_row(timesteps).get_concrete_function(current, v)
        copy, copied = copy_task(4 * timesteps * neurons)
        tasks = {
            "op": functools.partial(steps, current, v),
            "copy": lambda copy=copy: [copy() for _ in range(IN_A_ROW)],
        }
        seconds = interleaved(tasks, repetitions)
        # Currents and membrane potentials are read, spikes and membrane potentials written.
        moved = 4 * (2 * timesteps + 2) * neurons
        op, copying = IN_A_ROW * moved / seconds["op"] / 1e9, IN_A_ROW * copied / seconds["copy"] / 1e9
        row = {"timesteps": timesteps, "neurons": neurons, "op_gb_per_second": op, "copy_gb_per_second": copying}
        rows.append({**row, "share": op / copying})
    return rows


def in_a_row(timesteps: int):
    """Returns a function that steps a population through `IN_A_ROW` blocks, whose currents are the last block's spikes."""

    @tf.function(autograph=False)
    def steps(current, v):
        def body(count, current, v):
            block = snn.ops.integrate_fire(current, v, tf.constant(1.0), timesteps=timesteps)
            return count + 1, block.spikes, block.membrane_potential

        # Added to, so that the buffer is its own and not the caller's.
        return tf.while_loop(lambda count, *_: count < IN_A_ROW, body, (0, current + 0.5, v + 0.5))[2]

    return steps


def measure_memory(name: str, batch_size: int, timesteps: list[int], folder: pathlib.Path) -> list[dict]:
    """Measures, each in a process of its own, what loading and simulating a converted network takes."""
    case = CASES[name]
    images, _ = load_images(folder / case.test, max(batch_size, CALIBRATION_IMAGES), case.prepare)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        path, data = pathlib.Path(temporary) / "model.keras", pathlib.Path(temporary) / "x.npy"
        snn.convert_keras(case.load(folder), images, percentile=99.9).save(path)
        np.save(data, images[:batch_size])
        for t in timesteps:
            command = [sys.executable, __file__, "--memory-of", str(path), str(data), str(t)]
            output = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout
            rows.append({"network": name, "batch_size": batch_size, "timesteps": t, "bytes": int(output)})
    return rows


def print_memory_of(path: str, data: str, timesteps: int) -> None:
    """Loads and simulates a model; prints by how much the process grew over TensorFlow alone."""
    tf.linalg.matmul(tf.ones([64, 64]), tf.ones([64, 64])).numpy()
    reset_peak()
    before = resident_bytes()
    model_snn = keras.saving.load_model(path)
    model_snn.timesteps = timesteps
    x = np.load(data)
    model_snn.predict(x, batch_size=len(x), verbose=0)
    print(resident_bytes(peak=True) - before)


def main() -> None:
    """Prints Markdown tables, and writes a JSON record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=BATCH_SIZES)
    parser.add_argument("--timesteps", nargs="+", type=int, default=TIMESTEPS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--engine", choices=["auto", "dense", "event"], default="auto")
    parser.add_argument("--output", help="JSON file for the record")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        path, data, timesteps = arguments.memory_of
        return print_memory_of(path, data, int(timesteps))
    folder = data_folder()
    record: dict = {"versions": versions(), "implementation": str(snn.ops.implementation()), "rows": []}
    if spikingjelly_resnet20.available():
        record["versions"]["peer"] = spikingjelly_resnet20.version()
    print(json.dumps(record["versions"]), record["implementation"], f"{os.cpu_count()} processors", sep="\n")
    print(
        "\n| network | batch | T | images/s | T dense passes, images/s | time / T dense passes | SpikingJelly, images/s |"
    )
    print("|---" * 7 + "|")
    for name in arguments.networks:
        record["rows"] += measure_network(name, arguments, folder)
        keras.backend.clear_session()
    record["op"] = measure_op(arguments.repetitions)
    for row in record["op"]:
        print(
            f"\nThe op, {row['timesteps']} timesteps of {row['neurons']} neurons: {row['op_gb_per_second']:.1f} GB/s, "
            f"{100 * row['share']:.0f} % of copying ({row['copy_gb_per_second']:.1f} GB/s)."
        )
    for name in arguments.networks:
        record.setdefault("shares", {})[name] = shares = measure_shares(name, 16, 32, folder, arguments.engine)
        print(f"\n{name}, batch 16, T = 32:", ", ".join(f"{op} {100 * share:.0f} %" for op, share in shares.items()))
        memory = measure_memory(name, 64, [32, 128], folder)
        record.setdefault("memory", []).extend(memory)
        for row in memory:
            print(f"Memory, batch {row['batch_size']}, T = {row['timesteps']}: {row['bytes'] / 2**20:.0f} MiB.")
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(record, indent=1))
    return None


if __name__ == "__main__":
    main()
