"""The seal of a file: digests of what was saved, compared with what is loaded."""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np


class FileSeal(keras.layers.Layer):
    """Has the last word when Keras writes or reads a model.

    Keras visits the private attributes of a model last: when it asks this layer to load its variables, all weights of the
    network are loaded. It is no part of the network, and not among the layers of its model.

    Args:
        write: Writes the seal into a layer's store.
        check: Compares the seal in such a store with what was loaded, and raises an error if they differ.
    """

    def __init__(self, write: Callable[[Any], None], check: Callable[[Any], None]) -> None:
        super().__init__(name="file_seal", trainable=False)
        self._write, self._check = write, check
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        """Writes the seal."""
        self._write(store)

    def load_own_variables(self, store: Any) -> None:
        """Compares the seal; of a file without one, nothing."""
        self._check(store)


def description_digest(config: dict[str, Any]) -> np.ndarray | None:
    """Returns the SHA-256 digest of a model's configuration as a `.keras` file holds it, uint8 `[32]`.

    Args:
        config: The configuration, as `get_config` returns it or as it comes from a file.

    Returns:
        None for what is no JSON, and so comes from no file.
    """
    try:
        text = json.dumps(keras.saving.serialize_keras_object(config), sort_keys=True)
    except (TypeError, ValueError):
        return None
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)


def weights_digest(weights: Iterable[keras.Variable]) -> np.ndarray:
    """Returns the SHA-256 digest of weights with their dtypes and shapes, uint8 `[32]`."""
    digest = hashlib.sha256()
    for weight in weights:
        values = keras.ops.convert_to_numpy(weight)
        digest.update(f"{values.dtype.name}{values.shape}".encode())
        digest.update(values.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)
