"""Accuracy of converted networks over time, on complete test sets.

The trained networks and the data are found through the environment variable SNN_TOOLBOX_TF_DATA.

    python benchmarks/accuracy.py [--models lenet5_mnist ...] [--images 10000] [--output accuracy.json]

benchmarks/accuracy_figure.py draws the table.
"""

import argparse
import json
import pathlib
import time

import numpy as np
from networks import CASES, data_folder, load_images

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions

TIMESTEPS = [8, 16, 32, 64, 128]
DEFAULT = ["lenet5_mnist", "cnn_bn_cifar10", "resnet8_cifar10", "resnet20_cifar10"]


def measure(
    name: str,
    folder: pathlib.Path,
    timesteps: list[int],
    images: int,
    calibration_images: int,
    batch_size: int,
    options: dict,
) -> dict:
    """Returns ANN and SNN accuracy of one network, in percent."""
    case = CASES[name]
    model = case.load(folder)
    x, y = load_images(folder / case.test, images, case.prepare)
    x_calibration, _ = load_images(folder / case.calibration, calibration_images, case.prepare)
    ann = float((model.predict(x, batch_size=256, verbose=0).argmax(axis=-1) == y).mean())
    model_snn = snn.convert_keras(model, x_calibration, **options)
    start = time.perf_counter()
    result = model_snn.simulate(x, outputs=timesteps, batch_size=batch_size)
    return {
        "model": name,
        "images": len(x),
        "ann": 100 * ann,
        "snn": {int(t): 100 * float(a) for t, a in zip(result.timesteps, result.accuracy(y), strict=True)},
        "mean_firing_rate": float(np.mean(list(result.firing_rates.values()))),
        "pass_error": model_snn.conversion.pass_error,
        "grid_error": model_snn.conversion.grid_error,
        "simulation_seconds": time.perf_counter() - start,
    }


def main() -> None:
    """Prints a Markdown table, and writes a JSON record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=DEFAULT)
    parser.add_argument("--timesteps", nargs="+", type=int, default=TIMESTEPS, help="when accuracy is measured")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--calibration-images", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--percentile", type=float, default=99.9)
    parser.add_argument("--v0", type=float, default=0.5, help="initial potential in units of the threshold")
    parser.add_argument("--output", help="JSON file for the record")
    arguments = parser.parse_args()
    folder, timesteps = data_folder(), sorted(arguments.timesteps)
    print(f"| network | images | ANN | {' | '.join(f'T = {t}' for t in timesteps)} |")
    print("|---" * (3 + len(timesteps)) + "|")
    rows = []
    options = {"percentile": arguments.percentile, "v0": arguments.v0}
    for name in arguments.models:
        row = measure(
            name, folder, timesteps, arguments.images, arguments.calibration_images, arguments.batch_size, options
        )
        cells = " | ".join(f"{row['snn'][t]:.2f}" for t in timesteps)
        print(f"| {name} | {row['images']} | {row['ann']:.2f} | {cells} |", flush=True)
        rows.append(row)
    print(", ".join(f"{key} {value}" for key, value in versions().items()))
    if arguments.output:
        record = {"settings": vars(arguments), "versions": versions(), "results": rows}
        pathlib.Path(arguments.output).write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
