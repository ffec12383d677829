"""Circuits against the exact forms: max pooling, the spiking softmax, the bias neuron, on a network of the data folder.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/pooling_rules.py [network] [--images N] [--timesteps 32 128]

Thresholds are percentiles (99.9), without corrections, so that rows differ by the circuit alone. The error is the root mean
square of the outputs' difference from the ANN's, over that of the ANN's outputs.
"""

import argparse
from typing import Any

import networks
import numpy as np

import snn_toolbox_tf as snn

#: Options of conversion by row.
CIRCUITS: dict[str, dict[str, Any]] = {
    "exact": {},
    "winner takes all": {"max_pooling": "winner_take_all"},
    "lateral inhibition": {"max_pooling": "lateral_inhibition"},
    "spiking softmax": {"softmax": "spiking"},
    "bias neuron, rate 1": {"bias": "neuron"},
    "bias neuron, rate 1/4": {"bias": "neuron", "bias_rate": 0.25},
}


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="lenet5_mnist", choices=networks.CASES)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[32, 128])
    asked = parser.parse_args()
    case, folder = networks.CASES[asked.network], networks.data_folder()
    model = case.load(folder)
    calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
    x, y = networks.load_images(folder / case.test, asked.images, case.prepare)
    ann = model.predict(x, verbose=0)
    print(f"{asked.network}: ANN {100 * (ann.argmax(1) == y).mean():.2f} % of {len(x)} images\n")
    print("| circuit | T | accuracy | error |\n|---|---|---|---|")
    for timesteps in asked.timesteps:
        for name, options in CIRCUITS.items():
            model_snn = snn.convert_keras(
                model, calibration_data, timesteps=timesteps, percentile=99.9, corrections=(), **options
            )
            outputs = model_snn.simulate(x, outputs="last", seed=0).outputs[-1]
            error = float(np.sqrt(np.square(outputs - ann).mean() / np.square(ann).mean()))
            print(f"| {name} | {timesteps} | {100 * (outputs.argmax(1) == y).mean():.2f} | {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
