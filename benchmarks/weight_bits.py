"""Accuracy and memory of spiking networks against the bits of their weights.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/weight_bits.py [network ...] [--images N] [--timesteps T] [--journal FOLDER]

Weights are rounded on 500 unlabelled images, without any training.
"""

import argparse
import pathlib

import networks

import snn_toolbox_tf as snn

NETWORKS = ("lenet5_mnist", "resnet20_cifar10")


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(networks.CASES)}")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--timesteps", type=int, default=32)
    parser.add_argument("--journal", type=pathlib.Path, help="folder in which finished points are kept")
    parser.add_argument("--figure", type=pathlib.Path, help="where the figure of the last network goes")
    asked = parser.parse_args()
    folder = networks.data_folder()
    for name in asked.networks or NETWORKS:
        case = networks.CASES[name]
        calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
        x, y = networks.load_images(folder / case.test, asked.images, case.prepare)
        journal = snn.Journal(asked.journal / f"{name}.json" if asked.journal else None)
        bits = (None, 8, 6, 4, 3, 2, 1)
        found = snn.weight_precision(
            case.load(folder), x, y, calibration_data, bits, timesteps=asked.timesteps, journal=journal
        )
        print(f"{name}, T = {asked.timesteps}, {asked.images} images, ANN {100 * found.source_accuracy:.2f} %\n")
        print(
            "| weight bits | SNN % | ANN with these weights % | agreement % | KiB | smaller |\n|---|---|---|---|---|---|"
        )
        for point in found.points:
            cells = (
                "float32" if point.bits is None else str(point.bits),
                f"{100 * point.accuracy:.2f}",
                f"{100 * point.ann_accuracy:.2f}",
                f"{100 * (point.agreement or 0):.1f}",
                f"{point.total_bytes / 1024:,.1f}",
                f"{point.float_bytes / point.total_bytes:.1f}",
            )
            print(f"| {' | '.join(cells)} |")
        print(flush=True)
        if asked.figure:
            found.plot().savefig(asked.figure, dpi=150)


if __name__ == "__main__":
    main()
