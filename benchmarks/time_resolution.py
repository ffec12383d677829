"""Errors against the length of a timestep, and against their number, of networks of neurons with time constants.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/time_resolution.py [network ...] [--images N] [--rows NAME ...] [--figure FILE]

"digits" is the network that the package brings along, and needs no data folder.
"""

import argparse
import importlib.resources
import sys
import time

import keras
import networks
import numpy as np
from sklearn.datasets import load_digits

import snn_toolbox_tf as snn
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire

NEURONS = {
    "LIF": LeakyIntegrateAndFire(tau_m=20.0),
    "LIF, tau_s = 2": LeakyIntegrateAndFire(tau_m=20.0, tau_s=2.0),
    "LIF, hard reset": LeakyIntegrateAndFire(tau_m=20.0, reset="zero"),
    "IF, tau_s = 5": IntegrateAndFire(tau_s=5.0),
}
DIGITS = "digits"


def loaded(name: str, images: int) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Returns a network, 500 images for its thresholds, and others that are simulated."""
    if name == DIGITS:
        path = importlib.resources.files("snn_toolbox_tf") / "example_files/digits_cnn.keras"
        with importlib.resources.as_file(path) as file:
            model = keras.saving.load_model(file)
        x = load_digits().images.reshape(-1, 8, 8, 1).astype("float32") / 16
        return model, x[:500], x[1200 : 1200 + images]
    case, folder = networks.CASES[name], networks.data_folder()
    calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
    x, _ = networks.load_images(folder / case.test, images, case.prepare)
    return case.load(folder), calibration_data, x


def row(cells: list[str]) -> str:
    """Returns a row in Markdown."""
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {DIGITS}, {', '.join(networks.CASES)}")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rows", nargs="+", default=list(NEURONS), choices=NEURONS)
    parser.add_argument("--figure", help="file for the figure of the last study")
    asked = parser.parse_args()
    for name in asked.networks or (DIGITS, "lenet5_mnist"):
        model, calibration_data, x = loaded(name, asked.images)
        for label in asked.rows:
            started = time.perf_counter()
            found = snn.time_resolution(model, calibration_data, x, NEURONS[label])
            heads = ["dt (ms)", "T", *found.errors, "outputs, against the ANN"]
            print(f"**{name}**, {label}: {found.duration:g} ms, {found.samples} images\n")
            print(f"{row(heads)}\n|{'---|' * len(heads)}")
            for place, dt in enumerate(found.dt):
                errors = [f"{values[place]:.4f}" for values in (*found.errors.values(), found.ann_errors)]
                print(row([f"{dt:g}", str(round(found.duration / dt)), *errors]))
            print(row(["slope", "", *map(str, found.dt_slopes.values()), ""]))
            print(f"\n{row(['T', *map(str, found.timesteps), 'slope'])}\n|{'---|' * (len(found.timesteps) + 2)}")
            for series, errors in found.timestep_errors.items():
                text = label if series == "neuron" else "IF"
                print(row([text, *(f"{error:.4f}" for error in errors), str(found.timestep_slopes[series])]))
            print(flush=True)
            print(f"{name}, {label}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
            if asked.figure:
                found.plot().savefig(asked.figure, dpi=150)


if __name__ == "__main__":
    main()
