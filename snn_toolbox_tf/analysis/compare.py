"""`compare`: where a spiking network departs from its source, population by population, and why."""

import dataclasses
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snn_toolbox_tf.analysis.activations import run_as_ann, units
from snn_toolbox_tf.analysis.closed_form import ClosedForm
from snn_toolbox_tf.foundation.argument_checks import check_positive_integer, check_timesteps
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import inputs_of, pack
from snn_toolbox_tf.network.input_data import Batch, as_arrays
from snn_toolbox_tf.network.source_function import SourceFunction
from snn_toolbox_tf.report import style
from snn_toolbox_tf.report.text import aligned, fixed, number, percent, shorten

_PARTS = ("clipping", "quantisation", "unevenness")
_COLUMNS = ("population", "rate", "dead", "clipped", "correlation", "error", *_PARTS, "added")


@dataclasses.dataclass(frozen=True)
class PopulationFidelity:
    """How well one population's theta * rate stands for the ANN's activation.

    Attributes:
        name: Name of the population.
        firing_rate: Spikes per neuron and timestep, the mean over neurons and samples.
        dead: Fraction of neurons that never spiked on any sample.
        clipped: Fraction of (sample, neuron) pairs whose activation is above the threshold.
        correlation: Pearson correlation between activation and theta * rate; NaN if one of them is constant.
        relative_error: ||theta * rate - activation|| / ||activation||, over all samples; NaN without any activation.
        clipping: The part of the error that clipping all activations at their thresholds explains, relative likewise.
        quantisation: The part that whole spikes add to it: the closed form minus the clipped ANN. NaN where there is none.
        unevenness: The part that spikes arriving unevenly add to it: the simulation minus the closed form. The three parts
            add up to the error as vectors, not as norms.
        added: How much larger the relative error is than that of the populations in front: where the network loses most.
    """

    name: str
    firing_rate: float
    dead: float
    clipped: float
    correlation: float
    relative_error: float
    clipping: float
    quantisation: float
    unevenness: float
    added: float


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """A spiking network against its source.

    Attributes:
        timesteps: T.
        samples: Number of samples.
        populations: The populations, in order.
        output_error: ||SNN output - ANN output|| / ||ANN output|| after T timesteps, by output.
        output_clipping: The part of it that clipping all activations at their thresholds explains: a floor that more
            timesteps do not lower.
    """

    timesteps: int
    samples: int
    populations: tuple[PopulationFidelity, ...]
    output_error: dict[str, float]
    output_clipping: dict[str, float]

    @property
    def worst(self) -> tuple[str, ...]:
        """Names of the populations, the one that adds most to the error first."""
        ordered = sorted(self.populations, key=lambda row: -np.nan_to_num(row.added, nan=-np.inf))
        return tuple(row.name for row in ordered)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Returns a table, and the three populations that add most to the error."""
        table = aligned(_COLUMNS, [_cells(row) for row in self.populations], texts=1)
        outputs = ", ".join(
            f"{name}: {number(error, 3)} (clipping: {number(self.output_clipping[name], 3)})"
            for name, error in self.output_error.items()
        )
        return "\n".join(
            [
                table,
                "",
                f"relative error of the output after {self.timesteps} timesteps: {outputs}",
                f"adds most: {', '.join(self.worst[:3])}",
            ]
        )

    @style.styled()
    def plot(self) -> Figure:
        """Draws the parts of the error and the correlation of every population."""
        rows = self.populations
        figure = Figure(figsize=(style.WIDTH, 1.6 + 0.26 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        places = np.arange(len(rows))
        colours = (style.ATTENTION, style.SNN_LIGHT, style.SNN)
        for shift, part, colour in zip((-0.27, 0.0, 0.27), _PARTS, colours, strict=True):
            values = [getattr(row, part) for row in rows]
            if not np.isnan(values).all():
                left.barh(places + shift, values, 0.25, color=colour, label=part)
        left.plot([row.relative_error for row in rows], places, "|", color=style.INK, markersize=12, label="error")
        left.set(title="Parts of the error", xlabel="relative to the activation")
        left.set_yticks(places, [style.label(row.name) for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.5)
        left.legend()
        right.plot([row.correlation for row in rows], places, "o", color=style.SNN, markersize=4)
        right.set(title="Correlation", xlabel="Pearson r")
        # Correlations are long numbers, near 1: more ticks than these would overlap.
        right.xaxis.set_major_locator(MaxNLocator(2))
        return figure


def compare(
    model: keras.Model, model_snn: SpikingModel, x: Any, timesteps: int | None = None, *, batch_size: int = 32
) -> Fidelity:
    """Compares every population's theta * rate with the source's activation, and says what the error consists of.

    The error of a population is split into three vectors (as by Bu et al. 2022, ICLR): *clipping*, what the ANN loses if
    each activation is clipped at its threshold; *quantisation*, what the closed form (every population integrates all T
    timesteps before it fires; Deng & Gu 2021, equation 9) adds to that; and *unevenness*, what spikes add that arrive in
    time.

    Args:
        model: The source model.
        model_snn: What `convert_keras` made of it.
        x: Arrays in the structure of the source's inputs, `[samples, ...]`.
        timesteps: T; the spiking network's own if None.
        batch_size: Samples at once.

    Returns:
        A `Fidelity`: `print` shows it as a table, `plot()` draws it.

    Raises:
        TypeError: If `model_snn` is no spiking network.
        ValueError: If the data does not fit, or the network does not take constant (analog) input.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> fidelity = snn.compare(model, snn.convert_keras(model, x), x, timesteps=64)
        >>> fidelity.worst
        ('a_relu',)
    """
    if not isinstance(model_snn, SpikingModel) or isinstance(model, SpikingModel):
        raise TypeError(
            "Expected `model` to be the source and `model_snn` what `convert_keras` made of it. "
            f"Received: {type(model).__name__}, {type(model_snn).__name__}"
        )
    duration = model_snn.timesteps if timesteps is None else check_timesteps(timesteps)
    if model_snn.input_options.mode != "analog":
        raise ValueError(
            f"`compare` needs constant input. Received a network with input='{model_snn.input_options.mode}'. "
            "Convert it with input='analog'."
        )
    graph = model_snn.network.graph
    arrays = as_arrays(x, graph, argument="x")
    count = len(next(iter(arrays.values())))
    sums = {node.name: _Sums() for node in graph.of_type(Population)}
    outputs = {readout.name: np.zeros(3) for readout in graph.readouts}
    source = SourceFunction(model, graph)
    closed_form = ClosedForm(model_snn) if ClosedForm.holds_for(graph) else None
    for start in range(0, count, check_positive_integer(batch_size, "batch_size")):
        batch = {name: np.asarray(array[start : start + batch_size], np.float32) for name, array in arrays.items()}
        _add_batch(source, model_snn, batch, duration, closed_form, sums, outputs)
    rows: list[PopulationFidelity] = []
    for name, total in sums.items():
        before = _predecessors(model_snn, name)
        inherited = max((row.relative_error for row in rows if row.name in before), default=0.0)
        rows.append(total.summary(name, duration, inherited))
    relative = {
        name: np.sqrt(squares[:2] / squares[2]) if squares[2] > 0 else np.full(2, np.nan)
        for name, squares in outputs.items()
    }
    errors, clipping = ({name: float(values[part]) for name, values in relative.items()} for part in (0, 1))
    return Fidelity(duration, count, tuple(rows), errors, clipping)


def _add_batch(
    source: SourceFunction,
    model_snn: SpikingModel,
    batch: Batch,
    timesteps: int,
    closed_form: ClosedForm | None,
    sums: dict[str, "_Sums"],
    outputs: dict[str, np.ndarray],
) -> None:
    structure = model_snn.network.graph.input_structure
    x = pack(structure, [batch[node.name] for node in inputs_of(model_snn.network.graph)])
    result = model_snn.simulate(x, timesteps=timesteps, record="spike_counts", outputs="last")
    plain, clipped = run_as_ann(model_snn, batch), run_as_ann(model_snn, batch, clip=True)
    counts = closed_form(x, timesteps)[0] if closed_form else {}
    for name, unit in units(model_snn).items():
        decoded = result.sample_spike_counts[name] * unit.spike / timesteps
        even = counts[name] * unit.spike / timesteps if closed_form else np.full_like(decoded, np.nan)
        sums[name].add(plain.activations[name], clipped.activations[name], even, decoded, unit.spike)
    flat = [keras.tree.flatten(part) for part in (source(batch), result.outputs, clipped.outputs)]
    for total, expected, ours, bounded in zip(outputs.values(), *flat, strict=True):
        theirs = np.asarray(expected, np.float64)
        total += [float(np.square(part).sum()) for part in (ours[-1] - theirs, bounded - theirs, theirs)]


class _Sums:
    """What has to be added up over batches for one population."""

    def __init__(self) -> None:
        self._pairs = 0
        self._moments = np.zeros(5)
        self._squares = np.zeros(5)
        self._clipped = 0
        self._spikes: Any = 0.0

    def add(
        self, activation: np.ndarray, clipped: np.ndarray, even: np.ndarray, decoded: np.ndarray, theta: np.ndarray
    ) -> None:
        """Adds a batch; all arrays are `[samples, ...]` in the source's units."""
        self._pairs += activation.size
        a, d = activation.reshape(-1), decoded.reshape(-1)
        self._moments += a.sum(), d.sum(), a @ a, d @ d, a @ d
        vectors = (decoded - activation, clipped - activation, even - clipped, decoded - even, activation)
        self._squares += [float(np.square(vector).sum()) for vector in vectors]
        # Rounding on the grid may lift an activation that equals its threshold.
        self._clipped += int((activation > theta * (1 + 1e-6)).sum())
        self._spikes = self._spikes + (decoded / theta).sum(axis=0)

    def summary(self, name: str, timesteps: int, inherited: float) -> PopulationFidelity:
        """Returns the population's row; `inherited` is the largest relative error in front of it."""
        sa, sd, saa, sdd, sad = self._moments
        n = self._pairs
        spread = np.sqrt(max(n * saa - sa**2, 0.0) * max(n * sdd - sd**2, 0.0))
        norm = self._squares[4]
        relative = np.sqrt(self._squares[:4] / norm) if norm > 0 else np.full(4, np.nan)
        error, clipping, quantisation, unevenness = relative.tolist()
        samples = n / self._spikes.size
        return PopulationFidelity(
            name=name,
            firing_rate=float(self._spikes.mean() / samples),
            dead=float((self._spikes == 0).mean()),
            clipped=self._clipped / n,
            correlation=float((n * sad - sa * sd) / spread) if spread > 0 else float("nan"),
            relative_error=error,
            clipping=clipping,
            quantisation=quantisation,
            unevenness=unevenness,
            added=error - inherited,
        )


def _predecessors(model_snn: SpikingModel, name: str) -> set[str]:
    """Returns the populations whose spikes reach a population without passing another one."""
    graph = model_snn.network.graph
    found, pending = set(), list(graph[name].inputs)
    while pending:
        node = graph[pending.pop()]
        if isinstance(node, Population):
            found.add(node.name)
        else:
            pending.extend(node.inputs)
    return found


def _cells(row: PopulationFidelity) -> list[str]:
    return [
        shorten(row.name, 40),
        fixed(row.firing_rate, 3),
        percent(row.dead, 1),
        percent(row.clipped, 2),
        fixed(row.correlation, 4),
        *(
            number(value, 3)
            for value in (row.relative_error, row.clipping, row.quantisation, row.unevenness, row.added)
        ),
    ]
