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


def write_seal(store: Any, model: keras.Model) -> None:
    """Writes the digests of a model's description and weights into a file's store."""
    description = description_digest(model.get_config())
    if description is not None:
        store["description"] = description
    store["weights"] = weights_digest(model.weights)


def check_seal(store: Any, model: keras.Model, described_by: np.ndarray | None, *, missing: bool) -> None:
    """Raises if a file's description or weights are not those that were saved.

    Args:
        store: The store that `write_seal` wrote to.
        model: The model, with the weights of the file.
        described_by: Digest of the description that it was made of; None if it is not a file's.
        missing: Whether a file without digests is taken as it is, because older files have none.

    Raises:
        ValueError: If they are not.
    """
    loaded = {"description": described_by, "weights": weights_digest(model.weights)}
    altered = [
        part
        for part, digest in loaded.items()
        if digest is not None and not holds(store, part, digest, missing=missing)
    ]
    if altered:
        raise ValueError(
            f"In the file of {type(model).__name__} '{model.name}', {' and '.join(altered)} are not what was saved: it was "
            "altered or damaged, or its parts come from several files. Use an unaltered copy, or convert the source model "
            "again."
        )


def holds(store: Any, name: str, expected: np.ndarray, *, missing: bool) -> bool:
    """Whether a layer's store in a file holds an array; `missing` if it holds none of that name."""
    # The store of Keras 3.6 has no `in`.
    return np.array_equal(np.asarray(store[name]), expected) if name in list(store.keys()) else missing
