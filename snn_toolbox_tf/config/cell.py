"""The section of the settings that says what neurons do."""

import dataclasses
import math

from snn_toolbox_tf.config import lists, values
from snn_toolbox_tf.config.section import Section, setting

RESETS = {"Reset by subtraction": "subtract", "Reset to zero": "zero", "subtract": "subtract", "zero": "zero"}
#: Named here once more, because the command line answers before what does them is imported; a test holds both together.
PLAIN, LEAKY = "integrate_and_fire", "leaky_integrate_and_fire"
NEURONS = {**values.same(PLAIN, LEAKY), "IF": PLAIN, "LIF": LEAKY}
REFRACTORY_INPUTS = ("integrated", "lost")
SYNAPSES = ("exponential", "alpha")
MOST_SPIKES = 32
_MS = values.number(0, math.inf, expected="a number of ms, 0 or more")


@dataclasses.dataclass(frozen=True)
class Cell(Section):
    """What all neurons do. Times are in ms, of which a timestep has [simulation] dt; potentials are in thresholds."""

    neuron: str = setting(
        PLAIN,
        values.choice(NEURONS),
        "The model of the neurons: integrate_and_fire (IF), without leak, or leaky_integrate_and_fire (LIF).",
        "conversion",
    )
    tau_m: float | None = setting(
        None,
        values.optional(values.time_constant()),
        "Membrane time constant of leaky neurons: the potential decays by exp(-dt / tau_m) in a timestep.",
        "conversion",
    )
    v_rest: float = setting(0.0, values.real(), "What the potential of leaky neurons decays to.", "conversion")
    tau_ref: float = setting(
        0.0,
        _MS,
        "Absolute refractory period, rounded up to whole timesteps: so long after a spike there is none. 0: none.",
        "conversion",
    )
    refractory_input: str = setting(
        "integrated",
        values.choice(values.same(*REFRACTORY_INPUTS)),
        "What becomes of input during the refractory period: the potential takes it up, or it is lost.",
        "conversion",
    )
    tau_s: float = setting(
        0.0, _MS, "Time constant of the synaptic filter that all current passes; 0: none.", "conversion"
    )
    synapse: str = setting(
        "exponential",
        values.choice(values.same(*SYNAPSES)),
        "Shape of the current that a spike causes behind the filter; alpha: two exponential filters in a row.",
        "conversion",
    )
    adaptation: float = setting(
        0.0,
        values.number(0, math.inf, expected="a number, 0 or more"),
        "By what share of itself each spike raises the threshold; 0: it is constant.",
        "conversion",
    )
    tau_a: float | None = setting(
        None,
        values.optional(values.time_constant()),
        "Time constant with which a raised threshold returns; it does not if empty.",
        "conversion",
    )
    burst: int = setting(
        1,
        values.integer(1, MOST_SPIKES),
        "The most spikes of a neuron in a timestep, for soft reset; 1: spikes are binary.",
        "conversion",
    )
    v_thresh: float | None = setting(
        None,
        values.optional(values.positive()),
        "Threshold in units of theta from the calibration data, 1 if nothing is said. Python's name `threshold_scale` is "
        "understood, too.",
        "conversion",
        alias="threshold_scale",
    )
    v0: float | None = setting(
        None,
        values.optional(values.number(-1, 1)),
        "Initial membrane potential in units of the threshold; 0.5 where it is not found, either.",
        "conversion",
    )
    population_starts: tuple[tuple[str, int], ...] = setting(
        (),
        lists.named_integers(0, "numbers of timesteps by population, such as conv1_relu: 4, conv2_relu: 8"),
        "For so many timesteps the neurons of a population only integrate, because their input settles meanwhile.",
        "conversion",
    )
    reset: str = setting("subtract", values.choice(RESETS), "subtract (soft reset) or zero (hard reset).", "conversion")
    v_reset: float = setting(
        0.0,
        values.number(-math.inf, 1, open_high=True, expected="a number less than 1"),
        "What a hard reset sets the potential to.",
        "conversion",
    )
    signed_spikes: bool = setting(
        False,
        values.boolean(),
        "Neurons take spikes back, with spikes of -1, for hardware that has them.",
        "conversion",
    )

    @property
    def leaks(self) -> bool:
        """Whether the model of the neurons is a leaky one."""
        return self.neuron == LEAKY

    @property
    def beyond_the_membrane(self) -> dict[str, float]:
        """What neurons have besides a membrane that integrates, leaks and is reset to 0, by key."""
        keys = ("v_rest", "v_reset", "tau_ref", "tau_s", "adaptation")
        found = {key: value for key in keys if (value := getattr(self, key))}
        return {**found, "burst": self.burst} if self.burst > 1 else found

    @property
    def beyond_plain(self) -> dict[str, str | float]:
        """What neurons have that integrate-and-fire neurons with reset to 0 have not, by key."""
        return {**({"neuron": self.neuron} if self.leaks else {}), **self.beyond_the_membrane}
