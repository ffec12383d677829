"""`integrate_fire`: the one front of the step, in front of its implementations."""

import tensorflow as tf

from snn_toolbox_tf.ops import native, reference
from snn_toolbox_tf.ops.block import Block, Step
from snn_toolbox_tf.ops.selection import implementation
from snn_toolbox_tf.ops.surrogate import check_surrogate_gradient, with_surrogate_gradient

IMPLEMENTATIONS = {"native": native.integrate_fire, "reference": reference.integrate_fire}


def integrate_fire(
    current: tf.Tensor,
    membrane_potential: tf.Tensor,
    threshold: tf.Tensor,
    *,
    timesteps: int,
    reset: str = "subtract",
    signed_spikes: bool = False,
    counts: tf.Tensor | None = None,
    spike_form: str = "float",
    return_trace: bool = False,
    surrogate_gradient: str | None = None,
) -> Block:
    """Steps a population through a block of timesteps, with the active implementation (see `implementation`).

    At each timestep: `v += current`; a neuron fires where `v >= threshold`; then `v -= threshold` (soft reset,
    "subtract") or `v = 0` (hard reset, "zero") where it fired (Rueckauer et al. 2017, equations 3a and 3b). All
    implementations give the same bits.

    Args:
        current: Input current, float32 `[timesteps, batch, ...]`, or `[batch, ...]` if it is constant in the block.
        membrane_potential: v before the block, float32 `[batch, ...]`.
        threshold: theta, float32: one value, or one per channel along one axis (or along neighbouring axes), in a shape
            that broadcasts to `membrane_potential`.
        timesteps: Length of the block, a Python integer.
        reset: "subtract" or "zero".
        signed_spikes: Whether a neuron whose membrane potential is negative takes back a spike that it emitted before:
            it emits -1, and v gains the threshold (or becomes 0). Needs `counts`. (After Wang et al. 2022, IJCAI.)
        counts: Net number of spikes before the block, float32 `[batch, ...]`, if it is to be kept.
        spike_form: "float", "bits" or "counts", see `Block`.
        return_trace: Whether v after each timestep is wanted.
        surrogate_gradient: What stands in for the derivative of a spike, one of `SURROGATE_GRADIENTS`; None: there is no
            gradient. The membrane potential of every timestep is kept for it.

    Returns:
        A `Block`: spikes, v, counts, trace.

    Raises:
        ValueError: For unknown names, and for options that do not go together.
        tf.errors.InvalidArgumentError: For shapes that do not fit.

    Example:
        >>> import tensorflow as tf, snn_toolbox_tf as snn
        >>> block = snn.ops.integrate_fire(tf.fill([1, 1], 0.5), tf.zeros([1, 1]), tf.constant(1.0), timesteps=4)
        >>> block.spikes[:, 0, 0].numpy().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    step = Step(timesteps, reset, signed_spikes, spike_form, return_trace)
    if signed_spikes and counts is None:
        raise ValueError("`signed_spikes=True` needs `counts`, the net number of spikes before the block.")
    # The native op computes in float32 only.
    run = IMPLEMENTATIONS[implementation().name if current.dtype == tf.float32 else "reference"]
    if surrogate_gradient is None:
        return run(current, membrane_potential, threshold, counts, step)
    check_surrogate_gradient(surrogate_gradient)
    if signed_spikes or counts is not None or spike_form != "float":
        raise ValueError(
            "A surrogate gradient is for plain spikes. Expected no `signed_spikes`, no `counts` and spike_form='float'."
        )
    return with_surrogate_gradient(run, current, membrane_potential, threshold, step, surrogate_gradient)
