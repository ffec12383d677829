"""Accuracy by neuron: leaky, refractory, filtered and plain neurons, and circuits, on a network of the data folder.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/neurons.py [network] [--images N] [--timesteps 32 128]

Thresholds and corrections are found on 500 unlabelled images, as by default. "without" has the percentiles of plain neurons,
no room for refractory periods, and no compensation of the leak. Circuits have one form only.
"""

import argparse
import sys
import time
from typing import Any

import networks
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire, Neuron

NEURONS = {
    "IF": IntegrateAndFire(),
    "LIF, tau_m = 20": LeakyIntegrateAndFire(tau_m=20.0),
    "LIF, tau_m = 50": LeakyIntegrateAndFire(tau_m=50.0),
    "LIF, tau_m = 100": LeakyIntegrateAndFire(tau_m=100.0),
    "refractory 1, integrating": IntegrateAndFire(tau_ref=1.0),
    "refractory 1, losing": IntegrateAndFire(tau_ref=1.0, refractory_input="lost"),
    "refractory 2, integrating": IntegrateAndFire(tau_ref=2.0),
    "refractory 2, losing": IntegrateAndFire(tau_ref=2.0, refractory_input="lost"),
    "tau_s = 2": IntegrateAndFire(tau_s=2.0),
    "tau_s = 5": IntegrateAndFire(tau_s=5.0),
}
#: Options of conversion besides the neuron, for plain integrate-and-fire neurons.
CIRCUITS: dict[str, dict[str, str]] = {
    "bias neuron": {"bias": "neuron"},
    "lateral inhibition": {"max_pooling": "lateral_inhibition"},
}


def accuracy(model_snn: snn.SpikingModel, x: np.ndarray, y: np.ndarray) -> float:
    """Returns the top-1 accuracy in percent."""
    return 100 * float((model_snn.predict(x, verbose=0).argmax(1) == y).mean())


def without(source: snn.SpikingModel, neuron: Neuron, timesteps: int) -> snn.SpikingModel:
    """Returns a network of plain neurons in which others have taken their places."""
    graph = source.network.graph_with_weights()
    for node in graph.of_type(Population):
        node.neuron = neuron
    return snn.SpikingModel(graph, timesteps=timesteps)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="lenet5_mnist", choices=networks.CASES)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[32, 128])
    rows = [*NEURONS, *CIRCUITS]
    parser.add_argument("--rows", nargs="+", default=rows, choices=rows)
    asked = parser.parse_args()
    case, folder = networks.CASES[asked.network], networks.data_folder()
    model = case.load(folder)
    calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
    x, y = networks.load_images(folder / case.test, asked.images, case.prepare)
    ann = 100 * float((model.predict(x, verbose=0).argmax(1) == y).mean())
    print(
        f"{asked.network}: ANN {ann:.2f} % of {len(x)} images\n\n| neuron | T | without | accuracy |\n|---|---|---|---|"
    )
    for timesteps in asked.timesteps:
        plain = snn.convert_keras(model, calibration_data, timesteps=timesteps, percentile=99.9)
        for name in asked.rows:
            started, lost = time.perf_counter(), "–"  # noqa: RUF001
            options: dict[str, Any] = CIRCUITS[name] if name in CIRCUITS else {"neuron": NEURONS[name]}
            if name in NEURONS:
                lost = f"{accuracy(without(plain, NEURONS[name], timesteps), x, y):.2f}"
            found = accuracy(snn.convert_keras(model, calibration_data, timesteps=timesteps, **options), x, y)
            print(f"| {name} | {timesteps} | {lost} | {found:.2f} |", flush=True)
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
