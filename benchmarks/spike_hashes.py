"""Digests of the spikes of the data folder's networks: whether a change of the code has changed any spike.

Run it before and after; equal digests mean equal thresholds, spike counts of every neuron and sample, and outputs.

    python benchmarks/spike_hashes.py [--networks lenet5_mnist ...] [--images 64] [--timesteps 32]

The trained networks and the data are found through the environment variable SNN_TOOLBOX_TF_DATA.
"""

import argparse
import hashlib

import keras
import numpy as np
from networks import CASES, data_folder, load_images

import snn_toolbox_tf as snn


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Returns a digest of arrays by name; the order of the names counts, the names themselves do not."""
    found = hashlib.sha256()
    for array in arrays.values():
        found.update(f"{array.shape}".encode())
        found.update(np.ascontiguousarray(array, np.float64).tobytes())
    return found.hexdigest()[:16]


def load(name: str, images: int) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Returns a network, its calibration data (256 images) and its test data."""
    folder = data_folder()
    case = CASES[name]
    x_calibration, _ = load_images(folder / case.calibration, 256, case.prepare)
    x, _ = load_images(folder / case.test, images, case.prepare)
    return case.load(folder), x_calibration, x


def main() -> None:
    """Prints one line per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=[*CASES])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--timesteps", type=int, default=32)
    arguments = parser.parse_args()
    print("| network | thresholds | spike counts | outputs | spikes |")
    print("|---|---|---|---|---|")
    for name in arguments.networks or CASES:
        model, x_calibration, x = load(name, arguments.images)
        model_snn = snn.convert_keras(model, x_calibration, percentile=99.9)
        result = model_snn.simulate(x, timesteps=arguments.timesteps, record=["spike_counts"], outputs=[8, 16, 32])
        counts = dict(result.sample_spike_counts)
        spikes = sum(int(array.sum()) for array in counts.values())
        outputs = dict(enumerate(keras.tree.flatten(result.outputs)))
        cells = digest(model_snn.thresholds()), digest(counts), digest(outputs), f"{spikes:,}"
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
