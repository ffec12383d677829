"""Energy of one network by this package, by SpikingJelly's and by KerasSpiking's own code, from the same spikes.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/energy_other_tools.py --spikingjelly-python PATH --keras-spiking-python PATH

Each tool runs in an environment of its own, because their requirements contradict ours:

    python -m venv spikingjelly && spikingjelly/bin/pip install spikingjelly==2.0.0 torch
    python -m venv keras_spiking && keras_spiking/bin/pip install keras-spiking==0.3.0 tensorflow-cpu==2.12.1

(TensorFlow 2.12 needs Python 3.8 to 3.11). LeNet-5 is simulated here, with thresholds that are percentiles; what each layer
reads is written to a file, and the other tools count on that. Prints tables in Markdown.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

import keras
import networks
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf.costs.text import joules

FOLDER = pathlib.Path(__file__).parent
NETWORK = "lenet5_mnist"
#: Channels that the network's convolutions read.
CHANNELS = {"conv2d_1": 1, "conv2d_2": 6, "conv2d_3": 16}
#: Operations of 32-bit integers, as SpikingJelly's model after Lemaire et al. (2022) has them; updates without a comparison.
INT32 = snn.Hardware(
    name="45 nm, INT32",
    synaptic_event=0.1,
    neuron_update=0.0,
    accumulate=0.1,
    multiply_accumulate=3.2,
    bits=32,
    memory_apart=True,
    source="Horowitz 2014",
)


def described(model: keras.Model) -> list[dict]:
    """Returns the layers as plain data, for tools that build them anew."""
    kinds = {keras.layers.Conv2D: "conv", keras.layers.MaxPooling2D: "pool", keras.layers.Dense: "dense"}
    layers = []
    for layer in model.layers:
        if type(layer) not in kinds:
            continue
        config = layer.get_config()
        kept = {
            key: config[key] for key in ("filters", "units", "kernel_size", "padding", "pool_size") if key in config
        }
        weights = [list(weight.shape) for weight in layer.weights]
        layers.append({"kind": kinds[type(layer)], "name": layer.name, "weights": weights, **kept})
    return layers


def simulated(images: int, timesteps: int) -> tuple[keras.Model, snn.SimulationResult, np.ndarray]:
    """Returns the source, its simulation with all spikes, and the images."""
    case, folder = networks.CASES[NETWORK], networks.data_folder()
    model = case.load(folder)
    calibration_data, _ = networks.load_images(folder / case.calibration, 500, case.prepare)
    x, _ = networks.load_images(folder / case.test, images, case.prepare)
    model_snn = snn.convert_keras(model, calibration_data, timesteps=timesteps, percentile=99.9)
    return model, model_snn.simulate(x, record=["spikes"], outputs="last"), x


def asked_of(tool: str, python: pathlib.Path, file: pathlib.Path) -> dict:
    """Returns what another tool's code says, in its own environment."""
    done = subprocess.run([python, FOLDER / f"energy_{tool}.py", file], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{tool} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def table(heads: list[str], rows: list[list[str]]) -> None:
    """Prints a table in Markdown."""
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for cells in rows:
        print(f"| {' | '.join(cells)} |")


def lines_of(found: snn.Energy, *names: str) -> tuple[float, float]:
    """Returns count and energy of all lines whose names begin so."""
    lines = [line for line in found.lines if line.name.startswith(names)]
    return sum(line.count for line in lines), sum(line.energy for line in lines)


def as_lemaire_energy(result: snn.SimulationResult) -> dict[str, float]:
    """Computes what SpikingJelly's model makes of weights and potentials, from what is counted here, in pJ.

    Each spike that arrives at a convolution meets a whole window, also at borders. A memory has the size of its words, and
    an access to it costs what lies on straight lines through 0 and the figures of Horowitz (2014).
    """

    def access(words: float) -> float:
        return float(np.interp(4 * words, [0, 8192, 32768, 1048576], [0, 10, 20, 100]))

    weights = potentials = 0.0
    steps = result.workload.timesteps
    for synapse in result.workload.synapses:
        # A window of a convolution has `weights / channels` elements, a dense layer reaches all outputs.
        fan_out = synapse.weights / (CHANNELS[synapse.name] if synapse.dimensions else synapse.inputs)
        once = synapse.reads == "constant"
        events = synapse.connections if once else synapse.arriving_spikes * fan_out
        read = events + synapse.outputs * (1 if once else steps)
        weights += access(synapse.weights + synapse.stored_biases) * read
        potentials += 0.0 if once else 2 * access(synapse.outputs) * events
    for population in result.workload.populations:
        updates = population.neurons * steps if population.spiking else 0.0
        potentials += 2 * access(population.neurons) * updates
    return {"params_pj": weights, "potential_pj": potentials}


def both(ours: float, theirs: float, shown: Callable[[float], str] = joules) -> list[str]:
    """Returns two cells."""
    return [shown(ours), shown(theirs)]


def with_spikingjelly(result: snn.SimulationResult, theirs: dict) -> None:
    """Compares with SpikingJelly's counters and its two models."""
    print(f"\n**{theirs['version']}**, {theirs['images']} images")
    synapses = [synapse for synapse in result.workload.synapses if synapse.reads == "spikes"]
    rows = [
        [synapse.name, f"{synapse.synaptic_operations:,.1f}", f"{theirs['synops'][synapse.name]:,.1f}"]
        for synapse in synapses
    ]
    table(["synaptic operations", "here", "SynOpCounter"], rows)
    ours, simple = snn.energy(result, "45nm"), theirs["simple"]
    counts = simple["counts"]
    others = counts["ac"] - counts["synop"]
    one = simple["energy_ac_pj"] / counts["ac"]
    found = {
        "synaptic events": (("synaptic events",), counts["synop"], one * counts["synop"]),
        "MACs of the input": (("MACs",), counts["mac"], simple["energy_mac_pj"]),
        "neurons, biases": (("neuron updates", "resets", "biases"), others, one * others),
    }
    rows = [
        [name, *both(lines_of(ours, *lines)[0], count, "{:,.0f}".format), *both(lines_of(ours, *lines)[1], energy)]
        for name, (lines, count, energy) in found.items()
    ]
    memory = snn.energy(result, "45nm", memory=True).energy - ours.energy
    rows.append(["operations, in all", "", "", *both(ours.energy, simple["energy_compute_pj"])])
    rows.append(["memory", "", "", *both(memory, simple["energy_memory_pj"])])
    heads = ["45 nm, FP32", "number, here", "SimpleEnergy", "energy, here", "SimpleEnergy"]
    table(heads, rows)
    ours, lemaire = snn.energy(result, INT32, memory=True), theirs["lemaire"]
    parts = {
        "operations": (("synaptic events", "biases", "resets", "MACs"), "ops_pj"),
        "addresses": (("addresses",), "addressing_pj"),
        "memory: weights, biases": (("memory: weights", "memory: biases"), "params_pj"),
        "memory: potentials": (("memory: potentials",), "potential_pj"),
        "memory: spikes, input": (("memory: spikes", "memory: real-valued"), "inout_pj"),
    }
    again = as_lemaire_energy(result)
    rows = [
        [name, *both(lines_of(ours, *lines)[1], lemaire[key]), joules(again[key]) if key in again else ""]
        for name, (lines, key) in parts.items()
    ]
    rows.append(["all", *both(ours.energy, lemaire["total_pj"]), ""])
    table(["45 nm, INT32, Lemaire et al.", "here", "LemaireEnergy", "here, with its assumptions"], rows)


def with_keras_spiking(result: snn.SimulationResult, theirs: dict) -> None:
    """Compares with KerasSpiking's ModelEnergy on Loihi."""
    print(f"\n**{theirs['version']}**")
    ours = snn.energy(result, "loihi")
    populations = {population.name: population for population in result.workload.populations}
    rows = []
    for synapse in result.workload.synapses:
        layer = theirs["layers"][synapse.name]
        population = populations.get(f"{synapse.name}_relu", populations.get(synapse.name))
        events = ours.hardware.synaptic_event * synapse.synaptic_operations
        updates = ours.hardware.neuron_update * population.neurons * result.workload.timesteps
        counts = [
            f"{synapse.connections:,.0f} / {layer['connections']:,}",
            f"{population.neurons:,} / {layer['neurons']:,}",
        ]
        rows.append([synapse.name, *counts, *both(events, layer["synops_pj"]), *both(updates, layer["neurons_pj"])])
    heads = ["connections, here / theirs", "neurons, here / theirs", "synaptic events", "theirs", "updates", "theirs"]
    table(["Loihi", *heads], rows)
    macs = lines_of(ours, "MACs")[1]
    print(f"\nMACs of the input, by a host: {joules(macs)} here")
    print(f"all: {joules(ours.energy)} here, {joules(theirs['total_pj'])} by ModelEnergy")


def main() -> None:
    """Prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spikingjelly-python", type=pathlib.Path)
    parser.add_argument("--keras-spiking-python", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--timesteps", type=int, default=16)
    asked = parser.parse_args()
    if not (asked.spikingjelly_python or asked.keras_spiking_python):
        parser.error(
            "pass --spikingjelly-python or --keras-spiking-python, the Python of an environment with that tool:\n"
            + __doc__
        )
    model, result, x = simulated(asked.images, asked.timesteps)
    layers = described(model)
    read_by = [layer["name"] for layer in layers if layer["kind"] != "pool"][1:]
    spikes = {
        f"spikes/{name}": train.astype(np.uint8) for name, train in zip(read_by, result.spikes.values(), strict=True)
    }
    print(f"{NETWORK}, T = {asked.timesteps}, {asked.images} images")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "spikes.npz"
        np.savez(file, layers=json.dumps(layers), images=x, **spikes)
        if asked.spikingjelly_python:
            with_spikingjelly(result, asked_of("spikingjelly", asked.spikingjelly_python, file))
        if asked.keras_spiking_python:
            with_keras_spiking(result, asked_of("keras_spiking", asked.keras_spiking_python, file))


if __name__ == "__main__":
    main()
