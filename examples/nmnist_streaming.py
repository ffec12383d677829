"""Recordings of an event camera, frame by frame through a spiking network that keeps its state.

N-MNIST (Orchard et al. 2015) shows MNIST digits to a camera that reports changes of brightness. Events of ten milliseconds
make a frame, with one channel per polarity. A small CNN is trained on single frames of one half of the recordings and
converted; the other half is streamed through it: `step` for each frame, state carried on within a recording, `reset_state`
between two. Data are read from nmnist_test_100.npz in the folder that the environment variable SNN_TOOLBOX_TF_DATA names:
x, y, p, t (microseconds) of all events, `offsets` of the recordings, `labels`.

    python examples/nmnist_streaming.py [--seed 0] [--epochs 15]
"""

import argparse
import itertools
import os
import pathlib

import keras
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf import events

SIZE = 34
MILLISECONDS, FRAMES = 10, 30
#: More than a few events of a pixel in a frame are noise.
LARGEST = 3.0


def load_recordings(path: pathlib.Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns the events of the recordings, and their labels."""
    recordings = events.read_recordings(path)
    return [events_of for events_of, _ in recordings], np.array([label for _, label in recordings], np.int64)


def frames_of(recordings: list[np.ndarray]) -> np.ndarray:
    """Returns the frames of recordings, float32 [recordings, frames, rows, columns, polarities]."""
    window = {"time_window": 1000 * MILLISECONDS, "start": 0, "frames": FRAMES}
    frames = np.stack([events.to_frames(recording, (SIZE, SIZE), **window) for recording in recordings])
    return np.minimum(frames, LARGEST) / LARGEST


def build_model() -> keras.Model:
    """Returns an untrained CNN for single frames."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 2), name="frame"),
            layers.Conv2D(16, 5, strides=2, activation="relu", name="conv1"),
            layers.Conv2D(32, 3, strides=2, activation="relu", name="conv2"),
            layers.AveragePooling2D(2, name="pool"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, name="classes"),
        ],
        name="nmnist_cnn",
    )


def train(frames: np.ndarray, labels: np.ndarray, epochs: int) -> keras.Model:
    """Trains on single frames, each with the label of its recording."""
    model = build_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(frames.reshape(-1, *frames.shape[2:]), np.repeat(labels, FRAMES), 32, epochs, shuffle=True, verbose=0)
    return model


def stream(model_snn: snn.SpikingModel, recording: np.ndarray) -> np.ndarray:
    """Returns the output after each packet of one recording, [frames, classes]."""
    camera = events.EventStream(model_snn, (SIZE, SIZE), largest=LARGEST, scale=1 / LARGEST)
    packets = camera.run(recording, time_window=1000 * MILLISECONDS, start=0)
    return np.stack(list(itertools.islice(packets, FRAMES)))


def main() -> None:
    """Trains, converts and streams."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    folder = os.environ.get("SNN_TOOLBOX_TF_DATA")
    if not folder:
        raise SystemExit("Set the environment variable SNN_TOOLBOX_TF_DATA to the folder of nmnist_test_100.npz.")
    keras.utils.set_random_seed(arguments.seed)
    recordings, labels = load_recordings(pathlib.Path(folder) / "nmnist_test_100.npz")
    frames = frames_of(recordings)
    half = len(labels) // 2
    model = train(frames[:half], labels[:half], arguments.epochs)
    model_snn = snn.convert_keras(model, frames[:half], input="frames", timesteps=FRAMES, threshold_rule="percentile")

    outputs = np.stack([stream(model_snn, recording) for recording in recordings[half:]])
    single = model.predict(frames[half:].reshape(-1, *frames.shape[2:]), verbose=0)
    single = single.reshape(len(labels) - half, FRAMES, -1)
    ann = (single.mean(axis=1).argmax(axis=-1) == labels[half:]).mean()
    print(
        f"{half} recordings to train with, {len(labels) - half} others to test, {FRAMES} frames of {MILLISECONDS} ms each"
    )
    print(f"ANN, outputs averaged over all frames: {100 * ann:.0f} %")
    for t in (5, 10, 20, FRAMES):
        accuracy = (outputs[:, t - 1].argmax(axis=-1) == labels[half:]).mean()
        print(f"SNN after {t:2} frames ({t * MILLISECONDS:3} ms): {100 * accuracy:.0f} %")


if __name__ == "__main__":
    main()
