"""A ReLU RNN on the rows of MNIST, one row a step: accuracy against timesteps, step by step and layer-synchronously.

    python benchmarks/recurrent.py [--epochs 3] [--units 128]

The recurrent weights begin as the identity (Le et al. 2015, arXiv 1504.00941). Data: `mnist_train.npz` and
`mnist_test.npz` in the folder that the environment variable SNN_TOOLBOX_TF_DATA names.
"""

import argparse
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import ClosedForm

TIMESTEPS = (8, 16, 32, 64, 128)


def ways(timesteps: int) -> dict[str, dict[str, Any]]:
    """Returns options of conversions by their name in the table."""
    return {
        "step by step": {},
        "waiting T/4": {"population_starts": {"rnn": timesteps // 4}},
        "signed spikes": {"signed_spikes": True},
        "layer-synchronous": {"schedule": "layer_synchronous"},
    }


#: Samples on which counts are compared spike for spike; all others only by their accuracy.
COMPARED = 500


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns images as sequences of rows in [0, 1], and labels."""
    data = np.load(pathlib.Path(os.environ["SNN_TOOLBOX_TF_DATA"]) / name)
    return data["x"].reshape(-1, 28, 28).astype(np.float32) / 255, data["y"].reshape(-1).astype(np.int64)


def train(x: np.ndarray, y: np.ndarray, units: int, epochs: int) -> keras.Model:
    """Returns a trained network."""
    keras.utils.set_random_seed(0)
    rnn = keras.layers.SimpleRNN(units, activation="relu", recurrent_initializer="identity", name="rnn")
    model = keras.Sequential([keras.Input((28, 28)), rnn, keras.layers.Dense(10, activation="softmax")])
    steps = epochs * len(x) // 128
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps), clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
    return model


def main() -> None:
    """Trains, converts, and writes a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--timesteps", type=int, nargs="+", default=TIMESTEPS)
    arguments = parser.parse_args()
    (x, y), (x_test, y_test) = load("mnist_train.npz"), load("mnist_test.npz")
    start = time.perf_counter()
    model = train(x, y, arguments.units, arguments.epochs)
    trained = time.perf_counter() - start
    print(f"trained in {trained:.0f} s; ANN {100 * model.evaluate(x_test, y_test, verbose=0)[1]:.2f} %", flush=True)
    columns = " | ".join(ways(1))
    print(f"| T | {columns} | closed form equal | additions / ANN MAC |\n|{'---|' * (len(ways(1)) + 3)}")
    for timesteps in arguments.timesteps:
        cells = []
        for name, options in ways(timesteps).items():
            model_snn = snn.convert_keras(model, x[:1000], timesteps=timesteps, **options)
            cells.append(
                f"{100 * np.mean(model_snn.predict(x_test, batch_size=500, verbose=0).argmax(1) == y_test):.2f}"
            )
            if name == "step by step":
                result = model_snn.simulate(x_test[:COMPARED])
        counts = list(model_snn.thresholds())
        run = model_snn.simulate(x_test[:COMPARED], record=["spike_counts"])
        closed, _ = ClosedForm(model_snn)(x_test[:COMPARED], timesteps)
        equal = all(np.array_equal(run.sample_spike_counts[name], closed[name]) for name in counts)
        macs = 28 * 28 * arguments.units + 27 * arguments.units**2 + 10 * arguments.units
        additions = sum(operations.mean() for operations in result.synaptic_operations.values()) / macs
        print(f"| {timesteps} | {' | '.join(cells)} | {equal} | {additions:.2f} |", flush=True)


if __name__ == "__main__":
    main()
