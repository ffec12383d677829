"""`bias_and_variance`: how much of the error under Poisson input is noise, which time averages out, and how much stays."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import ann_outputs_of, check_source_and_network
from snn_toolbox_tf.foundation.argument_checks import check_positive_integer, check_seed
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import as_arrays, in_batches
from snn_toolbox_tf.report.text import aligned, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class BiasVariance:
    """The expected squared error of outputs, in its two parts, relative to the mean square of the source's outputs.

    Attributes:
        timesteps: The numbers of timesteps.
        seeds: The seeds of the spike trains.
        samples: Number of samples.
        squared_bias: What the mean over seeds is off by, squared, by output, one value per number of timesteps. It is
            estimated without the part that is due to few seeds, so that noise can make it fall a little below 0.
        variance: The variance over seeds, likewise.
        slope_errors: Standard error of `variance_slopes` by output, by leaving out one seed after the other (the jackknife,
            Efron & Tibshirani 1993, chapter 11); NaN of two seeds.
    """

    timesteps: tuple[int, ...]
    seeds: tuple[int, ...]
    samples: int
    squared_bias: dict[str, tuple[float, ...]]
    variance: dict[str, tuple[float, ...]]
    slope_errors: dict[str, float]

    @property
    def variance_slopes(self) -> dict[str, float]:
        """By output, the exponent of T with which the variance changes, a least-squares fit; -1 for independent spikes."""
        return {name: _slope(self.timesteps, values) for name, values in self.variance.items()}

    @property
    def slope_intervals(self) -> dict[str, tuple[float, float]]:
        """By output, the interval around `variance_slopes` that holds the slope with 95 % confidence, by Student's t."""
        # scikit-learn brings SciPy along; only intervals need it.
        from scipy.stats import t as student  # type: ignore[import-untyped]

        width = float(student.ppf(0.975, len(self.seeds) - 1))
        slopes = self.variance_slopes
        return {
            name: (slopes[name] - width * error, slopes[name] + width * error)
            for name, error in self.slope_errors.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return {
            **dataclasses.asdict(self),
            "variance_slopes": self.variance_slopes,
            "slope_intervals": self.slope_intervals,
        }

    def __str__(self) -> str:
        """Returns a table with a row per output and number of timesteps."""
        rows = [
            [name, str(timesteps), number(self.squared_bias[name][place], 3), number(self.variance[name][place], 3)]
            for name in self.variance
            for place, timesteps in enumerate(self.timesteps)
        ]
        intervals = self.slope_intervals
        slopes = ", ".join(
            f"{name}: T^{slope:.2f} ({intervals[name][0]:.2f} to {intervals[name][1]:.2f})"
            for name, slope in self.variance_slopes.items()
        )
        table = aligned(("output", "timesteps", "squared bias", "variance"), rows, texts=1)
        return f"{table}\n\n{len(self.seeds)} seeds, {self.samples} samples; the variance changes as {slopes}"

    def plot(self) -> "Figure":
        """Draws both parts against the number of timesteps, on logarithmic axes."""
        # Only drawing imports matplotlib.
        from matplotlib.figure import Figure

        from snn_toolbox_tf.report import style

        with style.styled():
            figure = Figure(figsize=(style.WIDTH / 2, 3.0), layout="constrained")
            axes = figure.subplots()
            for name, values in self.variance.items():
                axes.plot(self.timesteps, values, "o-", color=style.SNN, label=f"variance of {name}")
                axes.plot(self.timesteps, self.squared_bias[name], "s--", color=style.ATTENTION, label="squared bias")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(self.timesteps, [str(timesteps) for timesteps in self.timesteps])
            axes.set(xlabel="timesteps", ylabel="relative to the source's outputs")
            axes.legend()
        return figure


def bias_and_variance(
    model: keras.Model,
    model_snn: SpikingModel,
    x: Any,
    timesteps: Sequence[int] = (16, 32, 64, 128),
    *,
    seeds: int | Sequence[int] = 8,
    batch_size: int = 32,
) -> BiasVariance:
    """Splits the error of a network's outputs under Poisson input into bias and variance, over seeds of the spike trains.

    With the output `o_s` of seed s, their mean `m` and the source's output `a`, the variance is `E[(o - m)^2]`, and the
    squared bias `(m - a)^2 - variance / seeds`. Of independent spikes the variance falls as 1/T; what does not fall is
    not noise: clipping, rounding, or input that is too large for a rate.

    Args:
        model: The source model.
        model_snn: What `convert_keras` made of it.
        x: Arrays in the structure of the source's inputs, `[samples, ...]`.
        timesteps: Increasing numbers of timesteps, all of them taken from the same runs.
        seeds: Seeds of the spike trains, or how many, from 0 on; at least two.
        batch_size: Samples at once.

    Returns:
        A `BiasVariance`: `print` shows it as a table, `plot()` draws it.

    Raises:
        TypeError: If `model_snn` is no spiking network.
        ValueError: If the data, the numbers of timesteps or the seeds are not usable.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> hidden, out = keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3, name="b")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, out])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
        >>> found = snn.bias_and_variance(model, model_snn, x, timesteps=[16, 64], seeds=4)
        >>> found.variance["b"][0] > found.variance["b"][1]
        True
    """
    check_source_and_network(model, model_snn)
    numbers = _checked_seeds(seeds)
    if np.ndim(timesteps) != 1 or not len(timesteps):
        raise ValueError(
            "Expected `timesteps` to be several increasing numbers of timesteps, for example [16, 32, 64]. "
            f"Received: timesteps={timesteps!r}"
        )
    graph = model_snn.network.graph
    arrays = as_arrays(x, graph, argument="x")
    size = check_positive_integer(batch_size, "batch_size")
    ann_outputs = ann_outputs_of(model, model_snn, frames=False)
    expected = [np.concatenate(parts) for parts in zip(*map(ann_outputs, in_batches(arrays, size)), strict=True)]
    names = [readout.name for readout in graph.readouts]
    errors: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for seed in numbers:
        result = model_snn.simulate(x, input="poisson", seed=seed, outputs=list(timesteps), batch_size=size)
        for name, output, source in zip(names, keras.tree.flatten(result.outputs), expected, strict=True):
            errors[name].append(output.astype(np.float64) - source)
    bias, variance = dict[str, tuple[float, ...]](), dict[str, tuple[float, ...]]()
    slope_errors = dict[str, float]()
    reported = tuple(int(t) for t in result.timesteps)
    for name, source in zip(names, expected, strict=True):
        power = max(float(np.square(source, dtype=np.float64).mean()), 1e-30)
        off, spread = _split(np.stack(errors[name]))
        bias[name] = tuple(float(value) / power for value in off)
        variance[name] = tuple(float(value) / power for value in spread)
        slope_errors[name] = _jackknife(reported, errors[name])
    return BiasVariance(reported, numbers, result.samples, bias, variance, slope_errors)


def _split(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns squared bias and variance, one value per number of timesteps, of errors `[seeds, timesteps, samples, ...]`."""
    count = len(errors)
    spread, mean = errors.var(axis=0, ddof=1), errors.mean(axis=0)
    axes = tuple(range(1, spread.ndim))
    return (np.square(mean) - spread / count).mean(axis=axes), spread.mean(axis=axes)


def _slope(timesteps: Sequence[int], variance: Any) -> float:
    if len(timesteps) < 2:
        return float("nan")
    return float(np.polyfit(np.log(timesteps), np.log(np.maximum(variance, 1e-300)), 1)[0])


def _jackknife(timesteps: Sequence[int], errors: list[np.ndarray]) -> float:
    """The standard error of the slope, from the slopes without one seed each."""
    count = len(errors)
    if count < 3:
        return float("nan")
    slopes = [_slope(timesteps, _split(np.stack(errors[:seed] + errors[seed + 1 :]))[1]) for seed in range(count)]
    return float(np.sqrt((count - 1) / count * np.square(np.array(slopes) - np.mean(slopes)).sum()))


def _checked_seeds(seeds: Any) -> tuple[int, ...]:
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool):
        found = tuple(range(check_positive_integer(seeds, "seeds")))
    elif isinstance(seeds, (list, tuple, range)):
        found = tuple(check_seed(seed) for seed in seeds)
    else:
        raise TypeError(f"Expected `seeds` to be a number of seeds or a list of them. Received: seeds={seeds!r}")
    if len(set(found)) < max(2, len(found)):
        raise ValueError(f"A variance needs at least two seeds, each once. Received: seeds={seeds!r}")
    return found
