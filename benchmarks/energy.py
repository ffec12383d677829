"""Energy of spiking networks at the number of timesteps that loses at most one point, beside the ANN in three formats.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/energy.py [network ...] [--images N] [--timesteps 4 8 16 ...] [--figure FILE]

Each number of timesteps has a conversion of its own, found on 500 unlabelled images.
"""

import argparse
import pathlib

import networks

import snn_toolbox_tf as snn
from snn_toolbox_tf.costs.text import joules, times

NETWORKS = ("lenet5_mnist", "resnet20_cifar10", "vgg16_cifar10")
#: Hardware, and whether accesses to memory are added.
WAYS = (
    ("45nm", False),
    ("45nm", True),
    ("45nm-int8", False),
    ("45nm-int8", True),
    ("loihi", False),
    ("spinnaker2", False),
)


def cheapest(name: str, images: int, timesteps: list[int]) -> tuple[int, float, float, snn.SimulationResult] | None:
    """Returns the smallest number of timesteps with at most one point less than the ANN, both accuracies, and the run."""
    case, folder = networks.CASES[name], networks.data_folder()
    model = case.load(folder)
    calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
    x, y = networks.load_images(folder / case.test, images, case.prepare)
    ann = float((model.predict(x, verbose=0).argmax(1) == y).mean())
    for steps in timesteps:
        result = snn.convert_keras(model, calibration_data, timesteps=steps).simulate(x, outputs="last")
        accuracy = float(result.accuracy(y)[-1])
        if accuracy >= ann - 0.01 - 1e-9:
            return steps, ann, accuracy, result
    return None


def draw(name: str, images: int, timesteps: list[int], file: pathlib.Path) -> None:
    """Draws accuracy against operations and energy, with weights of 8 bits and memory."""
    case, folder = networks.CASES[name], networks.data_folder()
    model = case.load(folder)
    calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
    x, y = networks.load_images(folder / case.test, images, case.prepare)

    def convert(steps: int) -> snn.SpikingModel:
        return snn.convert_keras(model, calibration_data, timesteps=steps, weight_bits=8)

    curve = snn.energy_curve(convert, x, y, timesteps, "45nm-int8", model=model, memory=True)
    print(curve, flush=True)
    curve.plot().savefig(file, dpi=150)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(networks.CASES)}")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[4, 8, 12, 16, 24, 32, 48, 64, 96, 128])
    parser.add_argument("--figure", type=pathlib.Path, help="draw the first network instead, into this file")
    asked = parser.parse_args()
    if asked.figure:
        draw((asked.networks or NETWORKS)[0], asked.images, asked.timesteps, asked.figure)
        return
    for name in asked.networks or NETWORKS:
        found = cheapest(name, asked.images, asked.timesteps)
        if found is None:
            print(f"{name}: none of {asked.timesteps} timesteps is within one point\n", flush=True)
            continue
        steps, ann, accuracy, result = found
        workload = result.workload
        spent = float("nan") if workload is None else workload.spikes_per_synapse
        print(f"{name}: T = {steps}, {100 * accuracy:.2f} % (ANN {100 * ann:.2f} %), {spent:.2f} spikes a synapse\n")
        columns = ("hardware", "SNN", "of ANN FP32", "of ANN INT8", "of ANN, as many bits", "break-even T (INT8)")
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for hardware, memory in WAYS:
            spending = snn.energy(result, hardware, memory=memory)
            ratios = [times(spending.ratio(baseline)) for baseline in spending.baselines]
            limit = spending.break_even_timesteps(spending.baselines[1])
            cells = (f"{spending.hardware.name}, {spending.scope}", joules(spending.energy), *ratios, f"{limit:.1f}")
            print(f"| {' | '.join(cells)} |", flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
