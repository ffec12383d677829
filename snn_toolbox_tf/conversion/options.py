"""The options of a conversion, checked."""

import dataclasses
import math
import numbers
import warnings
from typing import Any

import numpy as np

from snn_toolbox_tf.calibration import ThresholdRule, threshold_rule
from snn_toolbox_tf.foundation.argument_checks import (
    check_one_of,
    check_positive_integer,
    check_seed,
    check_timesteps,
)
from snn_toolbox_tf.model import DEFAULT_TIMESTEPS
from snn_toolbox_tf.neurons import IntegrateAndFire, Neuron
from snn_toolbox_tf.passes import MAX_POOLINGS
from snn_toolbox_tf.simulation.inputs import INPUT_MODES

FORMS = ("normalized", "unnormalized")
DEFAULT_PERCENTILE = 99.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """The arguments of `convert_keras` besides model and data; see there.

    Raises:
        TypeError, ValueError: If an argument is not usable.
    """

    timesteps: int = DEFAULT_TIMESTEPS
    threshold_rule: str | ThresholdRule = "percentile"
    percentile: float | None = None
    per_channel: bool = True
    threshold_scale: float = 1.0
    v0: float = 0.5
    reset: str = "subtract"
    input: str = "analog"
    form: str = "normalized"
    max_pooling: str = "accumulated"
    seed: int = 0
    block_length: int | None = None

    def __post_init__(self) -> None:
        check_timesteps(self.timesteps)
        _check_percentile(self.percentile)
        threshold_rule(self.threshold_rule, self.used_percentile)
        if not isinstance(self.per_channel, (bool, np.bool_)):
            raise ValueError(f"Expected `per_channel` to be True or False. Received: per_channel={self.per_channel!r}")
        if not (_is_number(self.threshold_scale) and self.threshold_scale > 0):
            raise ValueError(
                f"Expected `threshold_scale` to be a positive number. Received: threshold_scale={self.threshold_scale!r}"
            )
        if not (_is_number(self.v0) and -1 <= self.v0 <= 1):
            raise ValueError(f"Expected `v0` to be in [-1, 1], in units of the threshold. Received: v0={self.v0!r}")
        _ = self.neuron
        check_one_of(self.input, INPUT_MODES, "input")
        check_one_of(self.form, FORMS, "form")
        check_one_of(self.max_pooling, MAX_POOLINGS, "max_pooling")
        check_seed(self.seed)
        if self.block_length is not None:
            check_positive_integer(self.block_length, "block_length")

    @property
    def used_percentile(self) -> float:
        """The percentile, or its default."""
        return DEFAULT_PERCENTILE if self.percentile is None else float(self.percentile)

    @property
    def rule(self) -> ThresholdRule:
        """The threshold rule, a function of statistics."""
        return threshold_rule(self.threshold_rule, self.used_percentile)

    @property
    def neuron(self) -> Neuron:
        """What the network's neurons do."""
        return IntegrateAndFire(v0=float(self.v0), reset=self.reset)

    def recorded(self, *, calibrated: bool) -> dict[str, Any]:
        """Returns what a `ConversionRecord` keeps of the options."""
        rule = self.threshold_rule if isinstance(self.threshold_rule, str) else "custom"
        return {
            "percentile": self.used_percentile,
            "per_channel": bool(self.per_channel),
            "threshold_rule": rule if calibrated else "batch norm and weights",
            "threshold_scale": float(self.threshold_scale),
            "v0": float(self.v0),
            "reset": self.reset,
            "form": self.form,
            "max_pooling": self.max_pooling,
        }


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _check_percentile(percentile: Any) -> None:
    if percentile is None:
        return
    if not (_is_number(percentile) and 0 < percentile <= 100):
        raise ValueError(
            f"Expected `percentile` to be in (0, 100], for example 99.9. Received: percentile={percentile!r}"
        )
    if percentile < 1:
        warnings.warn(
            f"percentile={percentile!r} is in percent: {100 * (1 - percentile / 100):g} % of the activations will saturate. "
            f"Did you mean {100 * percentile:g}?",
            stacklevel=5,
        )
