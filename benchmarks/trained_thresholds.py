"""Accuracy of networks that were fine-tuned with trained thresholds, on complete test sets.

A network is trained on from where it is, with `snn.with_trainable_thresholds`, and converted. The trained networks and the
data are found through the environment variable SNN_TOOLBOX_TF_DATA.

    python benchmarks/trained_thresholds.py [--model lenet5_mnist] [--levels 2 4 8] [--epochs 2]
"""

import argparse

import keras
import numpy as np
from networks import CASES, data_folder, load_images

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions

CALIBRATION_IMAGES = 1000


def fine_tuned(
    model: keras.Model, x: np.ndarray, y: np.ndarray, *, epochs: int, learning_rate: float, **options: object
) -> keras.Model:
    """Returns the network with trained thresholds, trained on."""
    tuned = snn.with_trainable_thresholds(model, x[:CALIBRATION_IMAGES], **options)
    logits = getattr(model.layers[-1], "activation", None) is not keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    tuned.compile(keras.optimizers.Adam(learning_rate), loss)
    tuned.fit(x, y, epochs=epochs, batch_size=64, verbose=0)
    return tuned


def measure(model: keras.Model, x_calibration: np.ndarray, x: np.ndarray, y: np.ndarray, timesteps: int) -> dict:
    """Returns accuracies in percent: of the ANN, layer-synchronous at T, and step by step after T, 2 T and 4 T."""
    expected = model.predict(x, batch_size=256, verbose=0).argmax(axis=-1)
    # Trained thresholds are taken as they are; all others have to suit several numbers of timesteps.
    model_snn = snn.convert_keras(model, x_calibration, threshold_rule="percentile")
    options = {"timesteps": timesteps, "schedule": "layer_synchronous", "outputs": "last", "batch_size": 256}
    synchronous = model_snn.simulate(x, **options).outputs[-1].argmax(axis=-1)
    counted = [timesteps, 2 * timesteps, 4 * timesteps]
    result = model_snn.simulate(x, timesteps=4 * timesteps, outputs=counted, batch_size=256)
    return {
        "ann": 100 * float((expected == y).mean()),
        "synchronous": 100 * float((synchronous == y).mean()),
        "other_decisions": int((synchronous != expected).sum()),
        "steps": [100 * float(accuracy) for accuracy in result.accuracy(y)],
    }


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(CASES), default="lenet5_mnist")
    parser.add_argument("--levels", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--per-channel", action="store_true")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--training-images", type=int, default=6000)
    parser.add_argument("--images", type=int, default=10000)
    arguments = parser.parse_args()
    folder, case = data_folder(), CASES[arguments.model]
    x, y = load_images(folder / case.calibration, arguments.training_images, case.prepare)
    x_test, y_test = load_images(folder / case.test, arguments.images, case.prepare)
    model = case.load(folder)
    print("| thresholds | T | ANN | layer-synchronous, T | other decisions | step by step, T | 2 T | 4 T |")
    print("|---" * 8 + "|")
    for levels in arguments.levels:
        for kind in ("percentile", "threshold_relu", "quantization_clip_floor_shift"):
            keras.utils.set_random_seed(0)
            options = {"activation": kind, "levels": levels, "per_channel": arguments.per_channel}
            training = {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate}
            tuned = model if kind == "percentile" else fine_tuned(model, x, y, **training, **options)
            row = measure(tuned, x[:CALIBRATION_IMAGES], x_test, y_test, levels)
            numbers = f"{row['ann']:.2f} | {row['synchronous']:.2f} | {row['other_decisions']}"
            steps = " | ".join(f"{accuracy:.2f}" for accuracy in row["steps"])
            print(f"| {kind} | {levels} | {numbers} | {steps} |", flush=True)
    print(f"{len(x)} training images, {len(x_test)} test images")
    print(", ".join(f"{key} {value}" for key, value in versions().items()))


if __name__ == "__main__":
    main()
