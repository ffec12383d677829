"""Trains a recurrent network on the rows of scikit-learn's digits, and runs it with spikes, window after window.

python examples/rnn_digits.py [--timesteps 64] [--seed 0]
"""

import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import snn_toolbox_tf as snn


def train(x: np.ndarray, y: np.ndarray, seed: int) -> keras.Model:
    """Returns a trained network of recurrent neurons with ReLU, which read an image row by row."""
    keras.utils.set_random_seed(seed)
    rnn = keras.layers.SimpleRNN(64, activation="relu", recurrent_initializer="identity", name="rnn")
    model = keras.Sequential([keras.Input((8, 8)), rnn, keras.layers.Dense(10, "softmax", name="digit")])
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=30, batch_size=32, verbose=0)
    return model


def main() -> None:
    """Trains, converts in several ways, and prints accuracy and latency."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timesteps", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    images, digits = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8).astype(np.float32) / 16
    x_train, x_test, y_train, y_test = train_test_split(x, digits, test_size=0.3, random_state=arguments.seed)
    model = train(x_train, y_train, arguments.seed)
    print(f"ANN accuracy: {100 * model.evaluate(x_test, y_test, verbose=0)[1]:.2f} %")
    ways = {
        "step by step": {},
        "neurons wait T/4 in each window": {"population_starts": {"rnn": arguments.timesteps // 4}},
        "spikes may be taken back": {"signed_spikes": True},
        "layer-synchronous": {"schedule": "layer_synchronous"},
    }
    for name, options in ways.items():
        model_snn = snn.convert_keras(model, x_train, timesteps=arguments.timesteps, **options)
        result = model_snn.simulate(x_test)
        print(
            f"{name}: {100 * result.accuracy(y_test)[-1]:.2f} % after {result.windows} windows, {result.latency} timesteps"
        )


if __name__ == "__main__":
    main()
