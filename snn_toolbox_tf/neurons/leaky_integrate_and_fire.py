"""`LeakyIntegrateAndFire`: neurons whose membrane potential decays."""

import dataclasses
import math

import tensorflow as tf

from snn_toolbox_tf.neurons import parameters
from snn_toolbox_tf.neurons.neuron import Neuron


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class LeakyIntegrateAndFire(Neuron):
    """A neuron whose membrane potential decays with a time constant: tau_m dv/dt = -(v - v_rest) + R I.

    A current that is constant over a timestep is integrated exactly: v becomes `d v + (1 - d) (v_rest + R I)`,
    `d = exp(-dt / tau_m)` (Gerstner & Kistler 2002, Spiking Neuron Models, section 4.1). Currents are charges per timestep
    and the membrane's capacity is 1, hence `R = tau_m / dt`: for tau_m -> infinity that is `v + I`, the
    integrate-and-fire neuron.

    Further arguments are those of `Neuron`: `v0`, `reset`, `dt`, `tau_ref`, `tau_s`, ...

    Args:
        tau_m: Membrane time constant in ms, positive; `math.inf` for no leak.
        v_rest: What the potential decays to, in units of the threshold.

    Raises:
        ValueError: For a time constant that is not positive, and a resting potential that is not finite; and as `Neuron`.

    Example:
        >>> import snn_toolbox_tf as snn
        >>> round(snn.neurons.LeakyIntegrateAndFire(tau_m=20.0).retention, 4)
        0.9512
        >>> snn.neurons.LeakyIntegrateAndFire(tau_m=20.0, tau_ref=2.0, v0=0.0)
        LeakyIntegrateAndFire(v0=0.0, tau_ref=2.0, tau_m=20.0)
    """

    model = "leaky_integrate_and_fire"

    tau_m: float
    v_rest: float = 0.0

    def __post_init__(self) -> None:
        parameters.check_positive(self.tau_m, "tau_m", "a positive number of ms, or infinite")
        parameters.check_finite(self.v_rest, "v_rest", "a finite number, in units of the threshold")
        super().__post_init__()

    @property
    def retention(self) -> float:
        """exp(-dt / tau_m)."""
        return math.exp(-self.dt / self.tau_m)

    @property
    def input_gain(self) -> float:
        """tau_m / dt (1 - exp(-dt / tau_m))."""
        ratio = self.tau_m / self.dt
        return -ratio * math.expm1(-1.0 / ratio) if math.isfinite(ratio) else 1.0

    @property
    def compensating_current(self) -> float:
        """The constant current, in thresholds per timestep, that makes up for the leak: (1/2 - v_rest) dt / tau_m.

        A neuron with soft reset that fires at a steady rate has a membrane potential of half a threshold on average. The
        current holds it there: at v = 1/2, the leak -(v - v_rest) / tau_m and the current cancel each other.
        """
        return (0.5 - self.v_rest) * self.dt / self.tau_m

    @property
    def resting_charge(self) -> float:
        """(1 - exp(-dt / tau_m)) v_rest."""
        return (1.0 - self.retention) * self.v_rest

    @property
    def own_parameters(self) -> tuple[float, ...]:
        """Retention and input gain."""
        return self.retention, self.input_gain

    def integrate(self, potential: tf.Tensor, current: tf.Tensor) -> tf.Tensor:
        """Returns what is left of the potential, and what the current adds."""
        return potential * self.retention + current * self.input_gain
