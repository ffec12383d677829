"""`ConversionRecord`: how a spiking network was made."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.corrections import Recipe
from snn_toolbox_tf.model.trial_record import TrialRecord


@dataclasses.dataclass(frozen=True)
class ConversionRecord:
    """Settings of a conversion, and what was measured.

    Attributes:
        percentile: Percentile of the positive activations that thresholds were taken from.
        per_channel: Whether each channel has a threshold of its own.
        threshold_rule: Name of the rule; "custom" for a function, "batch norm and weights" without calibration data;
            "trained" if the source was trained with all thresholds.
        timesteps: T that the network was converted for.
        tolerance: Share of decisions that were allowed to differ, where T was to be found; None where it was given.
        automatic: Whether thresholds and corrections were left to the conversion.
        corrections: Names of the corrections, in the order in which they were made.
        calibrated_timesteps: T that thresholds and corrections were made for; None if they are for any.
        agreement: Share of calibration samples that were held out for it whose decision is the source's, or None.
        calibration: "automatic", or "gradient" if the network has learnt from its source.
        epochs: Passes through the calibration samples in which it has.
        learning_rate: The rate of it, relative to the size of the weights.
        agreement_before: The agreement before it learnt, on the same samples.
        readout_start: Number of timesteps that the readout leaves out.
        windows: Number of windows of T timesteps that a sequence takes; 1 without recurrent layers.
        trials: What was tried if the choice was left to the conversion, for every number of timesteps that was tried.
        threshold_scale: What every threshold was multiplied by.
        v0: Initial membrane potential in units of the threshold.
        population_starts: Number of timesteps that a population only integrates, by name, of those that wait.
        reset: "subtract" or "zero".
        neurons: What neurons do, as text, by population or for "all populations"; empty: plain integrate-and-fire neurons.
        signed_spikes: Whether neurons take spikes back.
        schedule: "step" or "layer_synchronous".
        form: "normalized" or "unnormalized".
        max_pooling: What max pooling passes on.
        softmax: What a softmax at an output is, "decoded" or "spiking".
        bias: What biases are, "current" or "neuron".
        bias_rate: Spikes per timestep of the neuron that feeds them, or None.
        weight_bits: Bits of each weight, or None if weights were not rounded to few bits.
        calibration_samples: Number of samples that thresholds were taken from; 0 without calibration data.
        thresholds: theta per population, in units of the source's activations; broadcastable to the population.
        pass_error: max |difference| / max |output| between the rewritten graph and its source, on data.
        grid_error: The same between the grid and the network before rounding.
        platform_exceptions: What is not exact on the machine that converted, in words; usually nothing.
        fine_tuned: Whether weights have been trained since.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((64, 4), "float32")
        >>> print(snn.convert_keras(model, x, timesteps=8, threshold_rule="maximum").conversion)
        T = 8
        thresholds: maximum per channel, no corrections
        >>> [trial.timesteps for trial in snn.convert_keras(model, x, timesteps=8).conversion.trials if trial.chosen]
        [8]
    """

    percentile: float | None = None
    per_channel: bool | None = None
    threshold_rule: str = ""
    timesteps: int | None = None
    tolerance: float | None = None
    automatic: bool = False
    corrections: tuple[str, ...] = ()
    calibrated_timesteps: int | None = None
    agreement: float | None = None
    calibration: str = "automatic"
    epochs: int = 0
    learning_rate: float | None = None
    agreement_before: float | None = None
    readout_start: int = 0
    windows: int = 1
    trials: tuple[TrialRecord, ...] = ()
    threshold_scale: float | None = None
    v0: float | None = None
    population_starts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    reset: str | None = None
    neurons: Mapping[str, str] = dataclasses.field(default_factory=dict)
    signed_spikes: bool = False
    schedule: str = "step"
    form: str | None = None
    max_pooling: str | None = None
    softmax: str = "decoded"
    bias: str = "current"
    bias_rate: float | None = None
    weight_bits: int | None = None
    calibration_samples: int = 0
    thresholds: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict, repr=False)
    pass_error: float = 0.0
    grid_error: float = 0.0
    platform_exceptions: tuple[str, ...] = ()
    fine_tuned: bool = False

    @property
    def chosen(self) -> TrialRecord | None:
        """The trial that was taken; None if there was no choice."""
        return next((trial for trial in self.trials if trial.chosen), None)

    @property
    def summary(self) -> dict[str, Any]:
        """Everything but the thresholds, as JSON-able data."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["thresholds"]
        values["trials"] = [trial.as_dict() for trial in self.trials]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as JSON-able data; see `from_dict`."""
        thresholds = {name: np.asarray(theta).tolist() for name, theta in self.thresholds.items()}
        return {**self.summary, "thresholds": thresholds}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ConversionRecord":
        """Returns the record that `as_dict` wrote down.

        Raises:
            ValueError: If it holds an unknown entry: another version has written it, or it was changed by hand.
        """
        check_entries(data, cls)
        thresholds = {name: np.asarray(theta, np.float64) for name, theta in data.get("thresholds", {}).items()}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
        trials = tuple(map(TrialRecord.from_dict, data.get("trials", ())))
        return cls(**{**values, "thresholds": thresholds, "trials": trials})

    def __str__(self) -> str:
        """Returns in two lines what came of the conversion, and how."""
        return f"{self._outcome()}\n{self._way()}" if self.threshold_rule else "not converted, but made of a graph"

    def _outcome(self) -> str:
        parts = [f"T = {self.timesteps}"]
        if self.tolerance is not None:
            parts[0] += f", found for a tolerance of {100 * self.tolerance:g} %"
        if self.windows > 1 and self.timesteps is not None:
            parts.append(f"{self.windows} windows, {self.windows * self.timesteps} timesteps for a sequence")
        if self.agreement is not None:
            before = "" if self.agreement_before is None else f" ({100 * self.agreement_before:.1f} % before)"
            parts.append(
                f"agreement with the source {100 * self.agreement:.1f} %{before} on held-out calibration samples"
            )
        if self.calibration == "gradient":
            parts.append(f"learnt in {self.epochs} {'pass' if self.epochs == 1 else 'passes'}")
        return "; ".join(parts)

    def _way(self) -> str:
        if self.weight_bits is None:
            return self._way_to_thresholds()
        unit = "bit" if self.weight_bits == 1 else "bits"
        return f"weights of {self.weight_bits} {unit}; {self._way_to_thresholds()}"

    def _way_to_thresholds(self) -> str:
        chosen = self.chosen
        if chosen is None:
            recipe = Recipe(self.threshold_rule, per_channel=bool(self.per_channel), corrections=self.corrections)
            return f"thresholds: {recipe}"
        equals = sum(trial.timesteps == chosen.timesteps for trial in self.trials)
        way = f"thresholds: {chosen.way}" + (f"; chosen among {equals} trials" if equals > 1 else "")
        if self.calibration == "gradient":
            # What was measured before it has learnt says little of it now.
            return way
        error = f"whose rates are off by {100 * chosen.worst_error:.0f} %"
        return f"{way}; most is lost at '{chosen.worst_population}', {error}"


def check_entries(data: Mapping[str, Any], kind: type) -> None:
    """Raises for entries that a record of a conversion, a dataclass, does not have."""
    unknown = sorted(set(data) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise ValueError(
            f"the record of the conversion holds {', '.join(map(repr, unknown))}, which this version of snn_toolbox_tf "
            "does not know"
        )
