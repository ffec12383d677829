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
    """

    timesteps: tuple[int, ...]
    seeds: tuple[int, ...]
    samples: int
    squared_bias: dict[str, tuple[float, ...]]
    variance: dict[str, tuple[float, ...]]

    @property
    def variance_slopes(self) -> dict[str, float]:
        """By output, the exponent of T with which the variance changes, a least-squares fit; -1 for independent spikes."""
        logs = np.log(self.timesteps)
        return {
            name: float(np.polyfit(logs, np.log(np.maximum(values, 1e-300)), 1)[0]) if len(logs) > 1 else float("nan")
            for name, values in self.variance.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return {**dataclasses.asdict(self), "variance_slopes": self.variance_slopes}

    def __str__(self) -> str:
        """Returns a table with a row per output and number of timesteps."""
        rows = [
            [name, str(timesteps), number(self.squared_bias[name][place], 3), number(self.variance[name][place], 3)]
            for name in self.variance
            for place, timesteps in enumerate(self.timesteps)
        ]
        slopes = ", ".join(f"{name}: T^{slope:.2f}" for name, slope in self.variance_slopes.items())
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
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    squares: dict[str, Any] = dict.fromkeys(names, 0.0)
    for seed in numbers:
        result = model_snn.simulate(x, input="poisson", seed=seed, outputs=list(timesteps), batch_size=size)
        for name, output, source in zip(names, keras.tree.flatten(result.outputs), expected, strict=True):
            error = output.astype(np.float64) - source
            sums[name] = sums[name] + error
            squares[name] = squares[name] + np.square(error)
    count, bias, variance = len(numbers), dict[str, tuple[float, ...]](), dict[str, tuple[float, ...]]()
    for name, source in zip(names, expected, strict=True):
        power = max(float(np.square(source, dtype=np.float64).mean()), 1e-30)
        spread = (squares[name] - np.square(sums[name]) / count) / (count - 1)
        off = np.square(sums[name] / count) - spread / count
        axes = tuple(range(1, spread.ndim))
        bias[name] = tuple(float(value) for value in off.mean(axis=axes) / power)
        variance[name] = tuple(float(value) for value in spread.mean(axis=axes) / power)
    return BiasVariance(tuple(int(t) for t in result.timesteps), numbers, result.samples, bias, variance)


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
