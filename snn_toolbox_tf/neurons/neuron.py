"""`Neuron`: what a neuron does in one timestep, as a value that is passed, compared, printed and saved."""

import abc
import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_one_of

RESETS = ("subtract", "zero")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neuron(abc.ABC):
    """A neuron model with its parameters.

    One timestep has three parts: the membrane potential takes up the current (`integrate`), the neuron fires where the
    potential has reached the threshold, and where it fired it is reset. A model says what `integrate` does; the rest is the
    same for all. The native op has the same three parts in `ops/core/neuron_models.h`.

    Args:
        v0: Initial membrane potential in units of the threshold.
        reset: "subtract" (soft reset: what exceeds the threshold is kept) or "zero" (hard reset).
        signed_spikes: Whether a neuron whose membrane potential is negative takes back a spike that it emitted before: it
            emits -1, and the potential gains the threshold (or becomes 0). After Wang et al. (2022, IJCAI).

    Raises:
        ValueError: For an unknown `reset`, or a `v0` that is not finite.
    """

    #: The model's name in files, and in the native op.
    model: ClassVar[str]

    v0: float = 0.5
    reset: str = "subtract"
    signed_spikes: bool = False

    def __post_init__(self) -> None:
        check_one_of(self.reset, RESETS, "reset")
        if isinstance(self.v0, bool) or not isinstance(self.v0, (int, float)) or not math.isfinite(self.v0):
            raise ValueError(
                f"Expected `v0` to be a finite number, in units of the threshold. Received: v0={self.v0!r}"
            )

    @abc.abstractmethod
    def integrate(self, potential: tf.Tensor, current: tf.Tensor) -> tf.Tensor:
        """Returns the membrane potential that has taken up the current of one timestep, before it is reset."""

    @property
    def retention(self) -> float:
        """The share of the membrane potential that is left after one timestep without current."""
        return 1.0

    @property
    def input_gain(self) -> float:
        """What a current of 1 in one timestep adds to the membrane potential."""
        return 1.0

    @property
    def native_parameters(self) -> tuple[float, ...]:
        """What the native op needs besides `model`, `reset` and `signed_spikes`, in the order in which it reads them."""
        return ()

    @property
    def integrates_perfectly(self) -> bool:
        """Whether nothing is lost, so that spike counts follow from the total current: then there is a closed form."""
        return self.retention == 1.0 and self.reset == "subtract"

    def step(
        self, potential: tf.Tensor, current: tf.Tensor, threshold: tf.Tensor, net_spikes: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Does one timestep.

        Args:
            potential: Membrane potential before, `[batch, ...]`.
            current: Input current, likewise.
            threshold: theta, broadcastable to it.
            net_spikes: Spikes emitted so far less those taken back; for signed spikes.

        Returns:
            The spikes, 0 or 1 (or -1), in the dtype of `potential`; and the membrane potential after reset.
        """
        v = self.integrate(potential, current)
        fired = v >= threshold
        spikes, emptied = tf.cast(fired, v.dtype), fired
        if self.signed_spikes and net_spikes is not None:
            takes_back = (v < 0.0) & (net_spikes >= 1.0)
            spikes, emptied = spikes - tf.cast(takes_back, v.dtype), fired | takes_back
        if self.reset == "zero":
            # Selecting, not multiplying by what is left: an infinite potential must not turn into NaN.
            return spikes, tf.where(emptied, 0.0, v)
        # Converted networks have thresholds of 1: one pass over memory less.
        known = tf.get_static_value(threshold)
        return spikes, v - (spikes if known is not None and (known == 1.0).all() else spikes * threshold)

    def counts(self, total: tf.Tensor, timesteps: int) -> tf.Tensor:
        """Returns the spike counts of neurons that first integrate all their input and then fire for as many timesteps.

        `clip(floor(v), 0, T)`, v the membrane potential in thresholds (cf. Deng & Gu 2021, equation 9).

        Args:
            total: Initial potential and the current of all timesteps, summed, in units of the threshold.
            timesteps: T.

        Raises:
            ValueError: If there is no such closed form.
        """
        if not self.integrates_perfectly:
            raise ValueError(f"Spike counts do not follow from the total current. Received: {self}")
        return tf.clip_by_value(tf.floor(total), 0.0, float(timesteps))

    def get_config(self) -> dict[str, Any]:
        """Returns the model's name and its parameters, as JSON-able data; see `neuron_from_config`."""
        return {"model": self.model, **dataclasses.asdict(self)}
