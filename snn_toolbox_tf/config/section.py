"""What a section of the settings is: values, each with its kind, default and meaning."""

import dataclasses
import re
from typing import Any

from snn_toolbox_tf.config.values import InvalidValue, Kind


class ConfigurationError(ValueError):
    """Settings are not usable; the message names section, key, what was received and what was expected."""


def setting(default: Any, kind: Kind, doc: str, affects: str, alias: str = "") -> Any:
    """Declares a setting.

    Args:
        default: Its default.
        kind: How it is read, checked and written.
        doc: Its meaning.
        affects: What depends on it first: "files" (which model and data), "data" (what is simulated), "calibration" (the
            data that thresholds come from), "conversion" (the converted network), "simulation" (the results only), or
            "nothing" (speed, and what is shown where).
        alias: Its name in Python, where that is another one; it is understood as well.
    """
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc, "affects": affects, "alias": alias})


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a file. It checks every field by its kind."""

    @classmethod
    def name(cls) -> str:
        """Returns its name in a file: that of the class, in small letters."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __post_init__(self) -> None:
        problems = []
        for field in dataclasses.fields(self):
            try:
                object.__setattr__(self, field.name, field.metadata["kind"].check(getattr(self, field.name)))
            except InvalidValue as error:
                problems.append(f"[{self.name()}] {field.name}: {error}")
        if problems:
            raise ConfigurationError("\n".join(problems))
