"""`bias_and_variance`: how much of the error under Poisson input is noise, which time averages out, and how much stays."""

import dataclasses
import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import ann_outputs_of, check_source_and_network, run_as_ann, units
from snn_toolbox_tf.foundation.argument_checks import check_positive_integer, check_seed
from snn_toolbox_tf.foundation.journal import Journal, as_journal
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network.input_data import Batch, as_arrays, in_batches, in_structure
from snn_toolbox_tf.report.text import aligned, number
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.studies.networks import several_timesteps
from snn_toolbox_tf.studies.seed_products import ErrorParts, SeedProducts, parts_over_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class BiasVariance:
    """The expected squared error in its two parts, relative to the mean square of what the source gives.

    Attributes:
        timesteps: The numbers of timesteps.
        seeds: The seeds of the spike trains.
        samples: Number of samples.
        outputs: The parts of each output's error.
        populations: The parts of the error of theta * rate against the activation, of each population. Activations are those
            of the converted network with ReLUs; where its weights are not the source's (`weight_bits`, weights that were
            fitted), what these change shows at the outputs alone.
    """

    timesteps: tuple[int, ...]
    seeds: tuple[int, ...]
    samples: int
    outputs: dict[str, ErrorParts]
    populations: dict[str, ErrorParts]

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        plain = dataclasses.asdict(self)
        for parts in (*plain["outputs"].values(), *plain["populations"].values()):
            parts |= {name: parts[name]._asdict() for name in ("bias_slope", "variance_slope")}
        return plain

    def __str__(self) -> str:
        """Returns tables with a row per output or population, and a column per number of timesteps for each part."""
        columns = [f"{part}, T = {steps}" for part in ("bias²", "variance") for steps in self.timesteps]
        columns = [*columns, "bias² ~ T^", "variance ~ T^"]
        tables = [
            aligned((kind, *columns), [_row(name, parts) for name, parts in found.items()], texts=1)
            for kind, found in (("output", self.outputs), ("population", self.populations))
            if found
        ]
        end = f"{len(self.seeds)} seeds, {self.samples} samples; exponents of T with 95 % intervals"
        return "\n\n".join([*tables, end])

    def plot(self) -> "Figure":
        """Draws both parts against the number of timesteps, on logarithmic axes."""
        # Only drawing imports matplotlib.
        from snn_toolbox_tf.studies.figures import bias_and_variance_over_time

        return bias_and_variance_over_time(self)


def _row(name: str, parts: ErrorParts) -> list[str]:
    numbers = [number(value, 3) for value in (*parts.squared_bias, *parts.variance)]
    return [name, *numbers, str(parts.bias_slope), str(parts.variance_slope)]


def bias_and_variance(
    model: keras.Model,
    model_snn: SpikingModel,
    x: Any,
    timesteps: Sequence[int] = (16, 32, 64, 128),
    *,
    seeds: int | Sequence[int] = 8,
    batch_size: int = 128,
    journal: Journal | None = None,
) -> BiasVariance:
    """Splits the error of a network under Poisson input into bias and variance, over seeds of the spike trains.

    With the output `o_s` of seed s, their mean `m` and the source's output `a`, the variance is `E[(o - m)^2]`, and the
    squared bias `(m - a)^2 - variance / seeds`; likewise with theta times the firing rates of a population and the
    activations that it stands for. Of independent spikes the variance falls as 1/T; what does not fall is not noise:
    clipping, rounding, a gain that is off, or input that is too large for a rate.

    Args:
        model: The source model.
        model_snn: What `convert_keras` made of it.
        x: Arrays in the structure of the source's inputs, `[samples, ...]`.
        timesteps: Increasing numbers of timesteps.
        seeds: Seeds of the spike trains, or how many, from 0 on; at least two.
        batch_size: Samples at once, for all seeds.
        journal: Keeps what is finished, by number of timesteps, see `Journal`.

    Returns:
        A `BiasVariance`: `print` shows it as tables, `plot()` draws it.

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
        >>> found.outputs["b"].variance[0] > found.outputs["b"].variance[1]
        True
    """
    check_source_and_network(model, model_snn)
    numbers = _checked_seeds(seeds)
    reported = several_timesteps(timesteps)
    arrays = as_arrays(x, model_snn.network.graph, argument="x")
    size = check_positive_integer(batch_size, "batch_size")
    journal = as_journal(journal)
    journal.identify(
        study="bias and variance", model=model, model_snn=model_snn, x=list(arrays.values()), seeds=list(numbers)
    )
    runs = _Runs(model, model_snn, arrays, numbers, size)
    points = [journal.point(f"T = {steps}", functools.partial(runs.products, steps)) for steps in reported]
    outputs, populations = (
        parts_over_time(reported, [SeedProducts.from_dict(point[kind]) for point in points])
        for kind in ("outputs", "populations")
    )
    return BiasVariance(reported, numbers, len(next(iter(arrays.values()))), outputs, populations)


@dataclasses.dataclass(frozen=True)
class _Runs:
    """What is run for each number of timesteps and seed, a batch of samples at a time."""

    model: keras.Model
    model_snn: SpikingModel
    arrays: Batch
    seeds: tuple[int, ...]
    batch_size: int

    def products(self, timesteps: int) -> dict[str, Any]:
        """Returns products of errors for T timesteps."""
        graph = self.model_snn.network.graph
        ann_outputs = ann_outputs_of(self.model, self.model_snn, frames=False)
        heights = {name: unit.spike for name, unit in units(self.model_snn).items()}
        outputs, populations, start = SeedProducts(), SeedProducts(), 0
        for batch in in_batches(self.arrays, self.batch_size):
            size = len(next(iter(batch.values())))
            results = list(self._results(batch, timesteps, np.arange(start, start + size)))
            start += size
            sources = zip(graph.readouts, ann_outputs(batch), strict=True)
            for place, (readout, source) in enumerate(sources):
                found = [keras.tree.flatten(result.outputs)[place][-1] for result in results]
                outputs.add(readout.name, [output.astype(np.float64) - source for output in found], source)
            for name, source in run_as_ann(self.model_snn, batch).activations.items():
                worth = heights[name] / timesteps
                errors = [result.sample_spike_counts[name] * worth - source for result in results]
                populations.add(name, errors, source)
        return {"outputs": outputs.as_dict(), "populations": populations.as_dict()}

    def _results(self, batch: Batch, timesteps: int, places: np.ndarray) -> Iterator[SimulationResult]:
        x = in_structure(batch, self.model_snn.network.graph)
        for seed in self.seeds:
            # That the network was converted for another number of timesteps is what is studied.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = self.model_snn.simulate(
                    x,
                    timesteps=timesteps,
                    input="poisson",
                    seed=seed,
                    outputs="last",
                    record="spike_counts",
                    sample_indices=places,
                )
            yield result


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
