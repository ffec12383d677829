"""Runs exported networks in simulators of others, on real images, and compares spike counts.

python benchmarks/nir_simulators.py --spikingjelly-python PATH --sinabs-python PATH [--networks NAME ...] [--images N]

Each simulator runs in an environment of its own, because their requirements contradict: one with spikingjelly, nirtorch and
nir, one with sinabs, nirtorch and nir<=1.0.4. Prints a table for the documentation.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import networks
import nir
import numpy as np

import snn_toolbox_tf as snn

FOLDER = pathlib.Path(__file__).parent
#: What is called "as imported" and "as corrected", by simulator; sinabs' own import lacks average pooling.
WAYS = {
    "spikingjelly": {"imported": "as imported", "corrected": "as corrected"},
    "sinabs": {"imported": "as imported", "neurons": "its neurons as imported", "corrected": "as corrected"},
}


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spikingjelly-python", type=pathlib.Path)
    parser.add_argument("--sinabs-python", type=pathlib.Path)
    parser.add_argument("--networks", nargs="+", default=["resnet20_cifar10", "resnet8_cifar10"])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--timesteps", type=int, default=32)
    arguments = parser.parse_args()
    pythons = {"spikingjelly": arguments.spikingjelly_python, "sinabs": arguments.sinabs_python}
    if not any(pythons.values()):
        sys.exit("Pass --spikingjelly-python or --sinabs-python: the Python of an environment that has the simulator.")
    print(
        "| network | simulator | how | spike counts | differing spikes | of spikes | at the threshold | argmax equal |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    versions = set()
    for name in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            case = Exported(pathlib.Path(folder), name, arguments.images, arguments.timesteps)
            for simulator, python in pythons.items():
                for way, words in WAYS[simulator].items() if python else ():
                    print(
                        f"| {name} | {simulator} | {words} | {case.compared(simulator, python, way, versions)} |",
                        flush=True,
                    )
    print("\n" + "; ".join(sorted(versions)))


class Exported:
    """A network as a NIR file, and what it does here.

    Args:
        folder: Where files go.
        name: The network, of `networks.CASES`.
        images: Number of images.
        timesteps: T.
    """

    def __init__(self, folder, name, images, timesteps):
        case, data = networks.CASES[name], networks.data_folder()
        calibration, _ = networks.load_images(data / case.calibration, 256, case.prepare)
        x, _ = networks.load_images(data / case.test, images, case.prepare)
        model_snn = snn.convert_keras(case.load(data), calibration, timesteps=timesteps)
        self.folder, self.file = folder, folder / "net.nir"
        snn.export_nir(model_snn, self.file)
        result = model_snn.simulate(x, timesteps=timesteps, record=["spike_counts"], outputs="last")
        self.counts = {node: np.moveaxis(counts, -1, 1) for node, counts in result.sample_spike_counts.items()}
        self.classes = result.outputs[-1].argmax(-1)
        self.ties = self._ties(model_snn, x[:2], timesteps)
        notes = nir.read(self.file).metadata["nodes"]
        self.names = {key: str(known.get("name", key)) for key, known in notes.items()}
        np.savez(folder / "images.npz", images=np.ascontiguousarray(x.transpose(0, 3, 1, 2)), timesteps=timesteps)

    def _ties(self, model_snn, x, timesteps):
        """How often a neuron fired with its membrane potential right at the threshold, on two images: 0 is left of it."""
        ties = 0
        for node in self.counts:
            record = {"spikes": [node], "membrane_potential": [node]}
            result = model_snn.simulate(x, timesteps=timesteps, record=record, outputs="last", memory_limit=None)
            ties += int(((result.spikes[node] == 1) & (result.membrane_potential[node] == 0)).sum())
        return ties

    def compared(self, simulator, python, way, versions):
        """Runs a simulator; returns the last cells of a row."""
        result = self.folder / "result.npz"
        command = [python, FOLDER / f"nir_{simulator}.py", self.file, self.folder / "images.npz", result, way]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"fails: `{done.stderr.strip().splitlines()[-1][:120]}` | | | |"
        with np.load(result) as file:
            theirs = {self.names[key.partition("/")[2]]: file[key] for key in file.files if key.startswith("count/")}
            agreeing = int((file["output"].argmax(-1) == self.classes).sum())
            versions.add(str(file["version"]))
        differing = sum(float(np.abs(theirs[node] - counts).sum()) for node, counts in self.counts.items())
        total = sum(float(counts.sum()) for counts in self.counts.values())
        equal = "equal" if differing == 0 else "differ"
        return f"{equal} | {differing:,.0f} | {total:,.0f} | {self.ties:,} | {agreeing} of {len(self.classes)}"


if __name__ == "__main__":
    main()
