"""N-MNIST from events to accuracy: a small CNN, trained on half of 100 recordings, tested on the other half.

Frames of ten milliseconds make a recording; the network is that of examples/nmnist_streaming.py. For every seed the 100
recordings are divided anew. One recording is 2 %, so a single number says little: mean and standard deviation over seeds.
nmnist_test_100.npz is read from the folder that the environment variable SNN_TOOLBOX_TF_DATA names.

    python benchmarks/nmnist.py [--seeds 20] [--epochs 15]
"""

import argparse
import importlib.util
import os
import pathlib

import keras
import numpy as np

import snn_toolbox_tf as snn

_EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "nmnist_streaming.py"


def accuracies(example, frames: np.ndarray, labels: np.ndarray, seed: int, epochs: int) -> tuple[float, ...]:
    """Returns the ANN's accuracy on the mean of its outputs for all frames, and the SNN's after 10, 20 and all frames."""
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    train, test = np.split(order, 2)
    model = example.train(frames[train], labels[train], epochs)
    options = {"input": "frames", "timesteps": example.FRAMES, "threshold_rule": "percentile"}
    model_snn = snn.convert_keras(model, frames[train], **options)
    single = model.predict(frames[test].reshape(-1, *frames.shape[2:]), verbose=0)
    ann = single.reshape(len(test), example.FRAMES, -1).mean(axis=1)
    snn_outputs = model_snn.simulate(frames[test]).outputs
    decided = [ann, *(snn_outputs[t - 1] for t in (10, 20, example.FRAMES))]
    return tuple(float((outputs.argmax(axis=-1) == labels[test]).mean()) for outputs in decided)


def main() -> None:
    """Prints a line per seed, and mean and standard deviation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    folder = os.environ.get("SNN_TOOLBOX_TF_DATA")
    if not folder:
        raise SystemExit("Set the environment variable SNN_TOOLBOX_TF_DATA to the folder of nmnist_test_100.npz.")
    spec = importlib.util.spec_from_file_location("nmnist_streaming", _EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    recordings, labels = example.load_recordings(pathlib.Path(folder) / "nmnist_test_100.npz")
    frames = example.frames_of(recordings)
    found = []
    for seed in range(arguments.seeds):
        found.append(accuracies(example, frames, labels, seed, arguments.epochs))
        print(seed, *(f"{100 * value:.0f}" for value in found[-1]), flush=True)
    print("| | ANN | SNN, 100 ms | SNN, 200 ms | SNN, 300 ms |\n|---|---|---|---|---|")
    mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    cells = (f"{100 * m:.1f} ± {100 * d:.1f}" for m, d in zip(mean, deviation, strict=True))
    print(f"| {arguments.seeds} seeds | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
