"""`LatencyRecord`: how a network in latency code was made."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from snn_toolbox_tf.latency.code import LatencyCode
from snn_toolbox_tf.model.conversion_record import check_entries


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyRecord:
    """How a network in latency code was made, and what was measured.

    Attributes:
        code: The code, a `LatencyCode`.
        ranges: Length of the window of each population (and input that spikes), in units of the source's activations: the
            largest value that a spike can stand for.
        signed_inputs: Inputs with two neurons for each value, one per sign.
        calibration_samples: Number of samples that ranges were taken from.
        silent_populations: Populations that none of these drove, whose ranges are therefore guesses.
        pass_error: max |difference| / max |output| between the rewritten graph, run as an ANN, and its source, on data.
        code_error: The same between the network in latency code and its source, on calibration data: with timesteps, mostly
            what rounding to them costs.
        inexact_populations: Populations whose potentials are not sums of multiples of a power of two: at the edge of a
            timestep, their spikes may depend on the machine.
    """

    code: LatencyCode
    ranges: Mapping[str, float]
    signed_inputs: tuple[str, ...] = ()
    calibration_samples: int = 0
    silent_populations: tuple[str, ...] = ()
    pass_error: float = 0.0
    code_error: float = 0.0
    inexact_populations: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """Everything as JSON-able data."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values |= {"code": self.code.get_config(), "ranges": dict(self.ranges)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LatencyRecord":
        """Returns the record whose `summary` this is.

        Raises:
            ValueError: If it holds an unknown entry: another version has written it, or it was changed by hand.
        """
        check_entries(data, cls)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        values["code"] = LatencyCode(**data["code"])
        return cls(**values)

    def __str__(self) -> str:
        """Returns code and error in two lines."""
        headroom = f"{self.code.used_headroom:g} times as long as the largest"
        return (
            f"latency code: {self.code}\n{len(self.ranges)} windows, {headroom} "
            f"value of {self.calibration_samples:,} samples; error of the outputs {self.code_error:.1e}"
        )
