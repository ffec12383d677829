"""Trains the network that `snn-toolbox-tf example` writes.

python examples/digits_model.py [--seed 0] [--output snn_toolbox_tf/example_files/digits_cnn.keras]

The file in the package was written with Keras 3.6.0, the oldest that is supported: older ones do not read all that newer
ones write. Same seed, same versions, same machine: same weights.
"""

import argparse
import pathlib

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.cli.example import FILES, digits


def build() -> keras.Model:
    """Returns an untrained CNN with batch norm, max pooling and dropout."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(name="relu1"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Dropout(0.25, name="dropout"),
            layers.Flatten(name="flatten"),
            layers.Dense(32, activation="relu", name="dense"),
            layers.Dense(10, activation="softmax", name="classes"),
        ],
        name="digits_cnn",
    )


def train(x: np.ndarray, y: np.ndarray, seed: int) -> keras.Model:
    """Returns a trained CNN, without the optimizer, whose state would be twice as large as the weights."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    trained = build()
    trained.compile("adam", loss="sparse_categorical_crossentropy")
    trained.fit(x, y, epochs=40, batch_size=32, verbose=0)
    model = build()
    model.set_weights(trained.get_weights())
    return model


def main() -> None:
    """Trains, writes the model and prints its accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=FILES / "digits_cnn.keras", help="file to write")
    arguments = parser.parse_args()
    x_train, y_train, x_test, y_test = digits()
    model = train(x_train, y_train, arguments.seed)
    accuracy = np.mean(np.argmax(model.predict(x_test, verbose=0), axis=-1) == y_test)
    model.save(arguments.output)
    print(f"{arguments.output}: Keras {keras.__version__}, accuracy {accuracy:.4f} on {len(x_test)} test images")


if __name__ == "__main__":
    main()
