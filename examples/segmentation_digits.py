"""Trains a small encoder and decoder that labels the pixels of digits, and compares its masks with those of the SNN.

    python examples/segmentation_digits.py [--timesteps 64] [--folder reports/segmentation]

It needs nothing but the package and scikit-learn. The report has images of masks.
"""

import argparse
import pathlib

import keras
import numpy as np
from digit_scenes import BACKGROUND, SIDE, Scenes, scenes

import snn_toolbox_tf as snn
from snn_toolbox_tf.report.summary import summarize

ROOT = pathlib.Path(__file__).parents[1]
layers = keras.layers


def convolution(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Returns features of a convolution with batch norm and ReLU."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x))


def train(data: Scenes, epochs: int, seed: int) -> keras.Model:
    """Returns a trained network: two poolings, two upsamplings, and shortcuts between equal sizes."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    fine = convolution(image, 8, "fine")
    middle = convolution(layers.MaxPooling2D(name="pool1")(fine), 16, "middle")
    coarse = convolution(layers.MaxPooling2D(name="pool2")(middle), 32, "coarse1")
    coarse = convolution(coarse, 32, "coarse2")
    up = layers.Concatenate(name="join1")([layers.UpSampling2D(name="up1")(coarse), middle])
    up = convolution(up, 16, "decoder1")
    up = layers.Concatenate(name="join2")([layers.UpSampling2D(name="up2")(up), fine])
    up = convolution(up, 8, "decoder2")
    mask = layers.Conv2D(BACKGROUND + 1, 1, activation="softmax", name="mask")(up)
    model = keras.Model(image, mask, name="segmentation_digits")
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    # Most pixels are background, and which digit it is, is the harder question.
    weights = np.where(data.masks == BACKGROUND, 1.0, 4.0)
    model.fit(data.x, data.masks, sample_weight=weights, epochs=epochs, batch_size=32, verbose=0)
    return model


def main() -> None:
    """Trains, converts, simulates and says where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timesteps", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=2000, help="scenes to train on")
    parser.add_argument("--test-scenes", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "reports" / "segmentation", help="where files go")
    arguments = parser.parse_args()
    trained = scenes(arguments.scenes, digits=2, largest=1, test=False, seed=arguments.seed)
    tested = scenes(arguments.test_scenes, digits=2, largest=1, test=True, seed=arguments.seed + 1)
    print(f"training on {arguments.scenes} scenes ...")
    model = train(trained, arguments.epochs, arguments.seed)
    settings = snn.Settings().replace(
        log_dir_of_current_run=arguments.folder.resolve(), timesteps=arguments.timesteps, overwrite=True
    )
    finished = snn.run(settings, model=model, x_test=tested.x, y_test=tested.masks, x_norm=trained.x[:300])
    print(summarize(finished.record))
    (mask,) = finished.record.outputs
    for timesteps in (8, 16, 32, 64, 128):
        if timesteps <= arguments.timesteps:
            overlap, right = (100 * mask.measures[name][timesteps - 1] for name in ("mean_iou", "pixel_accuracy"))
            alike = 100 * mask.agreement[timesteps - 1]
            print(
                f"T = {timesteps:3}: mean IoU {overlap:.2f} %, pixel accuracy {right:.2f} %, {alike:.2f} % as the ANN"
            )
    print(f"report: {finished.report}")


if __name__ == "__main__":
    main()
