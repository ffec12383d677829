"""Accuracy of converted networks over time, on complete test sets.

The trained networks and the data are found through the environment variable SNN_TOOLBOX_TF_DATA.

    python benchmarks/accuracy.py [--models lenet5_mnist ...] [--images 10000] [--output accuracy.json]
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable

import keras
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.report import versions

TIMESTEPS = [8, 16, 32, 64, 128]


def _resnet20_example():
    path = pathlib.Path(__file__).parents[1] / "examples" / "cifar10_resnet20.py"
    spec = importlib.util.spec_from_file_location("cifar10_resnet20", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_resnet20(folder: pathlib.Path) -> keras.Model:
    example = _resnet20_example()
    model = example.build_resnet20()
    example.load_pytorch_weights(model, folder / "resnet20_cifar10.npz")
    return model


def _standardized(mean: list[float], std: list[float], scale: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: (x / np.float32(scale) - np.array(mean, np.float32)) / np.array(std, np.float32)


@dataclasses.dataclass(frozen=True)
class Case:
    """A trained network and how it wants its images (uint8 NHWC, or [samples, 28, 28] for MNIST)."""

    load: Callable[[pathlib.Path], keras.Model]
    calibration: str
    test: str
    prepare: Callable[[np.ndarray], np.ndarray]


def _file(name: str) -> Callable[[pathlib.Path], keras.Model]:
    return lambda folder: keras.saving.load_model(folder / name)


CASES = {
    "lenet5_mnist": Case(
        _file("models/lenet5_mnist.keras"), "mnist_train.npz", "mnist_test.npz", lambda x: x[:, None] / np.float32(255)
    ),
    "cnn_bn_cifar10": Case(
        _file("models/cnn_bn_cifar10.keras"),
        "cifar10_calib5000.npz",
        "cifar10_test.npz",
        lambda x: x.transpose(0, 3, 1, 2) / np.float32(255),
    ),
    "resnet8_cifar10": Case(
        _file("models/resnet8_cifar10.keras"),
        "cifar10_calib5000.npz",
        "cifar10_test.npz",
        lambda x: x.astype(np.float32),
    ),
    "resnet20_cifar10": Case(
        _load_resnet20,
        "cifar10_calib5000.npz",
        "cifar10_test.npz",
        _standardized([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 255),
    ),
    "vgg16_cifar10": Case(
        _file("vgg16_cifar10.keras"),
        "cifar10_calib5000.npz",
        "cifar10_test.npz",
        _standardized([125.3, 123.0, 113.9], [63.0, 62.1, 66.7], 1),
    ),
}
DEFAULT = ["lenet5_mnist", "cnn_bn_cifar10", "resnet8_cifar10", "resnet20_cifar10"]


def load_images(path: pathlib.Path, count: int, prepare: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of a file, prepared, and their labels."""
    with np.load(path, allow_pickle=False) as file:
        return prepare(file["x"][:count]), file["y"][:count]


def measure(
    name: str, folder: pathlib.Path, images: int, calibration_images: int, batch_size: int, options: dict
) -> dict:
    """Returns ANN and SNN accuracy of one network, in percent."""
    case = CASES[name]
    model = case.load(folder)
    x, y = load_images(folder / case.test, images, case.prepare)
    x_calibration, _ = load_images(folder / case.calibration, calibration_images, case.prepare)
    ann = float((model.predict(x, batch_size=256, verbose=0).argmax(axis=-1) == y).mean())
    model_snn = snn.convert_keras(model, x_calibration, **options)
    start = time.perf_counter()
    result = model_snn.simulate(x, outputs=TIMESTEPS, batch_size=batch_size)
    return {
        "model": name,
        "images": len(x),
        "ann": 100 * ann,
        "snn": {int(t): 100 * float(a) for t, a in zip(result.timesteps, result.accuracy(y), strict=True)},
        "mean_firing_rate": float(np.mean(list(result.firing_rates.values()))),
        "pass_error": model_snn.conversion["pass_error"],
        "grid_error": model_snn.conversion["grid_error"],
        "simulation_seconds": time.perf_counter() - start,
    }


def main() -> None:
    """Prints a Markdown table, and writes a JSON record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=DEFAULT)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--calibration-images", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--percentile", type=float, default=99.9)
    parser.add_argument("--v0", type=float, default=0.5, help="initial potential in units of the threshold")
    parser.add_argument("--output", help="JSON file for the record")
    arguments = parser.parse_args()
    if not os.environ.get("SNN_TOOLBOX_TF_DATA"):
        sys.exit("Set SNN_TOOLBOX_TF_DATA to the folder that holds the trained networks and the data.")
    folder = pathlib.Path(os.environ["SNN_TOOLBOX_TF_DATA"])
    print(f"| network | images | ANN | {' | '.join(f'T = {t}' for t in TIMESTEPS)} |")
    print("|---" * (3 + len(TIMESTEPS)) + "|")
    rows = []
    options = {"percentile": arguments.percentile, "v0": arguments.v0}
    for name in arguments.models:
        row = measure(name, folder, arguments.images, arguments.calibration_images, arguments.batch_size, options)
        cells = " | ".join(f"{row['snn'][t]:.2f}" for t in TIMESTEPS)
        print(f"| {name} | {row['images']} | {row['ann']:.2f} | {cells} |", flush=True)
        rows.append(row)
    print(", ".join(f"{key} {value}" for key, value in versions().items()))
    if arguments.output:
        record = {"settings": vars(arguments), "versions": versions(), "results": rows}
        pathlib.Path(arguments.output).write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
