"""Accuracy of converted networks for given numbers of timesteps, on complete test sets.

The trained networks and the data are found through the environment variable SNN_TOOLBOX_TF_DATA. Every number of timesteps
has a network of its own, converted for it from calibration images without their labels, which a seed draws from the training
images; the test set is looked at once per network.

    python benchmarks/accuracy.py [--models lenet5_mnist ...] [--ways automatic ...] [--seeds 0 1 2] [--csv accuracy.csv]

benchmarks/accuracy_figure.py draws the table.
"""

import argparse
import csv
import itertools
import pathlib
import resource
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from networks import CASES, data_folder, load_images

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions

TIMESTEPS = [4, 8, 16, 32, 64]
DEFAULT = ["lenet5_mnist", "cnn_bn_cifar10", "resnet8_cifar10", "resnet20_cifar10"]
FITTED = ["initial_potentials", "thresholds", "weights"]
#: Arguments of `convert_keras` by the name of a way.
WAYS: dict[str, dict[str, Any]] = {
    "automatic": {},
    "percentile": {"threshold_rule": "percentile"},
    "percentile_per_population": {"threshold_rule": "percentile", "per_channel": False},
    "weights": {"threshold_rule": "mean_square_error", "corrections": FITTED},
    "layer_synchronous": {"schedule": "layer_synchronous"},
    "layer_synchronous_weights": {
        "schedule": "layer_synchronous",
        "threshold_rule": "mean_square_error",
        "corrections": ["weights"],
    },
    "signed_spikes": {"signed_spikes": True},
    "signed_spikes_weights": {"signed_spikes": True, "threshold_rule": "mean_square_error", "corrections": FITTED},
    "timed_biases": {"threshold_rule": "mean_square_error", "corrections": [*FITTED, "timed_biases"]},
    "gradient": {"calibration": "gradient"},
}


def measure(
    name: str, folder: pathlib.Path, way: str, seed: int, calibration_images: int, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yields accuracy in percent, seconds and peak memory of one network for every number of timesteps."""
    case = CASES[name]
    model = case.load(folder)
    x, y = load_images(folder / case.test, options.images, case.prepare)
    training, _ = load_images(folder / case.calibration, 5000, case.prepare)
    drawn = np.random.default_rng(seed).permutation(len(training))[:calibration_images]
    ann = 100 * float((model.predict(x, batch_size=256, verbose=0).argmax(axis=-1) == y).mean())
    for timesteps in options.timesteps:
        start = time.perf_counter()
        model_snn = snn.convert_keras(model, training[drawn], timesteps=timesteps, **WAYS[way])
        converted = time.perf_counter()
        outputs = model_snn.predict(x, batch_size=128, verbose=0)
        yield {
            "network": name,
            "way": way,
            "seed": seed,
            "images": len(x),
            "calibration_images": len(drawn),
            "timesteps": timesteps,
            "ann": ann,
            "snn": 100 * float((outputs.argmax(axis=-1) == y).mean()),
            "agreement": model_snn.conversion.agreement,
            "readout_start": model_snn.readout_start,
            "conversion_seconds": converted - start,
            "test_seconds": time.perf_counter() - converted,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def row_of(found: list[dict[str, Any]], timesteps: list[int]) -> str:
    """Returns a row of the table: the mean over seeds, and their spread (half the range) where there are several."""
    cells = []
    for t in timesteps:
        values = [row["snn"] for row in found if row["timesteps"] == t]
        spread = f" ± {np.ptp(values) / 2:.2f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.2f}{spread}")
    return f"| {found[0]['network']} | {found[0]['images']} | {found[0]['ann']:.2f} | {' | '.join(cells)} |"


def main() -> None:
    """Prints a Markdown table per way, and writes all that was measured if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=DEFAULT)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["automatic"])
    parser.add_argument("--timesteps", nargs="+", type=int, default=TIMESTEPS)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--calibration-images", nargs="+", type=int, default=[1000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--csv", type=pathlib.Path, help="file for all that was measured, written as it comes")
    options = parser.parse_args()
    folder, every = data_folder(), []
    for way, calibration_images in itertools.product(options.ways, options.calibration_images):
        print(f"{way}, {calibration_images} calibration images\n")
        print(f"| network | images | ANN | {' | '.join(f'T = {t}' for t in options.timesteps)} |")
        print("|---" * (3 + len(options.timesteps)) + "|")
        for name in options.models:
            found = []
            for seed in options.seeds:
                for row in measure(name, folder, way, seed, calibration_images, options):
                    found.append(row)
                    write(options.csv, [*every, *found])
            every += found
            print(row_of(found, options.timesteps), flush=True)
        print()
    print(", ".join(f"{key} {value}" for key, value in versions().items()))


def write(path: pathlib.Path | None, rows: list[dict[str, Any]]) -> None:
    """Writes what has been measured so far."""
    if path is not None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
