"""The settings of `time_resolution`, checked."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import (
    MOST_TIMESTEPS,
    check_percentile,
    check_positive_integer,
    check_timesteps,
    is_number,
)
from snn_toolbox_tf.neurons import IntegrateAndFire, Neuron

#: Lengths of a timestep as parts of the neuron's own, the duration in its timesteps, and the reference in the shortest.
_PARTS, _DURATION, _REFERENCE = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16), 64.0, 1 / 8


@dataclasses.dataclass(frozen=True)
class TimeSettings:
    """What a network is run with.

    Attributes:
        neuron: What all neurons do.
        duration: In ms.
        dt: Lengths of a timestep in ms, the longest first.
        reference_dt: The length that stands for continuous time.
        timesteps: Increasing numbers of timesteps of the neuron's own length.
        percentile: Of thresholds.
        batch_size: Samples at once.
    """

    neuron: Neuron
    duration: float
    dt: tuple[float, ...]
    reference_dt: float
    timesteps: tuple[int, ...]
    percentile: float
    batch_size: int

    @classmethod
    def checked(
        cls, neuron: Any, duration: Any, dt: Any, reference_dt: Any, timesteps: Any, percentile: Any, batch_size: Any
    ) -> "TimeSettings":
        """Returns the settings with their defaults; see `time_resolution` for what is refused."""
        if not isinstance(neuron, Neuron):
            raise TypeError(
                "Expected `neuron` to be a value of `snn_toolbox_tf.neurons`, such as `LeakyIntegrateAndFire(tau_m=20.0)`. "
                f"Received: neuron={neuron!r}"
            )
        lengths = tuple(sorted(_lengths([part * neuron.dt for part in _PARTS] if dt is None else dt), reverse=True))
        finest = _positive(lengths[-1] * _REFERENCE if reference_dt is None else reference_dt, "reference_dt")
        if finest >= lengths[-1]:
            raise ValueError(
                "Expected `reference_dt` to be shorter than each `dt`: it stands for continuous time. "
                f"Received: reference_dt={finest:g}, dt={list(lengths)}"
            )
        whole = _positive(_DURATION * neuron.dt if duration is None else duration, "duration")
        for name, length in (*(("dt", length) for length in lengths), ("reference_dt", finest)):
            steps = whole / length
            if not math.isclose(steps, round(steps), rel_tol=1e-9) or not 1 <= round(steps) <= MOST_TIMESTEPS:
                raise ValueError(
                    f"Expected `duration` to be a whole number of timesteps, 1 to 2**24. Received: duration={whole:g} ms, "
                    f"which are {steps:g} timesteps of {name} = {length:g} ms"
                )
        return cls(
            neuron,
            whole,
            lengths,
            finest,
            _numbers(timesteps),
            check_percentile(percentile),
            check_positive_integer(batch_size, "batch_size"),
        )

    @property
    def plain_neuron(self) -> Neuron:
        """Integrate-and-fire neurons with as long timesteps."""
        return IntegrateAndFire(dt=self.neuron.dt)

    def as_dict(self) -> dict[str, Any]:
        """Returns what results depend on, as plain data."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["batch_size"]
        return values | {"neuron": self.neuron.get_config()}

    def timesteps_of(self, dt: float) -> int:
        """Returns how many timesteps of this length the duration has."""
        return round(self.duration / dt)

    def threshold_scale(self, dt: float) -> float:
        """Returns the factor by which thresholds differ from those at the neuron's own `dt`, in the source's units.

        A timestep brings `dt / neuron.dt` of the charge. Conversion leaves room for refractory periods, which are another
        number of timesteps; the threshold in ms is that of the neuron's own `dt`.
        """
        room = dataclasses.replace(self.neuron, dt=dt).highest_rate / self.neuron.highest_rate
        return self.neuron.dt / dt * (room if self.neuron.refractory_timesteps else 1.0)


def _lengths(dt: Any) -> list[float]:
    if isinstance(dt, str) or not isinstance(dt, (Sequence, np.ndarray)) or len(dt) < 2 or np.ndim(dt) != 1:
        raise ValueError(
            f"Expected `dt` to be two or more lengths of a timestep in ms, for example [1.0, 0.5, 0.25]. Received: dt={dt!r}"
        )
    lengths = [_positive(length, "dt") for length in dt]
    if len(set(lengths)) < len(lengths):
        raise ValueError(f"Expected `dt` to have each length once. Received: dt={dt!r}")
    return lengths


def _positive(value: Any, name: str) -> float:
    if not is_number(value) or value <= 0:
        raise ValueError(f"Expected `{name}` to be a positive number of ms. Received: {name}={value!r}")
    return float(value)


def _numbers(timesteps: Any) -> tuple[int, ...]:
    if np.ndim(timesteps) != 1 or not len(timesteps):
        raise ValueError(
            "Expected `timesteps` to be several numbers of timesteps, for example [16, 32, 64]. "
            f"Received: timesteps={timesteps!r}"
        )
    return tuple(sorted({check_timesteps(one) for one in timesteps}))
