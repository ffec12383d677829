"""`LeakyIntegrateAndFire`: neurons whose membrane potential decays."""

import dataclasses
import math

import tensorflow as tf

from snn_toolbox_tf.neurons.neuron import Neuron


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeakyIntegrateAndFire(Neuron):
    """A neuron whose membrane potential decays towards 0 with a time constant: tau dv/dt = -v + tau I.

    A current that is constant over a timestep is integrated exactly: v becomes `d v + tau (1 - d) I`, `d = exp(-1 / tau)`
    (Gerstner & Kistler 2002, Spiking Neuron Models, section 4.1). For tau -> infinity that is `v + I`, the
    integrate-and-fire neuron.

    Args:
        tau_m: Membrane time constant in timesteps, positive; `math.inf` for no leak.
        v0: Initial membrane potential in units of the threshold.
        reset: "subtract" (soft reset) or "zero" (hard reset).
        signed_spikes: Whether negative potentials take spikes back, see `Neuron`.

    Raises:
        ValueError: For a time constant that is not positive; and as `Neuron`.

    Example:
        >>> import snn_toolbox_tf as snn
        >>> round(snn.neurons.LeakyIntegrateAndFire(tau_m=20.0).retention, 4)
        0.9512
    """

    model = "leaky_integrate_and_fire"

    tau_m: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.tau_m, bool) or not isinstance(self.tau_m, (int, float)) or not self.tau_m > 0:
            raise ValueError(f"Expected `tau_m` to be a positive number of timesteps. Received: tau_m={self.tau_m!r}")

    @property
    def retention(self) -> float:
        """exp(-1 / tau)."""
        return math.exp(-1.0 / self.tau_m)

    @property
    def input_gain(self) -> float:
        """Tau (1 - exp(-1 / tau))."""
        return -self.tau_m * math.expm1(-1.0 / self.tau_m) if math.isfinite(self.tau_m) else 1.0

    @property
    def native_parameters(self) -> tuple[float, ...]:
        """Retention and input gain."""
        return self.retention, self.input_gain

    def integrate(self, potential: tf.Tensor, current: tf.Tensor) -> tf.Tensor:
        """Returns what is left of the potential, and what the current adds."""
        return potential * self.retention + current * self.input_gain
