"""Writes the files that snn_toolbox's MNIST example writes, and runs its configuration, unchanged but for the paths.

The example is examples/mnist_keras_INI.py of snn_toolbox: a CNN with two branches, batch norm and average pooling, trained
for one epoch, saved as .h5 beside x_test.npz, y_test.npz (one-hot) and x_norm.npz. MNIST is read from the folder that the
environment variable SNN_TOOLBOX_TF_DATA names (mnist_train.npz, mnist_test.npz: x uint8 [samples, 28, 28], y), or
downloaded by Keras.

    python examples/snn_toolbox_mnist.py [--seed 0] [--folder reports/snn_toolbox_mnist]
"""

import argparse
import os
import pathlib

import keras
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf.report.summary import summarize

ROOT = pathlib.Path(__file__).parents[1]


def load_mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training and test images in [0, 1], [samples, 28, 28, 1], and one-hot labels."""
    folder = os.environ.get("SNN_TOOLBOX_TF_DATA")
    if folder:
        parts = [np.load(pathlib.Path(folder) / f"mnist_{part}.npz") for part in ("train", "test")]
        (x_train, y_train), (x_test, y_test) = ((part["x"], part["y"]) for part in parts)
    else:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    images = [x[..., np.newaxis] / 255 for x in (x_train, x_test)]
    labels = [keras.utils.to_categorical(y, 10) for y in (y_train, y_test)]
    return images[0], labels[0], images[1], labels[1]


def build_model() -> keras.Model:
    """Returns an untrained network of the example's topology."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.BatchNormalization()(layers.Conv2D(16, 5, strides=2)(inputs))
    x = layers.AveragePooling2D(2)(layers.Activation("relu")(x))
    branches = [
        layers.Conv2D(32, 3, padding="same", activation="relu")(x),
        layers.Conv2D(8, 1, activation="relu")(x),
    ]
    x = layers.Conv2D(10, 3, activation="relu")(layers.Concatenate()(branches))
    x = layers.Dropout(0.01)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="mnist_cnn")


def main() -> None:
    """Trains, writes the files, and runs the configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "reports" / "snn_toolbox_mnist")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)

    keras.utils.set_random_seed(arguments.seed)
    x_train, y_train, x_test, y_test = load_mnist()
    model = build_model()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=64, epochs=1, verbose=2)
    model.save(folder / "mnist_cnn.h5")
    for name, array in {"x_test": x_test, "y_test": y_test, "x_norm": x_train[::10]}.items():
        np.savez_compressed(folder / name, array)

    settings = snn.read_settings(ROOT / "config_templates" / "snn_toolbox_mnist.ini")
    # The file says nothing of overwriting: a second run of this example has to.
    settings = settings.replace(path_wd=folder, dataset_path=folder, overwrite=True)
    finished = snn.run(settings)
    print(summarize(finished.record))
    print(f"report: {finished.report}")


if __name__ == "__main__":
    main()
