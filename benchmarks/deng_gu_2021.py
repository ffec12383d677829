"""The figures of Deng & Gu (2021, arXiv 2103.00476) on other networks: threshold ReLU, shift and reset against timesteps.

    SNN_TOOLBOX_TF_DATA=... python benchmarks/deng_gu_2021.py [network ...] [--images N] [--output docs/images]

Figure 2: largest activations, and accuracies, of a network with ReLUs and with threshold ReLUs. Figure 3: what conversion
loses with each threshold, shift and reset, and the best shift, over the number of timesteps. Figure 4: the same for long.

The threshold ReLUs are trained without labels: the network learns the outputs that it had with ReLUs. The paper's shift,
a bias of threshold / (2 T) at each timestep, adds up to half a threshold; here it is the initial membrane potential.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence

import deng_gu_2021_figures as figures
import keras
import numpy as np
from networks import CASES, data_folder, load_images

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions

CALIBRATION_IMAGES = 1000
SHIFTS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
#: Threshold of each population, and the network that it belongs to.
MAXIMUM, PERCENTILE, TRAINED = THRESHOLDS = ("ReLU, maximum", "ReLU, percentile", "threshold ReLU")


@dataclasses.dataclass(frozen=True)
class Way:
    """A way of converting.

    Attributes:
        thresholds: One of `THRESHOLDS`.
        shift: Initial membrane potential in units of the threshold; 0.5 is the paper's shift, threshold / (2 T), T times.
        reset: "subtract" or "zero".
    """

    thresholds: str
    shift: float = 0.5
    reset: str = "subtract"

    def __str__(self) -> str:
        shift = "no shift" if self.shift == 0 else f"shift {self.shift:g} thresholds / T"
        return f"{self.thresholds} | {shift} | {'soft' if self.reset == 'subtract' else 'hard'}"


WAYS = tuple(Way(one, shift, reset) for one in THRESHOLDS for shift in (0.0, 0.5) for reset in ("subtract", "zero"))


@dataclasses.dataclass(frozen=True)
class Sources:
    """A network with ReLUs, and one with threshold ReLUs that learned from it.

    Attributes:
        relu: The network as it is.
        threshold_relu: The network with trained thresholds.
        calibration: Images that thresholds are taken from.
        percentile: Of the positive activations: what the rule "percentile" takes, and where trained thresholds begin.
    """

    relu: keras.Model
    threshold_relu: keras.Model
    calibration: np.ndarray
    percentile: float

    def of(self, thresholds: str) -> keras.Model:
        """Returns the network that thresholds belong to."""
        return self.threshold_relu if thresholds == TRAINED else self.relu

    def convert(self, way: Way, schedule: str = "step") -> snn.SpikingModel:
        """Returns the spiking network, with one threshold a layer and no corrections."""
        rule = {"threshold_rule": "maximum"} if way.thresholds == MAXIMUM else {"percentile": self.percentile}
        options = {"per_channel": False, "corrections": [], "v0": way.shift, "reset": way.reset, "schedule": schedule}
        return snn.convert_keras(self.of(way.thresholds), self.calibration, **rule, **options)


def without_softmax(model: keras.Model) -> keras.Model:
    """Returns a copy of a model whose outputs are logits: behind a softmax, errors say more about the other classes."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if getattr(layer, "activation", None) is keras.activations.softmax:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def learn(
    model: keras.Model, x: np.ndarray, *, percentile: float = 99.0, epochs: int = 5, learning_rate: float = 3e-4
) -> Sources:
    """Returns the sources: threshold ReLUs are trained on what the network says of these images, without labels."""
    model = without_softmax(model)
    calibration = x[:CALIBRATION_IMAGES]
    tuned = snn.with_trainable_thresholds(model, calibration, activation="threshold_relu", percentile=percentile)
    targets = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(x, batch_size=256, verbose=0)))
    tuned.compile(keras.optimizers.Adam(learning_rate), keras.losses.CategoricalCrossentropy(from_logits=True))
    tuned.fit(x, targets, epochs=epochs, batch_size=64, verbose=0)
    return Sources(model, tuned, calibration, percentile)


def largest_activations(sources: Sources, x: np.ndarray) -> dict[str, dict[str, float]]:
    """Returns the largest activation of each layer: of ReLUs, and of threshold ReLUs."""
    # Threshold ReLUs of which no threshold is ever reached are ReLUs, by the same names.
    relu = snn.with_trainable_thresholds(sources.relu, sources.calibration, activation="threshold_relu")
    for layer in _threshold_relus(relu):
        layer.threshold.assign(keras.ops.full_like(layer.threshold, 1e30))
    found: dict[str, dict[str, float]] = {}
    for name, model in {"ReLU": relu, "threshold ReLU": sources.threshold_relu}.items():
        layers = _threshold_relus(model)
        outputs = keras.Model(model.inputs, [layer.output for layer in layers]).predict(x, batch_size=256, verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        for layer, output in zip(layers, outputs, strict=True):
            found.setdefault(layer.name, {})[name] = float(output.max())
    return found


def _threshold_relus(model: keras.Model) -> list[snn.layers.ThresholdReLU]:
    return [layer for layer in model.layers if isinstance(layer, snn.layers.ThresholdReLU)]


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Returns the accuracy of an ANN in percent."""
    return 100 * float((model.predict(x, batch_size=256, verbose=0).argmax(axis=-1) == y).mean())


def losses(
    sources: Sources, x: np.ndarray, y: np.ndarray, timesteps: Sequence[int], ways: Sequence[Way] = WAYS
) -> dict[Way, dict[int, float]]:
    """Returns by how many points a spiking network's accuracy is below that of its own source, for each T."""
    ann = {name: accuracy(sources.of(name), x, y) for name in THRESHOLDS}
    found = {}
    for way in ways:
        result = sources.convert(way).simulate(x, timesteps=max(timesteps), outputs=sorted(timesteps), batch_size=100)
        points = [ann[way.thresholds] - 100 * float(one) for one in result.accuracy(y)]
        found[way] = dict(zip(sorted(timesteps), points, strict=True))
    return found


def shift_errors(
    sources: Sources,
    x: np.ndarray,
    timesteps: Sequence[int],
    *,
    thresholds: str,
    schedule: str = "step",
    shifts: Sequence[float] = SHIFTS,
) -> dict[int, dict[float, float]]:
    """Returns the error of the outputs for each T and shift: root mean square of the difference over the source's."""
    expected = sources.of(thresholds).predict(x, batch_size=256, verbose=0)
    found: dict[int, dict[float, float]] = {steps: {} for steps in sorted(timesteps)}
    for shift in shifts:
        model_snn = sources.convert(Way(thresholds, shift), schedule)
        # Layer after layer, each T is a run of its own.
        runs = [sorted(timesteps)] if schedule == "step" else [[steps] for steps in timesteps]
        for run in runs:
            result = model_snn.simulate(x, timesteps=max(run), outputs=run, batch_size=100)
            for steps, outputs in zip(run, result.outputs, strict=True):
                found[steps][shift] = float(np.sqrt(np.mean((outputs - expected) ** 2) / np.mean(expected**2)))
    return found


def best_shifts(errors: dict[int, dict[float, float]]) -> dict[int, float]:
    """Returns the shift of the smallest error for each T, in thresholds / T: the lowest point of a parabola.

    It goes through the smallest error and its neighbours; at an end of the grid, the end is taken.
    """
    found = {}
    for steps, by_shift in errors.items():
        shifts, values = (np.array(part) for part in zip(*sorted(by_shift.items()), strict=True))
        place = int(values.argmin())
        found[steps] = float(shifts[place])
        if 0 < place < len(shifts) - 1:
            curvature, slope, _ = np.polyfit(shifts[place - 1 : place + 2], values[place - 1 : place + 2], 2)
            found[steps] = float(-slope / (2 * curvature)) if curvature > 0 else found[steps]
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def show(name: str, sources: Sources, x: np.ndarray, y: np.ndarray, asked: argparse.Namespace) -> None:
    """Prints the tables of a network, and draws its figures."""
    print(f"### {name}\n")
    largest = largest_activations(sources, x)
    rows = [[layer, *(f"{value:.2f}" for value in row.values())] for layer, row in largest.items()]
    print(table(["largest activation of", "ReLU", "threshold ReLU"], rows))
    relu, trained = (accuracy(model, x, y) for model in (sources.relu, sources.threshold_relu))
    print(f"\nAccuracy with ReLU {relu:.2f} %, with threshold ReLU {trained:.2f} %\n", flush=True)

    lost = losses(sources, x, y, asked.timesteps)
    rows = [[*str(way).split(" | "), *(f"{value:.1f}" for value in row.values())] for way, row in lost.items()]
    print(
        table(["thresholds", "shift", "reset", *(f"T = {steps}" for steps in sorted(asked.timesteps))], rows),
        flush=True,
    )

    errors: dict[tuple[str, str], dict[int, dict[float, float]]] = {}
    for schedule in ("step", "layer_synchronous"):
        for thresholds in THRESHOLDS:
            options = {"thresholds": thresholds, "schedule": schedule}
            errors[schedule, thresholds] = shift_errors(sources, x, asked.shift_timesteps, **options)
    best = {key: best_shifts(one) for key, one in errors.items()}
    rows = [
        [thresholds, schedule, *(f"{value:.2f}" for value in row.values())]
        for (schedule, thresholds), row in best.items()
    ]
    head = ["thresholds", "schedule", *(f"T = {steps}" for steps in sorted(asked.shift_timesteps))]
    print(f"\n{table(head, rows)}\n", flush=True)
    if asked.output:
        figures.write(
            asked.output / f"deng_gu_2021_{name}.png", largest, {str(way): row for way, row in lost.items()}, best
        )


def main() -> None:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"of {', '.join(CASES)}")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--training-images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--percentile", type=float, default=99.0)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128, 256, 512])
    parser.add_argument("--shift-timesteps", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128])
    parser.add_argument("--output", type=pathlib.Path, help="folder of the figures; none are drawn without it")
    asked = parser.parse_args()
    folder = data_folder()
    for name in asked.networks or ("lenet5_mnist", "cnn_bn_cifar10"):
        case = CASES[name]
        keras.utils.set_random_seed(0)
        x_training, _ = load_images(folder / case.calibration, asked.training_images, case.prepare)
        x, y = load_images(folder / case.test, asked.images, case.prepare)
        sources = learn(case.load(folder), x_training, percentile=asked.percentile, epochs=asked.epochs)
        show(name, sources, x, y, asked)
    print(
        f"{asked.training_images} training images without labels, {asked.epochs} epochs; {asked.images} test images; seed 0"
    )
    print(", ".join(f"{key} {value}" for key, value in versions().items()))


if __name__ == "__main__":
    main()
