"""Trains a CNN that finds a digit and says which one it is, and runs it as a spiking network, from a configuration file.

    python examples/detection_digits.py [--timesteps 64] [--folder reports/detection]

It needs nothing but the package and scikit-learn. The report has images with boxes of the target, the ANN and the SNN.
"""

import argparse
import pathlib
import shutil

import keras
import numpy as np
from digit_scenes import SIDE, Scenes, scenes

import snn_toolbox_tf as snn
from snn_toolbox_tf.report.summary import summarize

ROOT = pathlib.Path(__file__).parents[1]
CONFIGURATION = pathlib.Path(__file__).with_suffix(".ini")
layers = keras.layers


def train(data: Scenes, epochs: int, seed: int) -> keras.Model:
    """Returns a trained CNN with two outputs: the class, and the corners of the box as shares of the scene."""
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((SIDE, SIDE, 1), name="image")
    for name, filters in (("conv1", 12), ("conv2", 24)):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(name=f"{name}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(96, "relu", name="hidden")(x)
    outputs = {"label": layers.Dense(10, "softmax", name="label")(x), "box": layers.Dense(4, name="box")(x)}
    model = keras.Model(image, outputs, name="detection_digits")
    losses = {"label": "sparse_categorical_crossentropy", "box": "mse"}
    model.compile(keras.optimizers.Adam(3e-3), losses, loss_weights={"label": 1.0, "box": 20.0})
    model.fit(data.x, {"label": data.labels, "box": data.boxes}, epochs=epochs, batch_size=32, verbose=0)
    return model


def main() -> None:
    """Trains, writes all files, runs the configuration file, and says where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timesteps", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=3000, help="scenes to train on")
    parser.add_argument("--test-scenes", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "reports" / "detection", help="where files go")
    arguments = parser.parse_args()
    trained = scenes(arguments.scenes, digits=1, largest=2, test=False, seed=arguments.seed)
    tested = scenes(arguments.test_scenes, digits=1, largest=2, test=True, seed=arguments.seed + 1)
    print(f"training on {arguments.scenes} scenes ...")
    model = train(trained, arguments.epochs, arguments.seed)
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "detection_digits.keras")
    np.savez_compressed(folder / "x_test.npz", tested.x)
    np.savez_compressed(folder / "x_norm.npz", trained.x[:300])
    np.savez_compressed(folder / "y_test.npz", label=tested.labels, box=tested.boxes)
    copy = shutil.copy(CONFIGURATION, folder)
    finished = snn.run(snn.read_settings(copy).replace(timesteps=arguments.timesteps))
    print(summarize(finished.record))
    found = {output.name: output for output in finished.record.outputs}
    label, box = found["label"], found["box"]
    for timesteps in (8, 16, 32, 64, 128):
        if timesteps <= arguments.timesteps:
            right = 100 * label.accuracy[timesteps - 1]
            overlap, error = (box.measures[name][timesteps - 1] for name in ("mean_box_iou", "mean_absolute_error"))
            print(
                f"T = {timesteps:3}: accuracy {right:.2f} %, mean IoU of boxes {100 * overlap:.2f} %, corners off by "
                f"{SIDE * error:.3f} pixels"
            )
    error = SIDE * box.ann_measures["mean_absolute_error"]
    print(
        f"ANN    : accuracy {100 * label.ann_accuracy:.2f} %, mean IoU of boxes "
        f"{100 * box.ann_measures['mean_box_iou']:.2f} %, corners off by {error:.3f} pixels"
    )
    print(f"report: {finished.report}")


if __name__ == "__main__":
    main()
