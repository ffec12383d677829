"""`Neuron`: what a neuron does in one timestep, as a value that is passed, compared, printed and saved."""

import abc
import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.neurons import parameters
from snn_toolbox_tf.neurons.states import Charged, Hidden, Stepped

RESETS = ("subtract", "zero")
#: What becomes of the current that comes in while a neuron is refractory.
REFRACTORY_INPUTS = ("integrated", "lost")
#: The shape of the current that a spike causes behind a synaptic filter.
SYNAPSES = ("exponential", "alpha")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Neuron(abc.ABC):
    """A neuron model with its parameters.

    One timestep has three parts: the membrane potential takes up the current, the neuron fires where the potential has
    reached the threshold, and where it fired it is reset. A model says how the potential takes up a current (`integrate`);
    the rest is the same for all. The native op has the same three parts in `ops/core/neuron_models.h`.

    Times are in ms. A time constant is divided by `dt`: with the default of 1 ms, times are numbers of timesteps.

    Args:
        v0: Initial membrane potential in units of the threshold.
        reset: "subtract" (soft reset: what exceeds the threshold is kept) or "zero" (hard reset, to `v_reset`).
        signed_spikes: Whether a neuron whose membrane potential is negative takes back a spike that it emitted before: it
            emits -1, and the potential gains the threshold (or becomes 0). After Wang et al. (2022, IJCAI).
        dt: Length of a timestep.
        v_reset: What a hard reset sets the potential to, in units of the threshold, less than 1.
        tau_ref: Absolute refractory period, rounded up to whole timesteps: so many timesteps after one with a spike have
            none, and the highest firing rate is 1 / (n + 1) spikes per timestep for n of them; 1 / tau_ref in the limit of
            small `dt`.
        refractory_input: What becomes of current during that time: "integrated" (the potential takes it up, and only the
            spike waits) or "lost" (the potential stays what it is).
        tau_s: Time constant of the synaptic filter that all of a neuron's current passes, biases included; 0: none. Each
            current has the same total charge behind it. Time is discrete: shape and mean delay (`synaptic_delay`) are those
            of the filter to first order in `dt`.
        synapse: "exponential", exp(-t / tau_s) / tau_s, or "alpha", t exp(-t / tau_s) / tau_s^2: two such filters in a row
            (Gerstner & Kistler 2002, Spiking Neuron Models, section 4.1.3).
        adaptation: By what share of itself each spike raises the threshold; 0: it is constant.
        tau_a: Time constant with which the threshold returns.
        burst: The most spikes that a neuron emits in one timestep: as many as its membrane potential is worth thresholds, so
            that what it could not emit before comes out at once (Li & Zeng 2022, IJCAI). 1: spikes are binary.

    Raises:
        ValueError: For an unknown name, a number outside its range, or parameters that do not go together.
    """

    #: The model's name in files, and in the native op.
    model: ClassVar[str]

    v0: float = 0.5
    reset: str = "subtract"
    signed_spikes: bool = False
    dt: float = 1.0
    v_reset: float = 0.0
    tau_ref: float = 0.0
    refractory_input: str = "integrated"
    tau_s: float = 0.0
    synapse: str = "exponential"
    adaptation: float = 0.0
    tau_a: float = math.inf
    burst: int = 1

    def __post_init__(self) -> None:
        check_one_of(self.reset, RESETS, "reset")
        check_one_of(self.refractory_input, REFRACTORY_INPUTS, "refractory_input")
        check_one_of(self.synapse, SYNAPSES, "synapse")
        parameters.check_finite(self.v0, "v0", "a finite number, in units of the threshold")
        parameters.check_positive(self.dt, "dt", "a positive number of ms", finite=True)
        parameters.check_positive(self.tau_a, "tau_a", "a positive number of ms, or infinite")
        for name in ("tau_ref", "tau_s"):
            parameters.check_at_least_zero(getattr(self, name), name, "a finite number of ms, 0 or more")
        parameters.check_at_least_zero(self.adaptation, "adaptation", "a finite number, 0 or more")
        parameters.check_finite(self.v_reset, "v_reset", "a finite number, in units of the threshold")
        parameters.check_burst(self.burst)
        parameters.check_combination(self)

    def __repr__(self) -> str:
        """Says what differs from the defaults."""
        fields = [field for field in dataclasses.fields(self) if getattr(self, field.name) != field.default]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in fields)})"

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
    def resting_charge(self) -> float:
        """What a resting potential other than 0 adds in one timestep, in units of the threshold."""
        return 0.0

    @property
    def refractory_timesteps(self) -> int:
        """Number of timesteps without a spike behind one with a spike."""
        # 0.9 / 0.3 is a little more than 3 in floats, and no fourth timestep.
        return math.ceil(self.tau_ref / self.dt * (1 - 1e-12))

    @property
    def highest_rate(self) -> float:
        """The highest firing rate, in spikes per timestep."""
        return self.burst / (1 + self.refractory_timesteps)

    @property
    def synaptic_retention(self) -> float:
        """The share of a synaptic current that is left after one timestep, exp(-dt / tau_s)."""
        return math.exp(-self.dt / self.tau_s) if self.tau_s else 0.0

    @property
    def passed_share(self) -> float:
        """The share of a current that passes a synaptic filter in its first timestep, 1 - `synaptic_retention`."""
        return -math.expm1(-self.dt / self.tau_s) if self.tau_s else 1.0

    @property
    def synaptic_delay(self) -> float:
        """Mean number of timesteps by which the synaptic filter delays a current: s / (1 - s), twice that with "alpha"."""
        stages = 2 if self.synapse == "alpha" else 1
        return stages * self.synaptic_retention / self.passed_share

    @property
    def threshold_retention(self) -> float:
        """The share of a raised threshold's rise that is left after one timestep, exp(-dt / tau_a)."""
        return math.exp(-self.dt / self.tau_a)

    @property
    def hidden_names(self) -> tuple[str, ...]:
        """Names of what a neuron keeps besides its membrane potential; all of it is 0 at the beginning."""
        names = {
            "synaptic_current": self.tau_s > 0,
            "rising_current": self.tau_s > 0 and self.synapse == "alpha",
            "refractory": self.refractory_timesteps > 0,
            "threshold_rise": self.adaptation > 0,
        }
        return tuple(name for name, wanted in names.items() if wanted)

    @property
    def is_plain(self) -> bool:
        """Whether it is described by `integrate`, `reset` and `signed_spikes` alone."""
        return not (self.hidden_names or self.v_reset or self.resting_charge or self.burst > 1)

    @property
    def own_parameters(self) -> tuple[float, ...]:
        """What the native op needs of a plain neuron besides `model`, `reset` and `signed_spikes`, in its order."""
        return ()

    @property
    def native_model(self) -> str:
        """The model's name in the native op, which has one for all neurons that are not plain."""
        return self.model if self.is_plain else "integrate_and_fire_with_hidden_state"

    @property
    def native_parameters(self) -> tuple[float, ...]:
        """What the native op needs besides `native_model`, `reset` and `signed_spikes`, in its order."""
        if self.is_plain:
            return self.own_parameters
        stages = self.hidden_names.count("synaptic_current") + self.hidden_names.count("rising_current")
        membrane = self.retention, self.input_gain, self.resting_charge, self.v_reset
        synapse = float(stages), self.synaptic_retention, self.passed_share
        refractoriness = float(self.refractory_timesteps), float(self.refractory_input == "lost")
        return (*membrane, *synapse, *refractoriness, self.adaptation, self.threshold_retention, float(self.burst))

    @property
    def integrates_perfectly(self) -> bool:
        """Whether nothing is lost or late, so that spike counts follow from the total current: there is a closed form."""
        return self.retention == 1.0 and self.reset == "subtract" and self.is_plain

    @property
    def keeps_charge(self) -> bool:
        """Whether all current comes out as spikes in the end, as long as rates stay below the highest."""
        lost = self.refractory_timesteps > 0 and self.refractory_input == "lost"
        return self.retention == 1.0 and self.reset == "subtract" and not lost and not self.adaptation

    @property
    def compensating_current(self) -> float:
        """The constant current, in thresholds per timestep, that makes up for the leak; a leaky neuron overrides it.

        With a hard reset it is the same: what that loses besides, it does not make up for.
        """
        return 0.0

    def step(
        self,
        potential: tf.Tensor,
        current: tf.Tensor,
        threshold: tf.Tensor,
        net_spikes: tf.Tensor | None = None,
        hidden: Hidden | None = None,
    ) -> Stepped:
        """Does one timestep.

        Args:
            potential: Membrane potential before, `[batch, ...]`.
            current: Input current, likewise.
            threshold: theta, broadcastable to it.
            net_spikes: Spikes emitted so far less those taken back; for signed spikes.
            hidden: What else the neurons keep, a tensor like `potential` for each of `hidden_names`; None: 0.
        """
        known = self.initial_hidden(potential) if hidden is None else hidden
        return self.fire(self.charge(potential, current, threshold, known), threshold, net_spikes)

    def fire(self, charged: Charged, threshold: tf.Tensor, net_spikes: tf.Tensor | None = None) -> Stepped:
        """Fires where the potential has reached the threshold, and resets; see `step`."""
        fired = charged.potential >= charged.threshold
        if charged.able is not None:
            fired = fired & charged.able
        spikes, emptied = tf.cast(fired, charged.potential.dtype), fired
        for number in range(2, self.burst + 1):
            spikes = spikes + tf.cast(charged.potential >= charged.threshold * float(number), spikes.dtype)
        if self.signed_spikes and net_spikes is not None:
            takes_back = (charged.potential < 0.0) & (net_spikes >= 1.0)
            spikes, emptied = spikes - tf.cast(takes_back, spikes.dtype), fired | takes_back
        return Stepped(spikes, self.discharge(charged, spikes, emptied, threshold), self.after_spikes(charged, fired))

    def initial_hidden(self, potential: tf.Tensor) -> Hidden:
        """Returns what neurons keep before the first timestep besides their membrane potential, in its shape: zeros."""
        return {name: tf.zeros_like(potential) for name in self.hidden_names}

    def charge(self, potential: tf.Tensor, current: tf.Tensor, threshold: tf.Tensor, hidden: Hidden) -> Charged:
        """Takes up the current of a timestep."""
        after = dict(hidden)
        if "synaptic_current" in hidden:
            kept, passed = self.synaptic_retention, 1.0 - self.synaptic_retention
            for name in ("rising_current", "synaptic_current"):
                if name in hidden:
                    current = after[name] = hidden[name] * kept + current * passed
        taken = self.integrate(potential, current)
        if self.resting_charge:
            taken = taken + self.resting_charge * threshold
        able = None
        if "refractory" in hidden:
            able = hidden["refractory"] <= 0.0
            if self.refractory_input == "lost":
                taken = tf.where(able, taken, potential)
            after["refractory"] = tf.maximum(hidden["refractory"] - 1.0, 0.0)
        if "threshold_rise" in hidden:
            after["threshold_rise"] = hidden["threshold_rise"] * self.threshold_retention
            threshold = threshold + threshold * after["threshold_rise"]
        return Charged(taken, threshold, able, after)

    def discharge(self, charged: Charged, spikes: tf.Tensor, emptied: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
        """Returns the membrane potential after reset."""
        v = charged.potential
        if self.reset == "zero":
            # Selecting, not multiplying by what is left: an infinite potential must not turn into NaN.
            return tf.where(emptied, self.v_reset * threshold if self.v_reset else 0.0, v)
        # Converted networks have thresholds of 1: one pass over memory less.
        known = tf.get_static_value(charged.threshold)
        return v - (spikes if known is not None and (known == 1.0).all() else spikes * charged.threshold)

    def after_spikes(self, charged: Charged, fired: tf.Tensor) -> Hidden:
        """Returns what neurons keep besides their potential, after they have fired or not."""
        after = dict(charged.hidden)
        if "refractory" in after:
            after["refractory"] = tf.where(fired, float(self.refractory_timesteps), after["refractory"])
        if "threshold_rise" in after:
            after["threshold_rise"] = tf.where(
                fired, after["threshold_rise"] + self.adaptation, after["threshold_rise"]
            )
        return after

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
