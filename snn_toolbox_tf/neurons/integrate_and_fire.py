"""`IntegrateAndFire`: neurons without leak."""

import dataclasses

import tensorflow as tf

from snn_toolbox_tf.neurons.neuron import Neuron


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class IntegrateAndFire(Neuron):
    """A neuron whose membrane potential is the sum of its input currents less what its spikes took away.

    With reset by subtraction and `v0 = 0.5`, a constant current I yields `clip(floor(T * I / threshold + 1/2), 0, T)` spikes
    in T timesteps: the firing rate is a ReLU that saturates at one spike per timestep, rounded to the nearest 1/T (Rueckauer
    et al. 2017, equations 3a and 3b; Deng & Gu 2021 for the initial potential).

    Further arguments are those of `Neuron`: `reset`, `signed_spikes`, `dt`, `tau_ref`, `tau_s`, ...

    Args:
        v0: Initial membrane potential in units of the threshold; 0.5 rounds to nearest.

    Example:
        >>> import snn_toolbox_tf as snn
        >>> snn.neurons.IntegrateAndFire(v0=0.0)
        IntegrateAndFire(v0=0.0)
    """

    model = "integrate_and_fire"

    def integrate(self, potential: tf.Tensor, current: tf.Tensor) -> tf.Tensor:
        """Returns the sum of both."""
        return potential + current
