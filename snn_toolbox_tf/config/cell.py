"""The section of the settings that says what neurons do."""

import dataclasses

from snn_toolbox_tf.config import lists, values
from snn_toolbox_tf.config.section import Section, setting

RESETS = {"Reset by subtraction": "subtract", "Reset to zero": "zero", "subtract": "subtract", "zero": "zero"}


@dataclasses.dataclass(frozen=True)
class Cell(Section):
    """The neurons: integrate-and-fire without leak."""

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
    signed_spikes: bool = setting(
        False,
        values.boolean(),
        "Neurons take spikes back, with spikes of -1, for hardware that has them.",
        "conversion",
    )
