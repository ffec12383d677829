"""`LatencyCode`: when a neuron spikes for the value that it stands for, and what that spike says to others.

Time is local to the window of a population: it begins at 0 and ends at the population's range, in the units of the source's
activations. A value x is a spike at time range - x: large values come early, and 0 is no spike at all.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_positive_integer, is_number

ROUNDINGS = ("nearest", "down")
INPUTS = ("latency", "analog")
PRECISIONS = ("float32", "float64")
#: Times the largest activation of the calibration data. In continuous time a longer window costs nothing but time.
_CONTINUOUS_HEADROOM, _CLOCKED_HEADROOM = 2.0, 1.0
#: Significant bits of a timestep's length, so few that sums of weights times whole timesteps are exact in float64.
_STEP_BITS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyCode:
    """Each neuron spikes at most once, earlier for larger values (Stanojevic et al. 2024).

    Args:
        timesteps_per_window: S, the number of timesteps of a population's window, at which its neurons may spike. None:
            time is continuous, and spikes come at any time.
        headroom: A window is as long as the largest activation of the calibration data, times this. What is larger still is
            clipped. None: 2 in continuous time, where it costs nothing but time, 1 with timesteps, which it makes coarser.
        rounding: With timesteps, a spike comes at the "nearest" one (thresholds are half a timestep lower); or at the first
            one at which the potential has reached the threshold, so that values are rounded "down".
        input: "latency" (input neurons spike as all others do; for inputs with negative values there are two neurons for
            each, one per sign), or "analog" (the first layer's currents are there from the beginning).
        precision: What event times and potentials are computed in, in continuous time: "float32", or "float64", which is
            slower. With timesteps it is always float64, in which sums are exact.

    Raises:
        ValueError: If an argument is not usable.

    Sources:
        A. Stanojevic et al., "High-performance deep spiking neural networks with 0.3 spikes per neuron", Nature
        Communications 15, 6793 (2024); "An exact mapping from ReLU networks to spiking neural networks", Neural Networks 168
        (2023), arXiv:2212.12522.
    """

    timesteps_per_window: int | None = None
    headroom: float | None = None
    rounding: str = "nearest"
    input: str = "latency"
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.timesteps_per_window is not None:
            check_positive_integer(self.timesteps_per_window, "timesteps_per_window")
        if self.headroom is not None and not (is_number(self.headroom) and self.headroom >= 1):
            raise ValueError(
                "Expected `headroom` to be a number of at least 1: how much longer a window is than the largest activation "
                f"of the calibration data. Received: headroom={self.headroom!r}"
            )
        check_one_of(self.rounding, ROUNDINGS, "rounding")
        check_one_of(self.input, INPUTS, "input")
        check_one_of(self.precision, PRECISIONS, "precision")

    @property
    def steps(self) -> int | None:
        """S, or None in continuous time."""
        return self.timesteps_per_window

    @property
    def used_headroom(self) -> float:
        """The headroom, or its default."""
        if self.headroom is not None:
            return float(self.headroom)
        return _CONTINUOUS_HEADROOM if self.steps is None else _CLOCKED_HEADROOM

    @property
    def dtype(self) -> str:
        """What times and potentials are computed in."""
        return self.precision if self.steps is None else "float64"

    def range_for(self, largest: float) -> float:
        """Returns how long a window is whose values go up to `largest`: with timesteps, a little longer, for exact sums."""
        if self.steps is None:
            return float(np.float32(largest))
        mantissa, exponent = np.frexp(largest / self.steps)
        step = np.ldexp(np.ceil(np.ldexp(mantissa, _STEP_BITS)), exponent - _STEP_BITS)
        return float(step * self.steps)

    def spike_times(self, potential: Any, length: float) -> Any:
        """Returns when neurons spike in their window.

        The potential rises with slope 1 from what it is at the beginning of the window, and the threshold is `length`.

        Args:
            potential: At the beginning of the window, biases included: a tensor of `dtype`.
            length: Length of the window.

        Returns:
            Times from the beginning of the window on, in [0, `length`]; with timesteps whole numbers of them, in [0, S]. At
            the end of the window nobody spikes.
        """
        if self.steps is None:
            return tf.clip_by_value(length - potential, 0.0, length)
        shift = 0.5 if self.rounding == "nearest" else 0.0
        whole = tf.math.floor(potential / (length / self.steps) + shift)
        return tf.clip_by_value(self.steps - whole, 0.0, float(self.steps))

    def charges(self, times: Any, length: float) -> Any:
        """Returns what spikes have brought over a connection of weight 1 by the end of the window in which they came.

        A spike starts a current that lasts until then: the earlier it comes, the more.
        """
        if self.steps is None:
            return length - times
        return (self.steps - times) * (length / self.steps)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Returns the code in words."""
        if self.steps is None:
            return f"continuous time, {self.precision}"
        return f"{self.steps} timesteps per window, values rounded {'to nearest' if self.rounding == 'nearest' else 'down'}"
