"""The options of a conversion, checked."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snn_toolbox_tf.calibration import RuleSettings, ThresholdRule, threshold_rule
from snn_toolbox_tf.conversion.circuits import check_circuits
from snn_toolbox_tf.conversion.neuron_options import ALL_POPULATIONS, check_neurons
from snn_toolbox_tf.conversion.weight_options import bits_of, check_weight_bits
from snn_toolbox_tf.corrections import CORRECTIONS, Recipe
from snn_toolbox_tf.distillation import GradientCalibration
from snn_toolbox_tf.foundation.argument_checks import (
    check_one_of,
    check_percentile,
    check_positive_integer,
    check_seed,
    check_start,
    check_timesteps,
    is_number,
)
from snn_toolbox_tf.model import DEFAULT_TIMESTEPS
from snn_toolbox_tf.neurons import IntegrateAndFire, Neuron
from snn_toolbox_tf.simulation.event_plan import ENGINES
from snn_toolbox_tf.simulation.inputs import INPUT_MODES
from snn_toolbox_tf.simulation.schedules import check_schedule

FORMS = ("normalized", "unnormalized")
CALIBRATIONS = ("automatic", "gradient")
DEFAULT_PERCENTILE, DEFAULT_TOLERANCE = 99.9, 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """The arguments of `convert_keras` besides model and data; see there.

    Raises:
        TypeError, ValueError: If an argument is not usable.
    """

    timesteps: int | str = DEFAULT_TIMESTEPS
    tolerance: float | None = None
    threshold_rule: str | ThresholdRule | None = None
    corrections: Sequence[str] | None = None
    percentile: float | None = None
    per_channel: bool | None = None
    threshold_scale: float | None = None
    v0: float | None = None
    population_starts: Mapping[str, int] | None = None
    reset: str = "subtract"
    signed_spikes: bool = False
    schedule: str = "step"
    input: str = "analog"
    form: str = "normalized"
    max_pooling: str = "accumulated"
    softmax: str = "decoded"
    bias: str = "current"
    bias_rate: float = 1.0
    seed: int = 0
    block_length: int | None = None
    engine: str = "auto"
    calibration: str | GradientCalibration = "automatic"
    task: str | Mapping[str, str] = "auto"
    neuron: Neuron | Mapping[str, Neuron] | None = None
    dt: float | None = None
    weight_bits: int | str | None = None

    def __post_init__(self) -> None:
        _check_timesteps(self.timesteps)
        _check_tolerance(self.tolerance, self.timesteps)
        _check_percentile(self.percentile)
        _check_corrections(self.corrections)
        _ = self.rule_for(self.recipe, self.used_timesteps)
        if self.per_channel is not None and not isinstance(self.per_channel, (bool, np.bool_)):
            raise ValueError(f"Expected `per_channel` to be True or False. Received: per_channel={self.per_channel!r}")
        if self.threshold_scale is not None and not (is_number(self.threshold_scale) and self.threshold_scale > 0):
            raise ValueError(
                f"Expected `threshold_scale` to be a positive number. Received: threshold_scale={self.threshold_scale!r}"
            )
        if self.v0 is not None and not (is_number(self.v0) and -1 <= self.v0 <= 1):
            raise ValueError(f"Expected `v0` to be in [-1, 1], in units of the threshold. Received: v0={self.v0!r}")
        if not isinstance(self.signed_spikes, (bool, np.bool_)):
            raise ValueError(
                f"Expected `signed_spikes` to be True or False. Received: signed_spikes={self.signed_spikes!r}"
            )
        check_neurons(self.neuron, self.dt, v0=self.v0, reset=self.reset, signed_spikes=self.signed_spikes)
        check_schedule(self.schedule, self.neurons, self.input)
        check_one_of(self.input, INPUT_MODES, "input")
        check_one_of(self.form, FORMS, "form")
        check_circuits(
            max_pooling=self.max_pooling,
            softmax=self.softmax,
            bias=self.bias,
            bias_rate=self.bias_rate,
            schedule=self.schedule,
            corrections=self.corrections,
        )
        check_seed(self.seed)
        if self.block_length is not None:
            check_positive_integer(self.block_length, "block_length")
        check_one_of(self.engine, ENGINES, "engine")
        check_weight_bits(
            self.weight_bits,
            per_channel=self.per_channel,
            corrections=self.corrections,
            gradient=self.gradient is not None,
        )
        if self.gradient is not None:
            self._check_gradient()
        self._check_starts()
        if self.input == "frames" and (self.corrections or self.timesteps == "auto"):
            raise ValueError(
                "Corrections, and a number of timesteps that is to be found, need input='analog' or 'poisson': calibration "
                f"takes each frame for itself. Received: input='frames', corrections={self.corrections!r}, "
                f"timesteps={self.timesteps!r}"
            )
        if self.schedule == "layer_synchronous" and "timed_biases" in self.recipe.corrections:
            raise ValueError(
                "A layer-synchronous population integrates all timesteps before it fires: there is none to be biased by "
                "itself. Expected corrections without 'timed_biases'. "
                f"Received: schedule='layer_synchronous', corrections={self.corrections!r}"
            )

    def _check_gradient(self) -> None:
        if self.neuron is not None:
            raise ValueError(
                "Calibration by gradient is for integrate-and-fire neurons. Expected neuron=None with it. "
                f"Received: calibration={self.calibration!r}, neuron={self.neuron!r}"
            )
        if self.reset != "subtract":
            raise ValueError(
                "Calibration by gradient is for reset='subtract': a hard reset loses the charge above the threshold, and "
                "rates do not approach the activations that are learnt from. "
                f"Received: calibration={self.calibration!r}, reset={self.reset!r}"
            )
        if self.input == "frames":
            raise ValueError(
                "Calibration by gradient needs input='analog' or 'poisson': the source, from which it learns, has no output "
                f"for a sequence of frames. Received: calibration={self.calibration!r}, input='frames'"
            )
        if self.signed_spikes or self.schedule != "step":
            raise ValueError(
                "Calibration by gradient is for binary spikes, step by step. Received: "
                f"calibration={self.calibration!r}, signed_spikes={self.signed_spikes}, schedule='{self.schedule}'"
            )
        if "gains" in self.recipe.corrections:
            raise ValueError(
                "Calibration by gradient learns thresholds and biases, and has no gains. Expected corrections without "
                f"'gains'. Received: calibration={self.calibration!r}, corrections={list(self.recipe.corrections)}"
            )
        if "timed_biases" in self.recipe.corrections:
            raise ValueError(
                "Calibration by gradient learns constant biases. Expected corrections without 'timed_biases'. "
                f"Received: calibration={self.calibration!r}, corrections={list(self.recipe.corrections)}"
            )

    def _check_starts(self) -> None:
        if self.population_starts is None:
            return
        if not isinstance(self.population_starts, Mapping):
            raise TypeError(
                "Expected `population_starts` to be a dict of numbers of timesteps by name of a population, for example "
                f"{{'conv1_relu': 4}}. Received: population_starts={self.population_starts!r}"
            )
        for name, start in self.population_starts.items():
            check_start(start, f"population_starts[{name!r}]")
            if start >= self.used_timesteps:
                raise ValueError(
                    f"Population {name!r} would wait for all timesteps, and never fire. Expected "
                    f"`population_starts[{name!r}]` to be less than timesteps={self.used_timesteps}. Received: {start}"
                )
        calibrated = {
            "timesteps": self.timesteps if self.timesteps == "auto" else None,
            "corrections": self.corrections or None,
            "calibration": None if self.gradient is None else self.calibration,
        }
        received = [f"{name}={value!r}" for name, value in calibrated.items() if value is not None]
        if self.starts and received:
            raise ValueError(
                "`population_starts` cannot be combined with corrections, timesteps='auto' and calibration by gradient, "
                "which are for populations that fire from the first timestep on. Expected `population_starts` with a "
                "threshold rule and a number of timesteps, without corrections and gradients. "
                f"Received: population_starts={self.starts!r}, {', '.join(received)}"
            )

    @property
    def starts(self) -> dict[str, int]:
        """The number of timesteps that each population waits, of those that wait."""
        return {name: int(start) for name, start in (self.population_starts or {}).items() if start}

    @property
    def gradient(self) -> GradientCalibration | None:
        """How the network learns from its source by gradient, or None if it does not."""
        if isinstance(self.calibration, GradientCalibration):
            return self.calibration
        named = check_one_of(self.calibration, CALIBRATIONS, "calibration")
        return GradientCalibration() if named == "gradient" else None

    @property
    def used_percentile(self) -> float:
        """The percentile, or its default."""
        return DEFAULT_PERCENTILE if self.percentile is None else float(self.percentile)

    @property
    def automatic(self) -> bool:
        """Whether nothing is given that would fix thresholds and corrections, so that they are to be found."""
        given = (
            *(self.threshold_rule, self.corrections, self.percentile),
            *(self.per_channel, self.threshold_scale, self.v0, self.starts or None),
        )
        soft = all(neuron.reset == "subtract" for neuron in self.neurons.values())
        return all(value is None for value in given) and soft and self.input != "frames"

    @property
    def depends_on_timesteps(self) -> bool:
        """Whether thresholds and corrections are made for a number of timesteps, or that number is to be found."""
        found = self.automatic or self.timesteps == "auto"
        return found or self.gradient is not None or self.recipe.depends_on_timesteps

    @property
    def recipe(self) -> Recipe:
        """What is done where nothing is to be found."""
        rule = "custom" if callable(self.threshold_rule) else self.threshold_rule
        return Recipe(
            "percentile" if rule is None else rule,
            per_channel=(self.per_channel is None or bool(self.per_channel)) and self.bits is None,
            corrections=tuple(self.corrections or ()),
            one_threshold=self.bits is not None,
        )

    @property
    def bits(self) -> int | None:
        """Bits of each weight; None: weights are not rounded to few bits."""
        return bits_of(self.weight_bits)

    @property
    def used_threshold_scale(self) -> float:
        """The factor of thresholds, or its default."""
        return 1.0 if self.threshold_scale is None else float(self.threshold_scale)

    @property
    def used_timesteps(self) -> int:
        """T, or its default where T is to be found."""
        return DEFAULT_TIMESTEPS if isinstance(self.timesteps, str) else self.timesteps

    @property
    def used_tolerance(self) -> float:
        """The share of decisions that may differ, or its default."""
        return DEFAULT_TOLERANCE if self.tolerance is None else float(self.tolerance)

    def rule_for(self, recipe: Recipe, timesteps: int) -> ThresholdRule:
        """Returns the rule of a recipe, for the options' percentile; the user's own if the recipe has none of the names."""
        own = self.threshold_rule if recipe.threshold_rule == "custom" else None
        return threshold_rule(own or recipe.threshold_rule, RuleSettings(self.used_percentile, timesteps))

    @property
    def neurons(self) -> dict[str, Neuron]:
        """What the neurons of each population do that is named; those of all others under "all populations"."""
        named = self.neuron if isinstance(self.neuron, Mapping) else {}
        v0 = 0.5 if self.v0 is None else float(self.v0)
        plain = IntegrateAndFire(v0=v0, reset=self.reset, signed_spikes=bool(self.signed_spikes))
        others = self.neuron if isinstance(self.neuron, Neuron) else plain
        neurons = {**named, ALL_POPULATIONS: others}
        return neurons if self.dt is None else {name: dataclasses.replace(n, dt=self.dt) for name, n in neurons.items()}

    def neuron_of(self, population: str) -> Neuron:
        """Returns what the neurons of a population do."""
        return self.neurons.get(population, self.neurons[ALL_POPULATIONS])

    def recorded(self) -> dict[str, Any]:
        """Returns what a `ConversionRecord` keeps of the options, whatever thresholds and corrections are found."""
        return {
            "automatic": self.automatic,
            "tolerance": self.used_tolerance if self.timesteps == "auto" else None,
            "threshold_scale": self.used_threshold_scale,
            "v0": self.neurons[ALL_POPULATIONS].v0,
            "population_starts": self.starts,
            "reset": self.neurons[ALL_POPULATIONS].reset,
            "neurons": {} if self.neuron is None else {name: str(neuron) for name, neuron in self.neurons.items()},
            "signed_spikes": self.neurons[ALL_POPULATIONS].signed_spikes,
            "schedule": self.schedule,
            "form": self.form,
            "max_pooling": self.max_pooling,
            "softmax": self.softmax,
            "bias": self.bias,
            "bias_rate": float(self.bias_rate) if self.bias == "neuron" else None,
            "weight_bits": self.bits,
        }


def _check_percentile(percentile: Any) -> None:
    if percentile is None:
        return
    if check_percentile(percentile) < 1:
        warnings.warn(
            f"percentile={percentile!r} is in percent: {100 * (1 - percentile / 100):g} % of the activations will saturate. "
            f"Did you mean {100 * percentile:g}?",
            stacklevel=5,
        )


def _check_corrections(corrections: Any) -> None:
    if corrections is None:
        return
    if not isinstance(corrections, (list, tuple)):
        raise TypeError(
            f"Expected `corrections` to be a list of names of {sorted(CORRECTIONS)}. Received: corrections={corrections!r}"
        )
    for name in corrections:
        check_one_of(name, CORRECTIONS, "corrections")
    names = list(corrections)
    if "timed_biases" in names[:-1]:
        raise ValueError(
            "Biases of single timesteps fit the setting that they were found for. Expected 'timed_biases' at the end. "
            f"Received: corrections={names}"
        )
    if "gains" in names and "weights" in names[names.index("gains") :]:
        raise ValueError(
            "Weights are fitted to neurons whose input has no gain yet. Expected 'gains' behind 'weights'. "
            f"Received: corrections={names}"
        )
    after = names[names.index("neuron_potentials") + 1 :] if "neuron_potentials" in names else []
    if {"shift", "initial_potentials"} & set(after):
        raise ValueError(
            "Potentials of single neurons would be lost in those of whole channels. Expected 'neuron_potentials' behind "
            f"'shift' and 'initial_potentials'. Received: corrections={names}"
        )


def _check_timesteps(timesteps: Any) -> None:
    if isinstance(timesteps, str):
        if timesteps != "auto":
            raise ValueError(
                f"Expected `timesteps` to be a positive integer or 'auto'. Received: timesteps={timesteps!r}"
            )
        return
    check_timesteps(timesteps)


def _check_tolerance(tolerance: Any, timesteps: Any) -> None:
    if tolerance is None:
        return
    if not (is_number(tolerance) and 0 <= tolerance < 1):
        raise ValueError(
            "Expected `tolerance` to be in [0, 1), the share of decisions that may differ from the source's, or the "
            "relative error of numbers. "
            f"Received: tolerance={tolerance!r}"
        )
    if timesteps != "auto":
        raise ValueError(
            "`tolerance` says which number of timesteps suffices, where that is to be found. Expected timesteps='auto' with "
            f"it, or no tolerance. Received: timesteps={timesteps!r}, tolerance={tolerance!r}"
        )
