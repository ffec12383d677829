"""Trains a small CNN on scikit-learn's digits, writes it and its data as files, and runs config_templates/digits.ini.

python examples/digits.py [--timesteps 32] [--seed 0] [--folder reports/digits]
"""

import argparse
import pathlib

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import snn_toolbox_tf as snn
from snn_toolbox_tf.report.summary import summarize

ROOT = pathlib.Path(__file__).parents[1]


def load_data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training and test images in [0, 1], [samples, 8, 8, 1], and labels."""
    digits = load_digits()
    x = (digits.images / 16.0).astype(np.float32)[..., np.newaxis]
    x_train, x_test, y_train, y_test = train_test_split(
        x, digits.target, test_size=0.3, random_state=seed, stratify=digits.target
    )
    return x_train, y_train, x_test, y_test


def train(x: np.ndarray, y: np.ndarray, seed: int) -> keras.Model:
    """Returns a trained CNN with batch norm, max pooling and dropout."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(name="relu1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Dropout(0.25, name="dropout"),
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense"),
            layers.Dense(10, activation="softmax", name="classes"),
        ],
        name="digits_cnn",
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=20, batch_size=64, verbose=0)
    return model


def main() -> None:
    """Runs everything and says where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timesteps", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "reports" / "digits", help="where files go")
    arguments = parser.parse_args()

    x_train, y_train, x_test, y_test = load_data(arguments.seed)
    print(f"training a CNN on {len(x_train)} digits ...")
    model = train(x_train, y_train, arguments.seed)
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "digits_cnn.keras")
    for name, array in {"x_test": x_test, "y_test": y_test, "x_norm": x_train}.items():
        np.savez_compressed(folder / name, array)

    settings = snn.read_settings(ROOT / "config_templates" / "digits.ini").replace(
        path_wd=folder, log_dir_of_current_run=folder / "run", timesteps=arguments.timesteps
    )
    finished = snn.run(settings)
    print(summarize(finished.record))
    print(f"report: {finished.report}")


if __name__ == "__main__":
    main()
