"""Trains a regression network on scikit-learn's diabetes data, and compares its R2 with that of the spiking network.

python examples/regression_diabetes.py [--timesteps 128] [--seed 0]
"""

import argparse

import keras
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

import snn_toolbox_tf as snn


def load_data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training and test inputs, [samples, 10], and targets, [samples, 1], of unit variance."""
    x, y = load_diabetes(return_X_y=True, scaled=True)
    x, y = (20 * x).astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32)[:, np.newaxis]
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=seed)
    return x_train, y_train, x_test, y_test


def train(x: np.ndarray, y: np.ndarray, seed: int) -> keras.Model:
    """Returns a trained network of one hidden layer."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((10,)), keras.layers.Dense(32, "relu", name="hidden"), keras.layers.Dense(1, name="progression")],
        name="diabetes",
    )
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    model.fit(x, y, epochs=40, batch_size=32, verbose=0)
    return model


def main() -> None:
    """Trains, converts and prints R2 over time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timesteps", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    x_train, y_train, x_test, y_test = load_data(arguments.seed)
    model = train(x_train, y_train, arguments.seed)
    print(f"ANN R2: {r2_score(y_test, model.predict(x_test, verbose=0)):.4f}")
    model_snn = snn.convert_keras(model, x_train, timesteps=arguments.timesteps)
    print(model_snn.conversion)
    result = model_snn.simulate(x_test)
    found = result.measures(y_test)
    for timesteps in (4, 8, 16, 32, 64, 128):
        if timesteps <= arguments.timesteps:
            r2, error = found["r2"][timesteps - 1], found["root_mean_square_error"][timesteps - 1]
            print(f"T = {timesteps:3}: R2 {r2:.4f}, root mean square error {error:.4f}")


if __name__ == "__main__":
    main()
