"""Latency code against the source and against rate code: errors, accuracies, spikes, operations, seconds.

    python benchmarks/latency_code.py [network ...] [--samples N]

Of every network of the data folder: the largest error of all decoded outputs in continuous time, relative to the largest
output; the accuracy of the ANN, in continuous time and with S timesteps per window; spikes a neuron; operations per
multiply-accumulate of the ANN; and, on 1,000 images, seconds and operations beside rate code (T = 32, as `convert_keras`
makes it by itself). Networks without data get random input, and errors only.
"""

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np
from networks import CASES, Case, data_folder, load_images

import snn_toolbox_tf as snn
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.parse import parse

STEPS = (64, 32, 16)
TIMED, BATCH, CALIBRATION, RATE_TIMESTEPS = 1000, 100, 1000, 32

#: As Keras 1 and 2 wrote them; with the images that they were trained on, or None.
LEGACY = {
    "cnn_cifar10_keras1.2.1.h5": ("cifar10", lambda x: x / np.float32(255)),
    "cnn_mnist_keras1.2.1.h5": ("mnist", lambda x: x[..., None] / np.float32(255)),
    "cnn_cifar10_theano_keras2.0.4.h5": ("cifar10", lambda x: x.transpose(0, 3, 1, 2) / np.float32(255)),
    "lenet5_mnist_theano_keras2.0.4.h5": ("mnist", lambda x: x[:, None] / np.float32(255)),
    "lenet5_mnist_keras2.2.4.h5": ("mnist", lambda x: x[:, None] / np.float32(255)),
    "mobilenet_vww96_keras2.4.0.h5": None,
    "wakeword_keras2.14.0.h5": None,
}
_FILES = {"cifar10": ("cifar10_calib5000.npz", "cifar10_test.npz"), "mnist": ("mnist_train.npz", "mnist_test.npz")}


@dataclasses.dataclass(frozen=True)
class Data:
    """Calibration and test images; labels only where the network knows them."""

    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray | None


def all_cases() -> dict[str, Case | None]:
    """Returns the networks of the data folder; None for a network without data."""
    cases: dict[str, Case | None] = {name: case for name, case in CASES.items() if name != "mobilenet_vww96"}
    cases["mobilenet_vww96"] = None
    for file, images in LEGACY.items():
        if images is None:
            cases[file] = None
        else:
            kind, prepare = images
            cases[file] = Case(
                lambda folder, file=file: snn.load_model(folder / "legacy" / file), *_FILES[kind], prepare
            )
    return cases


def load_model(name: str, case: Case | None, folder: pathlib.Path) -> keras.Model:
    """Returns a network."""
    if case is not None:
        return case.load(folder)
    return CASES[name].load(folder) if name in CASES else snn.load_model(folder / "legacy" / name)


def load_data(case: Case | None, model: keras.Model, folder: pathlib.Path, samples: int) -> Data:
    """Returns images, or random input."""
    if case is None:
        generator = np.random.default_rng(0)
        shape = model.inputs[0].shape[1:]
        return Data(generator.random((200, *shape), "float32"), generator.random((200, *shape), "float32"), None)
    x, y = load_images(folder / case.test, samples, case.prepare)
    calibration, _ = load_images(folder / case.calibration, CALIBRATION, case.prepare)
    return Data(calibration, x, y)


def ann_outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Returns the source's outputs."""
    graph = parse(model).graph
    (name,) = keras.tree.flatten(graph.input_structure)
    source = SourceFunction(model, graph)
    return np.concatenate([np.asarray(source({name: x[i : i + BATCH]})) for i in range(0, len(x), BATCH)])


def seconds(task: Callable[[], object]) -> float:
    """Returns how long a task takes, the second time."""
    task()
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def per_mac(result: snn.LatencyResult | snn.SimulationResult, macs: float) -> float:
    """Returns additions and multiply-accumulates per sample, for each multiply-accumulate of the ANN."""
    parts = [*result.synaptic_operations.values(), *result.multiply_accumulates.values()]
    return float(sum(part.mean() for part in parts)) / macs


def measure(name: str, case: Case | None, samples: int) -> None:
    """Prints one network's numbers."""
    folder = data_folder()
    model = load_model(name, case, folder)
    data = load_data(case, model, folder, samples)
    expected = ann_outputs(model, data.test)
    print(f"\n{name}: {len(data.test):,} samples", flush=True)
    if data.labels is not None:
        print(f"  ANN: accuracy {100 * (expected.argmax(-1) == data.labels).mean():.2f} %")
    macs = 0.0
    for steps in (None, *STEPS):
        model_snn = snn.convert_keras(model, data.calibration, code="latency", timesteps_per_window=steps)
        macs = model_snn.ann_multiply_accumulates
        start = time.perf_counter()
        result = model_snn.simulate(data.test, batch_size=BATCH)
        took = time.perf_counter() - start
        line = f"  latency, {'continuous' if steps is None else f'S = {steps}'}: "
        if data.labels is not None:
            line += f"accuracy {100 * result.accuracy(data.labels):.2f} %, "
            agreement = (result.outputs.argmax(-1) == expected.argmax(-1)).mean()
            line += f"decisions as the ANN's {100 * agreement:.2f} %, "
        error = np.abs(result.outputs - expected).max() / np.abs(expected).max()
        most = max(float(counts.max()) for counts in result.spike_counts.values()) / result.samples
        neurons = sum(count.size for count in result.spike_counts.values())
        clipped = sum(result.clipped[key] * result.spike_counts[key].size for key in result.clipped) / neurons
        line += (
            f"error {error:.1e}, {result.spikes_per_neuron:.3f} spikes a neuron (the busiest {most:.2f}), "
            f"clipped {100 * clipped:.4f} %, latency {result.latency:g} ({result.windows} windows), "
            f"{per_mac(result, macs):.3f} operations per MAC, {took:.1f} s"
        )
        print(line, flush=True)
        if steps in (None, STEPS[0]):
            part = data.test[:TIMED]
            print(
                f"    {len(part)} samples: {seconds(lambda m=model_snn, x=part: m.simulate(x, batch_size=BATCH)):.2f} s"
            )
    part = data.test[:TIMED]
    model_snn = snn.convert_keras(model, data.calibration, timesteps=RATE_TIMESTEPS)
    took = seconds(lambda: model_snn.simulate(part, outputs="last", batch_size=BATCH))
    result = model_snn.simulate(part, outputs="last", batch_size=BATCH)
    spikes = sum(counts.sum() for counts in result.spike_counts.values())
    neurons = sum(counts.size for counts in result.spike_counts.values()) * result.samples
    line = f"  rate, T = {RATE_TIMESTEPS}, {len(part)} samples: "
    if data.labels is not None:
        line += f"accuracy {100 * result.accuracy(data.labels[:TIMED])[-1]:.2f} %, "
        line += f"ANN on the same {100 * (expected[:TIMED].argmax(-1) == data.labels[:TIMED]).mean():.2f} %, "
    print(f"{line}{spikes / neurons:.2f} spikes a neuron, {per_mac(result, macs):.3f} operations per MAC, {took:.2f} s")


def main() -> None:
    """Measures the networks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="names of networks; all if none is given")
    parser.add_argument("--samples", type=int, default=10_000, help="test samples")
    arguments = parser.parse_args()
    cases = all_cases()
    for name in arguments.networks or cases:
        measure(name, cases[name], arguments.samples)


if __name__ == "__main__":
    main()
