"""What adversarial attacks leave of the accuracy of trained networks and of their spiking networks.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/robustness.py [network ...] [--images N] [--timesteps 8 32] [--steps 10]
        [--norms linf l2] [--journals FOLDER]

Each number of timesteps has a conversion of its own, found on 500 unlabelled images. What is finished is kept in the folder
of journals: an interrupted run goes on. Figures are put there, too.
"""

import argparse
import functools
import pathlib

import networks

import snn_toolbox_tf as snn
from snn_toolbox_tf.report.text import percent

#: Norm and sizes. The smallest one of LeNet-5 shows what is absorbed.
SIZES = {
    "lenet5_mnist": {"linf": [0.001, 0.05, 0.1, 0.15, 0.2], "l2": [1.0, 2.0]},
    "cnn_bn_cifar10": {"linf": [1 / 255, 2 / 255, 4 / 255], "l2": [0.25]},
}


def measured(name: str, norm: str, asked: argparse.Namespace) -> snn.Robustness:
    """Returns the study of one network in one norm."""
    case, folder = networks.CASES[name], networks.data_folder()
    model = case.load(folder)
    calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
    x, y = networks.load_images(folder / case.test, asked.images, case.prepare)
    return snn.robustness(
        model,
        functools.cache(lambda timesteps: snn.convert_keras(model, calibration_data, timesteps=timesteps)),
        x,
        y,
        SIZES[name][norm],
        norm=norm,
        timesteps=asked.timesteps,
        steps=asked.steps,
        journal=snn.Journal(
            asked.journals / f"robustness_{name}_{norm}.json", lambda point: print(f"  {point}", flush=True)
        ),
    )


def size(name: str, epsilon: float) -> str:
    """Returns epsilon as papers write it."""
    return f"{255 * epsilon:.2g}/255" if "cifar10" in name and epsilon < 0.1 else f"{epsilon:.4g}"


def row(name: str, found: snn.Robustness, target: object, epsilon: float) -> list[str]:
    """Returns the row of a target and a size."""
    by_name: dict[str, list] = {}
    for outcome in found.of(target, epsilon):
        by_name.setdefault(outcome.attack.name, []).append(outcome)
    accuracies = [percent(min(one.accuracy for one in by_name[attack]), 1) for attack in found.attack_names]
    absorbed = [percent(by_name[attack][0].absorbed, 1) for attack in ("noise", "PGD (SNN)")]
    strongest = percent(found.accuracy(target, "strongest", epsilon=epsilon), 1)
    return [str(target), size(name, epsilon), percent(found.accuracy(target), 1), *accuracies, strongest, *absorbed]


def main() -> None:
    """Prints a table in Markdown for each network and norm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--norms", nargs="+", choices=["linf", "l2"], default=["linf", "l2"])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--journals", type=pathlib.Path, default=pathlib.Path())
    asked = parser.parse_args()
    for name in asked.networks or SIZES:
        for norm in asked.norms:
            found = measured(name, norm, asked)
            columns = ["target", "epsilon", "clean", *found.attack_names, "strongest", "absorbed: noise", "PGD (SNN)"]
            print(f"\n**{name}**, {norm}, {found.samples} images, {asked.steps} steps\n")
            print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
            for target in found.targets:
                for epsilon in found.epsilons:
                    print(f"| {' | '.join(row(name, found, target, epsilon))} |")
            print("\n".join(["", found.verdict, *(f"- {warning}" for warning in found.warnings)]), flush=True)
            found.plot().savefig(asked.journals / f"robustness_{name}_{norm}.png", dpi=100)


if __name__ == "__main__":
    main()
