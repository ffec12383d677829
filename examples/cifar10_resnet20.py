"""Writes a trained ResNet-20 (CIFAR-10) and its data as files, and runs config_templates/cifar10_resnet20.ini on them.

The weights and images are found through the environment variable SNN_TOOLBOX_TF_DATA: resnet20_cifar10.npz (trained weights
of the 16/32/64 ResNet-20 of He et al. 2015, PyTorch names and layouts, from akamaster/pytorch_resnet_cifar10),
cifar10_calib5000.npz and cifar10_test.npz (arrays x, uint8 NHWC, and y).

    python examples/cifar10_resnet20.py [--images 1000] [--calibration-images 1000] [--timesteps 128]
"""

import argparse
import os
import pathlib
import sys

import keras
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf.report.summary import summarize

ROOT = pathlib.Path(__file__).parents[1]
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def build_resnet20() -> keras.Model:
    """Returns the 16/32/64 ResNet-20 with option-A shortcuts (every second pixel, channels padded with zeros)."""
    layers = keras.layers

    def convolution(x, filters, stride, name):
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        return layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=name)(x)

    def batch_norm(x, name):
        return layers.BatchNormalization(epsilon=1e-5, name=name)(x)

    def shortcut(x, filters, name):
        x = layers.AveragePooling2D(1, strides=2, name=f"{name}_every_second")(x)
        # Padding channels with zeros, as many as there are, half on each side: with the two halves of the channels as
        # the columns of an image, that is a column on each side.
        height, width, channels = x.shape[1:]
        x = layers.Reshape((height * width, 2, channels // 2), name=f"{name}_halves")(x)
        x = layers.ZeroPadding2D((0, 1), name=f"{name}_pad_channels")(x)
        return layers.Reshape((height, width, filters), name=f"{name}_fold")(x)

    inputs = keras.Input((32, 32, 3), name="image")
    x = layers.ReLU(name="relu1")(batch_norm(convolution(inputs, 16, 1, "conv1"), "bn1"))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for number in range(3):
            prefix = f"layer{stage}_{number}"
            stride = 2 if stage > 1 and number == 0 else 1
            y = batch_norm(convolution(x, filters, stride, f"{prefix}_conv1"), f"{prefix}_bn1")
            y = layers.ReLU(name=f"{prefix}_relu1")(y)
            y = batch_norm(convolution(y, filters, 1, f"{prefix}_conv2"), f"{prefix}_bn2")
            if stride == 2:
                x = shortcut(x, filters, f"{prefix}_shortcut")
            x = layers.ReLU(name=f"{prefix}_relu2")(layers.Add(name=f"{prefix}_add")([y, x]))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(10, name="linear")(x), name="resnet20")


def load_pytorch_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Copies weights with PyTorch's parameter names and layouts into the Keras model."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name.removeprefix("module."): file[name] for name in file.files}
    for layer in model.layers:
        name = layer.name.replace("layer1_", "layer1.").replace("layer2_", "layer2.").replace("layer3_", "layer3.")
        name = name.replace("_", ".")
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([arrays[f"{name}.weight"].transpose(2, 3, 1, 0)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            keys = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([arrays[f"{name}.{key}"] for key in keys])
        elif isinstance(layer, keras.layers.Dense):
            layer.set_weights([arrays[f"{name}.weight"].T, arrays[f"{name}.bias"]])


def load_images(path: str | os.PathLike, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns images as the network expects them, and labels."""
    with np.load(path, allow_pickle=False) as file:
        x, y = file["x"][:count], file["y"][:count]
    return (x.astype(np.float32) / 255.0 - MEAN) / STD, y


def main() -> None:
    """Writes the network and its data, and runs the configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="number of test images, 10,000 at most")
    parser.add_argument("--calibration-images", type=int, default=1000)
    parser.add_argument("--timesteps", type=int, default=128)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "reports" / "cifar10_resnet20")
    arguments = parser.parse_args()
    source = os.environ.get("SNN_TOOLBOX_TF_DATA")
    if not source:
        sys.exit("Set SNN_TOOLBOX_TF_DATA to the folder that holds resnet20_cifar10.npz and the CIFAR-10 files.")
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)

    model = build_resnet20()
    load_pytorch_weights(model, pathlib.Path(source) / "resnet20_cifar10.npz")
    model.save(folder / "resnet20.keras")
    x, y = load_images(pathlib.Path(source) / "cifar10_test.npz")
    x_calibration, _ = load_images(pathlib.Path(source) / "cifar10_calib5000.npz", arguments.calibration_images)
    for name, array in {"x_test": x, "y_test": y, "x_norm": x_calibration}.items():
        np.savez(folder / name, array)

    settings = snn.read_settings(ROOT / "config_templates" / "cifar10_resnet20.ini").replace(
        path_wd=folder,
        log_dir_of_current_run=folder / "run",
        num_to_test=arguments.images,
        timesteps=arguments.timesteps,
    )
    finished = snn.run(settings)
    print(summarize(finished.record))
    print(f"report: {finished.report}")


if __name__ == "__main__":
    main()
