"""Arrays of a result: by population, and joined from parts."""

from typing import Any

import keras
import numpy as np


class RecordedArrays(dict[str, np.ndarray]):
    """Arrays per population, with an error that says how to get what is missing."""

    def __init__(self, kind: str, arrays: dict[str, np.ndarray] | None) -> None:
        super().__init__(arrays or {})
        self._kind = kind

    def __missing__(self, name: str) -> np.ndarray:
        raise KeyError(
            f"No '{self._kind}' of '{name}' in this result. Recorded: {list(self) or 'none'}. "
            f"Pass `record={{'{self._kind}': ['{name}']}}` to `simulate`, with the name of a population."
        )


def concatenate(parts: list[Any], axis: int) -> Any:
    """Returns structures of arrays, joined array by array."""
    if len(parts) == 1:
        return parts[0]
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays, axis=axis), *parts)
