"""The trained networks that benchmarks run on, and their images.

Both are found through the environment variable SNN_TOOLBOX_TF_DATA.
"""

import dataclasses
import importlib.util
import os
import pathlib
import sys
from collections.abc import Callable

import keras
import numpy as np


def data_folder() -> pathlib.Path:
    """Returns the folder that holds the trained networks and the data, or ends the program."""
    if not os.environ.get("SNN_TOOLBOX_TF_DATA"):
        sys.exit("Set SNN_TOOLBOX_TF_DATA to the folder that holds the trained networks and the data.")
    return pathlib.Path(os.environ["SNN_TOOLBOX_TF_DATA"])


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
    # Trained for other images, 96x96: it serves for speed only.
    "mobilenet_vww96": Case(
        _file("models/mobilenet_vww96.keras"),
        "cifar10_calib5000.npz",
        "cifar10_test.npz",
        lambda x: x.repeat(3, axis=1).repeat(3, axis=2) / np.float32(255),
    ),
}


def load_images(path: pathlib.Path, count: int, prepare: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of a file, prepared, and their labels."""
    with np.load(path, allow_pickle=False) as file:
        return prepare(file["x"][:count]), file["y"][:count]
