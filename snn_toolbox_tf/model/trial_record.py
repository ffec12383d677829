"""`TrialRecord`: a way to thresholds that a conversion has tried."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from snn_toolbox_tf.corrections import Recipe, Trial


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A way to thresholds that a conversion has tried, and how well the network did with it.

    Attributes:
        timesteps: T.
        threshold_rule: Name of the rule.
        per_channel: Whether each channel has a threshold of its own.
        corrections: Names of the corrections, in the order in which they were made.
        readout_start: Number of timesteps that the readout leaves out.
        samples: Number of calibration samples that were held out to compare on.
        agreement: Share of them whose decision is the source's.
        error: Root mean square of the outputs' difference over that of the source's outputs.
        worst_population: Name of the population at which most is lost.
        worst_error: Error of its threshold times rate, relative to the source's activations.
        chosen: Whether this is what was taken.
    """

    timesteps: int
    threshold_rule: str
    per_channel: bool
    corrections: tuple[str, ...]
    readout_start: int
    samples: int
    agreement: float
    error: float
    worst_population: str
    worst_error: float
    chosen: bool

    @property
    def way(self) -> str:
        """Rule, corrections and readout in words."""
        recipe = Recipe(self.threshold_rule, per_channel=self.per_channel, corrections=self.corrections)
        window = f", readout from timestep {self.readout_start + 1} on" if self.readout_start else ""
        return f"{recipe}{window}"

    def __str__(self) -> str:
        return f"T = {self.timesteps}, {self.way}: {100 * self.agreement:.1f} % agreement, error {self.error:.3f}"

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as JSON-able data; see `from_dict`."""
        return {**dataclasses.asdict(self), "corrections": list(self.corrections)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrialRecord":
        """Returns the record that `as_dict` wrote down."""
        return cls(**{**data, "corrections": tuple(data["corrections"])})


def trial_records(tried: Mapping[int, Sequence[Trial]], chosen: Trial | None) -> tuple[TrialRecord, ...]:
    """Returns what was tried in words and numbers; nothing if there was no choice.

    Args:
        tried: Trials by number of timesteps.
        chosen: The one that was taken.
    """
    records = []
    for timesteps, trials in sorted(tried.items()):
        for trial in trials:
            if trial.agreement is None:
                continue
            worst = trial.worst_population
            records.append(
                TrialRecord(
                    timesteps=timesteps,
                    threshold_rule=trial.recipe.threshold_rule,
                    per_channel=trial.recipe.per_channel,
                    corrections=trial.recipe.corrections,
                    readout_start=trial.readout_start,
                    samples=trial.agreement.samples,
                    agreement=trial.agreement.decisions,
                    error=trial.agreement.error,
                    worst_population=worst,
                    worst_error=trial.errors[worst],
                    chosen=trial is chosen,
                )
            )
    return tuple(records) if len(records) > 1 else ()
