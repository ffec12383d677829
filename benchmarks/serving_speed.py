"""Speed of a served network, which runs stock operations only, beside that of the package's native ops.

For every network and batch size it measures, in turn and by the median, T dense passes of the source (`PASSES` are timed and
scaled to T), a call of the spiking network with native ops, and the signatures `serving_default`, `rates`, `closed_form` and
T times `step` of its export, loaded as a server loads it.

    python benchmarks/serving_speed.py [--networks lenet5_mnist ...] [--batch-sizes 1 64] [--timesteps 32]

The trained networks and the data are found through the environment variable SNN_TOOLBOX_TF_DATA.
"""

import argparse
import os
import tempfile

import tensorflow as tf
from measuring import interleaved, shares_of_time
from networks import CASES, data_folder, load_images
from simulation_speed import CALIBRATION_IMAGES, PASSES, compiled

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions

NETWORKS = ["lenet5_mnist", "resnet20_cifar10"]


def tasks_of(signatures, inputs, timesteps: int):
    """Returns a task for each signature; `step` is run T times, each time from the state before."""

    def streamed():
        (name,) = [name for name in signatures["step"].structured_input_signature[1] if name != "state"]
        state = signatures["initial_state"](tf.range(len(inputs), dtype=tf.int64))["state"]
        for _ in range(timesteps):
            state = signatures["step"](**{name: inputs, "state": state})["state"]
        return state.numpy()

    served = {
        name: lambda name=name: [value.numpy() for value in signatures[name](inputs).values()]
        for name in ("serving_default", "rates", "closed_form")
    }
    return {**served, "step": streamed}


def measure(name: str, arguments: argparse.Namespace) -> None:
    """Prints a row per batch size, and where the time of a served run goes."""
    folder, case = data_folder(), CASES[name]
    model = case.load(folder)
    calibration, _ = load_images(folder / case.calibration, CALIBRATION_IMAGES, case.prepare)
    images, _ = load_images(folder / case.test, max(arguments.batch_sizes), case.prepare)
    model_snn = snn.convert_keras(model, calibration, percentile=99.9, timesteps=arguments.timesteps)
    with tempfile.TemporaryDirectory() as models:
        version = snn.export_serving(model_snn, f"{models}/net", closed_form=True)
        loaded = tf.saved_model.load(str(version))
        for batch in arguments.batch_sizes:
            x = tf.constant(images[:batch])
            tasks = {
                "dense": compiled(model, x),
                "native": compiled(model_snn, x, timesteps=arguments.timesteps),
                **tasks_of(loaded.signatures, x, arguments.timesteps),
            }
            seconds = interleaved(tasks, arguments.repetitions)
            dense = seconds.pop("dense") * arguments.timesteps / PASSES
            cells = [f"{value / dense:.2f}" for value in seconds.values()]
            print(f"| {name} | {batch} | " + " | ".join(cells) + " |", flush=True)
        if arguments.profile:
            shares = shares_of_time(tasks["serving_default"])
            print(", ".join(f"{op} {100 * share:.0f} %" for op, share in shares.items()))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=CASES, default=NETWORKS)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--timesteps", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    print(
        f"{versions()}; {os.cpu_count()} processors; T = {arguments.timesteps}. Time / T dense passes of the source.\n"
    )
    print("| network | batch | native ops | serving_default | rates | closed_form | T x step |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.networks:
        measure(name, arguments)


if __name__ == "__main__":
    main()
