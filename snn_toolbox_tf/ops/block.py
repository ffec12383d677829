"""What a block of timesteps asks of a population, and what it gives."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from snn_toolbox_tf.checks import check_positive_integer

#: As many as `kMaximalCurrents` in core/integrate_fire.h; more are summed in front of the step.
MAXIMAL_CURRENTS = 4
RESETS = ("subtract", "zero")
SPIKE_FORMS = ("float", "bits", "counts")


class Current(NamedTuple):
    """One of the currents that meet at a membrane.

    Attributes:
        value: float32 `[timesteps, batch, ...]`, or `[batch, ...]` if it is constant in the block.
        gain: What it is multiplied by: one value, or one per channel, as thresholds are given; None: nothing.
    """

    value: tf.Tensor
    gain: tf.Tensor | None = None


class Block(NamedTuple):
    """What a population did in a block of timesteps.

    Attributes:
        spikes: In the form asked for: "float", 0.0 or 1.0 (or -1.0), float32 `[timesteps, batch, ...]`; "bits", uint8
            `[timesteps, batch, bytes]`, where spike j of a sample is bit `j % 8` of byte `j // 8`; "counts", the net number
            of spikes in the block, int32 `[batch, ...]`.
        membrane_potential: v after the block, float32 `[batch, ...]`.
        counts: Net number of spikes so far, float32 `[batch, ...]`, or None if none was given.
        trace: v after each timestep (after reset), float32 `[timesteps, batch, ...]`, or None.
    """

    spikes: tf.Tensor
    membrane_potential: tf.Tensor
    counts: tf.Tensor | None
    trace: tf.Tensor | None


@dataclasses.dataclass(frozen=True)
class Step:
    """How a population steps.

    Attributes:
        timesteps: Length of the block.
        reset: "subtract" or "zero".
        signed_spikes: Whether neurons take back spikes.
        spike_form: "float", "bits" or "counts".
        return_trace: Whether v after each timestep is wanted.
    """

    timesteps: int
    reset: str = "subtract"
    signed_spikes: bool = False
    spike_form: str = "float"
    return_trace: bool = False

    def __post_init__(self) -> None:
        check_positive_integer(self.timesteps, "timesteps")
        for name, value, allowed in (("reset", self.reset, RESETS), ("spike_form", self.spike_form, SPIKE_FORMS)):
            if value not in allowed:
                raise ValueError(f"Expected `{name}` to be one of {allowed}. Received: {name}={value!r}")
        if self.signed_spikes and self.spike_form == "bits":
            raise ValueError("Signed spikes do not fit into bits. Expected `spike_form` 'float' or 'counts'.")
