"""What calibration by gradient gains: agreement with the source, accuracy on test images, and the time that it takes.

The trained networks and the data are found through the environment variable SNN_TOOLBOX_TF_DATA.

    python benchmarks/gradient_calibration.py [--model resnet20_cifar10] [--timesteps 4 8] [--images 10000] [--epochs 8]
"""

import argparse
import time

from networks import CASES, data_folder, load_images

import snn_toolbox_tf as snn


def main() -> None:
    """Prints a Markdown table with a row per number of timesteps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(CASES), default="resnet20_cifar10")
    parser.add_argument("--timesteps", nargs="+", type=int, default=[4, 8, 16, 32])
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--calibration-images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument(
        "--no-weights", action="store_true", help="only thresholds, initial potentials and biases learn"
    )
    arguments = parser.parse_args()
    folder, case = data_folder(), CASES[arguments.model]
    model = case.load(folder)
    x, y = load_images(folder / case.test, arguments.images, case.prepare)
    x_calibration, _ = load_images(folder / case.calibration, arguments.calibration_images, case.prepare)
    settings = snn.GradientCalibration(
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        train_weights=not arguments.no_weights,
        verbose=True,
    )
    rows = []
    for timesteps in arguments.timesteps:
        start = time.perf_counter()
        model_snn = snn.convert_keras(model, x_calibration, timesteps=timesteps, calibration=settings)
        seconds = time.perf_counter() - start
        record = model_snn.conversion
        accuracy = 100 * float((model_snn.predict(x, verbose=0).argmax(axis=-1) == y).mean())
        rows.append(
            f"| {timesteps} | {100 * record.agreement_before:.1f} | {100 * record.agreement:.1f} | {accuracy:.2f} "
            f"| {record.epochs} | {record.learning_rate:g} | {seconds:.0f} |"
        )
    print(
        "| T | agreement before | after | accuracy | passes | learning rate | seconds |\n|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
