"""Bias and variance under Poisson input over seeds, with thresholds as they should be and with thresholds that are too low.

SNN_TOOLBOX_TF_DATA=... python benchmarks/bias_variance.py [network ...] [--images N] [--seeds S] [--figure FILE]
"""

import argparse
import pathlib

import networks

import snn_toolbox_tf as snn

NETWORKS = ("lenet5_mnist",)
TIMESTEPS = (16, 32, 64, 128, 256)
#: What thresholds are multiplied by: 1, and 0.5, with which every rate has a gain that is off where activations are large.
SCALES = (1.0, 0.5)


def main() -> None:
    """Prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(networks.CASES)}")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--figure", type=pathlib.Path, help="where the figure of the first network goes")
    asked = parser.parse_args()
    folder = networks.data_folder()
    for name in asked.networks or NETWORKS:
        case = networks.CASES[name]
        model = case.load(folder)
        calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
        x, _ = networks.load_images(folder / case.test, asked.images, case.prepare)
        for scale in SCALES:
            model_snn = snn.convert_keras(
                model, calibration_data, threshold_rule="maximum", threshold_scale=scale, input="poisson"
            )
            found = snn.bias_and_variance(model, model_snn, x, TIMESTEPS, seeds=asked.seeds)
            print(f"{name}, thresholds times {scale:g}\n")
            columns = ("", *(f"T = {steps}" for steps in TIMESTEPS), "exponent of T")
            print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
            for part, parts in {**found.populations, **found.outputs}.items():
                for title, values, slope in (
                    ("bias²", parts.squared_bias, parts.bias_slope),
                    ("variance", parts.variance, parts.variance_slope),
                ):
                    cells = (f"{part}, {title}", *(f"{value:.2g}" for value in values), str(slope))
                    print(f"| {' | '.join(cells)} |")
            print(flush=True)
            if asked.figure and scale == 1 and name == (asked.networks or NETWORKS)[0]:
                found.plot().savefig(asked.figure, dpi=150)


if __name__ == "__main__":
    main()
