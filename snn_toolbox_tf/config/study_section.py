"""The settings of studies: what is varied."""

import dataclasses
import math

from snn_toolbox_tf.config import lists, values
from snn_toolbox_tf.config.section import Section, setting

#: Named here once more, because the command line answers before what does them is imported; a test holds both together.
STUDIES = ("energy", "weight-precision", "robustness", "bias-variance", "time-resolution")
NORMS = ("linf", "l2")


@dataclasses.dataclass(frozen=True)
class Study(Section):
    """What `snn-toolbox-tf study` varies: each study reads the keys that name it, and has defaults for them."""

    study_timesteps: tuple[int, ...] = setting(
        (),
        lists.integers(1, "a list of numbers of timesteps (8, 16, 32)"),
        "energy, robustness, bias-variance, time-resolution: numbers of timesteps T.",
        "nothing",
    )
    study_bits: tuple[int, ...] = setting(
        (),
        lists.integers(1, "a list of numbers of bits from 1 to 16 (8, 4, 2, 1)", high=16),
        "weight-precision: bits of each weight, besides float32; 2 are ternary, 1 is binary.",
        "nothing",
    )
    study_epsilons: tuple[float, ...] = setting(
        (),
        lists.positive_numbers("a list of positive numbers (0.05, 0.1)"),
        "robustness: sizes of perturbations, in units of the input.",
        "nothing",
    )
    study_norm: str = setting(
        "linf", values.choice(values.same(*NORMS)), "robustness: what the size of a perturbation is.", "nothing"
    )
    study_seeds: int = setting(8, values.integer(2), "bias-variance: number of seeds of the spike trains.", "nothing")
    study_dt: tuple[float, ...] = setting(
        (),
        lists.positive_numbers("a list of positive numbers of ms (1, 0.5, 0.25)"),
        "time-resolution: lengths of a timestep, in ms; duration is that of [simulation].",
        "nothing",
    )
    study_smallest_input: float | None = setting(
        None,
        values.optional(values.number(-math.inf, math.inf, expected="a finite number")),
        "robustness: the smallest valid value of the input; that of x_test.npz, or 0 if that lies in [0, 1], if empty.",
        "nothing",
    )
    study_largest_input: float | None = setting(
        None,
        values.optional(values.number(-math.inf, math.inf, expected="a finite number")),
        "robustness: the largest one; that of x_test.npz, or 1 if that lies in [0, 1], if empty.",
        "nothing",
    )
