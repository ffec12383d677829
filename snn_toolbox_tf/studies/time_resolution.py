"""`time_resolution`: what shorter timesteps change at a fixed duration, and what more timesteps change at a fixed length."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from snn_toolbox_tf.foundation.journal import Journal, as_journal
from snn_toolbox_tf.neurons import Neuron
from snn_toolbox_tf.report.text import aligned, number
from snn_toolbox_tf.studies.neuron_rate import has_closed_form, rate_errors
from snn_toolbox_tf.studies.physical_network import PhysicalNetwork
from snn_toolbox_tf.studies.slopes import Slope, fitted_slope
from snn_toolbox_tf.studies.time_settings import TimeSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Names of series that are no populations.
NEURON, OUTPUTS = "single neuron", "outputs"
#: As many populations have a column each.
MOST_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class TimeResolution:
    """Errors against the length of a timestep, and against the number of timesteps.

    Errors are mean absolute errors, relative to the mean absolute value of what they are compared with. Outputs are those in
    front of a softmax or another decoder.

    Attributes:
        neuron: The neuron, as text.
        duration: The fixed duration in ms.
        samples: Number of samples.
        dt: Lengths of a timestep in ms, the longest first.
        reference_dt: The one that stands for continuous time in networks.
        errors: By series, one value for each `dt`: of a single neuron's firing rate against its closed form in continuous
            time ("single neuron", if there is one), of spike counts within the duration against those of `reference_dt` (by
            population), and of the outputs, likewise ("outputs").
        ann_errors: Of the outputs against those of the source, one for each `dt`.
        dt_slopes: By series, the exponent of `dt` with which the error changes; 1 for a scheme of first order. In networks,
            of `dt - reference_dt`, because the reference is off by as much as its own length makes it.
        timesteps: Numbers of timesteps of the neuron's own `dt`.
        timestep_errors: Of the outputs against those of the source, one for each number of timesteps: of this "neuron", and
            of "integrate-and-fire" neurons without any time constant in its place.
        timestep_slopes: Likewise, the exponent of T with which they change.
    """

    neuron: str
    duration: float
    samples: int
    dt: tuple[float, ...]
    reference_dt: float
    errors: dict[str, tuple[float, ...]]
    ann_errors: tuple[float, ...]
    dt_slopes: dict[str, Slope]
    timesteps: tuple[int, ...]
    timestep_errors: dict[str, tuple[float, ...]]
    timestep_slopes: dict[str, Slope]

    @property
    def shown_errors(self) -> dict[str, tuple[float, ...]]:
        """What the table and the figure show of `errors`: of many populations, the first and the last one."""
        populations = [name for name in self.errors if name not in (NEURON, OUTPUTS)]
        left_out = populations[1:-1] if len(populations) > MOST_SHOWN else []
        return {name: errors for name, errors in self.errors.items() if name not in left_out}

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        plain = dataclasses.asdict(self)
        for name in ("dt_slopes", "timestep_slopes"):
            plain[name] = {series: slope._asdict() for series, slope in getattr(self, name).items()}
        return plain

    def __str__(self) -> str:
        """Returns a table over dt and one over T, each with the slopes in its last row."""
        lengths = [[f"{dt:g}", str(round(self.duration / dt))] for dt in self.dt]
        fixed_duration = _table(
            ("dt (ms)", "T"), lengths, self.shown_errors, self.dt_slopes, {"against the ANN": self.ann_errors}
        )
        numbers = [[str(timesteps)] for timesteps in self.timesteps]
        fixed_dt = _table(("T",), numbers, self.timestep_errors, self.timestep_slopes, {})
        continuous = f"{self.duration:g} ms, errors against continuous time (networks: dt = {self.reference_dt:g} ms)"
        against_ann = "fixed dt, errors of the outputs against the ANN's"
        return f"{self.neuron}, {self.samples} samples\n\n{continuous}\n{fixed_duration}\n\n{against_ann}\n{fixed_dt}"

    def plot(self) -> "Figure":
        """Draws both on logarithmic axes: errors against dt, and against T."""
        # Only drawing imports matplotlib.
        from snn_toolbox_tf.studies.time_figure import errors_against_time

        return errors_against_time(self)


def time_resolution(
    model: keras.Model,
    calibration_data: Any,
    x: Any,
    neuron: Neuron,
    *,
    duration: float | None = None,
    dt: Sequence[float] | None = None,
    reference_dt: float | None = None,
    timesteps: Sequence[int] = (16, 32, 64, 128, 256),
    percentile: float = 100.0,
    batch_size: int = 32,
    journal: Journal | None = None,
) -> TimeResolution:
    """Tells what the length of a timestep does to a network of neurons with time constants, and what their number does.

    **dt, at a fixed duration.** The same physical network runs with shorter and shorter timesteps. Currents are charges per
    timestep, so that those of input and biases are half as large when a timestep is half as long, and a spike carries the
    same charge. In the source's units that is `threshold(dt) = threshold(neuron.dt) * neuron.dt / dt`: firing rates per ms
    stay what they are. Errors are those against continuous time: of single neurons, the closed form of their firing rate;
    of spike counts and outputs, the network at `reference_dt`. Input is integrated exactly, but a spike waits for the end of
    its timestep, and what exceeds the threshold leaks as long as that, so that errors are of first order: slope 1.

    **T, at a fixed dt.** The network runs for more and more timesteps, and is compared with the source. What rounding to
    whole spikes costs falls as 1/T, and is all that there is of neurons which lose nothing; what a leak takes stays.

    Args:
        model: The source model.
        calibration_data: Arrays for thresholds. They are percentiles, the same at each T: nothing is corrected.
        x: Arrays in the structure of the source's inputs, `[samples, ...]`, that are simulated.
        neuron: What all neurons do. With its `dt` the network is what `convert_keras` makes of it.
        duration: Duration in ms, a multiple of each `dt`; None: 64 of the neuron's timesteps.
        dt: Lengths of a timestep in ms; None: 1, 1/2, 1/4, 1/8 and 1/16 of the neuron's.
        reference_dt: A shorter one, that stands for continuous time; None: an eighth of the shortest.
        timesteps: Numbers of timesteps, of the neuron's own `dt`.
        percentile: Of the positive activations, for thresholds; of 100, what is clipped does not mix in.
        batch_size: Samples at once.
        journal: Keeps what is finished, by length of a timestep; the network at `reference_dt` runs again as long as others
            are to be compared with it.

    Returns:
        A `TimeResolution`: `print` shows it as tables, `plot()` draws it.

    Raises:
        TypeError: If `neuron` is no neuron.
        ValueError: If the duration is no multiple of a length, a length or number is not usable, or the data is not; or if
            the journal belongs to another study.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> neuron = snn.neurons.LeakyIntegrateAndFire(tau_m=20.0)
        >>> found = snn.time_resolution(model, x, x, neuron, dt=[1.0, 0.5, 0.25], timesteps=[16, 64])
        >>> 0.8 < found.dt_slopes["single neuron"].value < 1.2
        True
    """
    settings = TimeSettings.checked(neuron, duration, dt, reference_dt, timesteps, percentile, batch_size)
    network = PhysicalNetwork(model, calibration_data, x, settings)
    kept = as_journal(journal)
    kept.identify(
        study="time_resolution",
        model=model,
        calibration_data=network.calibration_data,
        x=network.arrays,
        settings=settings.as_dict(),
    )

    def at_length(length: float) -> dict[str, Any]:
        point: dict[str, Any] = network.errors_at(length)
        if has_closed_form(neuron):
            point["neuron"] = rate_errors(neuron, length, max(settings.dt)).tolist()
        return point

    points = [kept.point(f"dt = {length:g} ms", functools.partial(at_length, length)) for length in settings.dt]
    over_time = {
        "neuron": kept.point("timesteps", lambda: {"errors": network.ann_errors_over_time(neuron)})["errors"],
        "integrate-and-fire": kept.point(
            "timesteps of integrate-and-fire neurons",
            lambda: {"errors": network.ann_errors_over_time(settings.plain_neuron)},
        )["errors"],
    }
    # Errors by series, [lengths, samples]; of a single neuron, one for each current.
    series = {NEURON: [point["neuron"] for point in points]} if has_closed_form(neuron) else {}
    series |= {name: [point["populations"][name] for point in points] for name in points[0]["populations"]}
    series[OUTPUTS] = [point["outputs"] for point in points]
    # A first-order error c dt differs from that of the reference by c (dt - reference_dt); a closed form has none.
    shorter, scales = [length - settings.reference_dt for length in settings.dt], {NEURON: settings.dt}
    return TimeResolution(
        neuron=str(neuron),
        duration=settings.duration,
        samples=network.samples,
        dt=settings.dt,
        reference_dt=settings.reference_dt,
        errors={name: _means(errors) for name, errors in series.items()},
        ann_errors=_means([point["ann"] for point in points]),
        dt_slopes={name: fitted_slope(scales.get(name, shorter), errors) for name, errors in series.items()},
        timesteps=settings.timesteps,
        timestep_errors={name: _means(errors) for name, errors in over_time.items()},
        timestep_slopes={name: fitted_slope(settings.timesteps, errors) for name, errors in over_time.items()},
    )


def _means(errors: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(sum(values) / len(values) for values in errors)


def _table(
    heads: tuple[str, ...],
    rows: list[list[str]],
    series: dict[str, tuple[float, ...]],
    slopes: dict[str, Slope],
    others: dict[str, tuple[float, ...]],
) -> str:
    """A table with a row per length or number, and the slopes of all series below."""
    columns = series | others
    cells = [[*row, *(number(values[place], 3) for values in columns.values())] for place, row in enumerate(rows)]
    fitted = "\n".join(f"{name}: slope {slope}" for name, slope in slopes.items())
    return f"{aligned((*heads, *columns), cells, texts=0)}\n{fitted}"
