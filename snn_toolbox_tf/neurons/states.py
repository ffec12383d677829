"""Neurons in the course of a timestep: what they keep, before and after they have fired."""

from typing import NamedTuple

import tensorflow as tf

#: What neurons keep from timestep to timestep besides the membrane potential: tensors of its shape, by name.
Hidden = dict[str, tf.Tensor]


class Charged(NamedTuple):
    """Neurons that have taken up the current of a timestep, and have not fired yet.

    Attributes:
        potential: Membrane potential.
        threshold: What it is compared with.
        able: Where neurons are able to fire; None: everywhere.
        hidden: What else they keep.
    """

    potential: tf.Tensor
    threshold: tf.Tensor
    able: tf.Tensor | None
    hidden: Hidden


class Stepped(NamedTuple):
    """Neurons after a timestep.

    Attributes:
        spikes: 0 or 1 (or -1, or up to `Neuron.burst`), in the dtype of the membrane potential.
        potential: Membrane potential after reset.
        hidden: What else they keep.
    """

    spikes: tf.Tensor
    potential: tf.Tensor
    hidden: Hidden
