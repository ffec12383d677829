"""How a population steps through a block of timesteps: the request, its currents, and what comes out."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_timesteps
from snn_toolbox_tf.neurons import Hidden, IntegrateAndFire, Neuron
from snn_toolbox_tf.ops.convolution import SpikeSynapse

#: As many as `kMaximalCurrents` in core/integrate_fire.h; more are summed in front of the step.
MAXIMAL_CURRENTS = 4
SPIKE_FORMS = ("float", "bits", "counts")


class Current(NamedTuple):
    """One of the currents that meet at a membrane.

    Attributes:
        value: float32 `[timesteps, batch, ...]`, `[timesteps, 1, ...]` if all samples share it, or `[batch, ...]` if it is
            constant in the block. With a synapse: the
            spikes that it reads, float32 `[timesteps * batch, ...]`, each 0 or 1, or their bits, uint8
            `[timesteps * batch, bytes]`.
        gain: What it is multiplied by: one value, or one per channel, as thresholds are given; None: nothing.
        synapse: What makes the current of spikes, if it is not given.
    """

    value: tf.Tensor
    gain: tf.Tensor | None = None
    synapse: SpikeSynapse | None = None


class Response(NamedTuple):
    """What a population did in a block of timesteps.

    Attributes:
        spikes: In the form asked for: "float", 0.0 or 1.0 (or -1.0, or several), float32 `[timesteps, batch, ...]`; "bits",
            uint8 `[timesteps, batch, bytes]`, where spike j of a sample is bit `j % 8` of byte `j // 8`; "counts", the net
            number of spikes in the block, int32 `[batch, ...]`.
        membrane_potential: v after the block, float32 `[batch, ...]`.
        counts: Net number of spikes so far, float32 `[batch, ...]`, or None if none was given.
        trace: v after each timestep (after reset), float32 `[timesteps, batch, ...]`, or None.
        hidden: What else the neurons keep after the block, float32 `[batch, ...]` by `Neuron.hidden_names`.
    """

    spikes: tf.Tensor
    membrane_potential: tf.Tensor
    counts: tf.Tensor | None
    trace: tf.Tensor | None
    hidden: Hidden = {}


@dataclasses.dataclass(frozen=True)
class Step:
    """How a population steps.

    Attributes:
        timesteps: Length of the block.
        neuron: What its neurons do.
        spike_form: "float", "bits" or "counts".
        return_trace: Whether v after each timestep is wanted.
    """

    timesteps: int
    neuron: Neuron = dataclasses.field(default_factory=IntegrateAndFire)
    spike_form: str = "float"
    return_trace: bool = False

    def __post_init__(self) -> None:
        check_timesteps(self.timesteps)
        check_one_of(self.spike_form, SPIKE_FORMS, "spike_form")
        if self.neuron.signed_spikes and self.spike_form == "bits":
            raise ValueError("Signed spikes do not fit into bits. Expected `spike_form` 'float' or 'counts'.")
        if self.neuron.burst > 1 and self.spike_form == "bits":
            raise ValueError("Several spikes do not fit into a bit. Expected `spike_form` 'float' or 'counts'.")
