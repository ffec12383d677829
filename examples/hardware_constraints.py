"""What a network loses without bias currents, max pooling, softmax, or many bits a weight, on scikit-learn's digits.

python examples/hardware_constraints.py [--timesteps 32] [--seed 0]

Input is analog: the first layer is a current, which keeps its biases. With `input="poisson"` a bias neuron feeds it as well.
"""

import argparse
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import snn_toolbox_tf as snn

#: Options of conversions by what they do without.
WITHOUT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "bias currents": {"bias": "neuron"},
    "bias currents, at half the rate": {"bias": "neuron", "bias_rate": 0.5},
    "max pooling, spikes of the strongest": {"max_pooling": "winner_take_all"},
    "max pooling, lateral inhibition": {"max_pooling": "lateral_inhibition"},
    "softmax": {"softmax": "spiking"},
    "more than 4 bits of a weight": {"weight_bits": 4},
    "all of it": {"bias": "neuron", "max_pooling": "lateral_inhibition", "softmax": "spiking", "weight_bits": 4},
}


def train(x: np.ndarray, y: np.ndarray, seed: int) -> keras.Model:
    """Returns a trained network with biases, max pooling and softmax."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(12, 3, activation="relu", name="first"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(24, 2, activation="relu", name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, "softmax", name="digit"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=12, batch_size=32, verbose=0)
    return model


def main() -> None:
    """Trains, converts with each constraint, and prints accuracy and spikes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timesteps", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    images, digits = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8, 1).astype(np.float32) / 16
    x_train, x_test, y_train, y_test = train_test_split(x, digits, test_size=0.3, random_state=arguments.seed)
    model = train(x_train, y_train, arguments.seed)
    print(f"ANN accuracy: {100 * model.evaluate(x_test, y_test, verbose=0)[1]:.2f} %")
    print(f"{'without':38} accuracy  spikes  additions of a sample, T = {arguments.timesteps}")
    for name, options in WITHOUT.items():
        model_snn = snn.convert_keras(model, x_train, timesteps=arguments.timesteps, **options)
        result = model_snn.simulate(x_test)
        spikes = sum(counts.sum() for counts in result.spike_counts.values()) / len(x_test)
        additions = sum(operations.mean() for operations in result.synaptic_operations.values())
        print(f"{name:38} {100 * result.accuracy(y_test)[-1]:6.2f} % {spikes:7.0f} {additions:10.0f}")


if __name__ == "__main__":
    main()
