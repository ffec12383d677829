"""`Journal`: the finished points of a long study, kept so that an interrupted one goes on."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras

from snn_toolbox_tf.foundation import atomic_files
from snn_toolbox_tf.foundation.digests import array_hash

#: The result of a point: plain data that JSON can hold.
PointResult = dict[str, Any]


class Journal:
    """The points of a study that are finished; a study computes the others.

    Args:
        path: A JSON file to keep them in, written whole after each point. None keeps them in memory only.
        tell: Is called with the name of each point before it is computed.

    Raises:
        ValueError: If the file is there and is no journal.

    Example:
        >>> import snn_toolbox_tf as snn
        >>> journal = snn.Journal()
        >>> journal.point("T = 8", lambda: {"accuracy": 0.5})
        {'accuracy': 0.5}
        >>> journal.point("T = 8", lambda: {"accuracy": 0.7})
        {'accuracy': 0.5}
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, tell: Callable[[str], None] | None = None) -> None:
        self._path = None if path is None else pathlib.Path(path)
        self._tell = tell
        self._identity, self._points = self._read()

    def identify(self, **parts: Any) -> None:
        """Says what the points belong to; a study calls it before the first one.

        Args:
            **parts: Plain data, arrays, or Keras models, by name. Of arrays and models a digest is kept.

        Raises:
            ValueError: If the file has points that belong to something else.
            TypeError: If nothing tells whether a part is the same again, such as a stream of samples.
        """
        try:
            identity = {name: _identity_of(part) for name, part in parts.items()}
        except TypeError:
            if self._path is not None:
                raise
            # In memory it is the same as long as it is the same object.
            identity = {name: str(id(part)) for name, part in parts.items()}
        if self._identity is not None and self._identity != identity:
            names = sorted(name for name in identity | self._identity if identity.get(name) != self._identity.get(name))
            raise ValueError(
                f"'{self._path or 'the journal'}' belongs to another study: it differs in {', '.join(names)}. "
                "Use a journal of its own for each study, or delete the file."
            )
        self._identity = identity

    def point(self, name: str, compute: Callable[[], PointResult]) -> PointResult:
        """Returns the result of a point: as it was kept, or computed and kept.

        Args:
            name: Names the point within the study.
            compute: Returns its result, plain data that JSON can hold.
        """
        if name not in self._points:
            if self._tell is not None:
                self._tell(name)
            # What a file gives back is what is used in the first place.
            self._points[name] = json.loads(json.dumps(compute()))
            self._write()
        return dict(self._points[name])

    def _read(self) -> tuple[dict[str, Any] | None, dict[str, PointResult]]:
        if self._path is None or not self._path.exists():
            return None, {}
        try:
            held = json.loads(self._path.read_text())
            return dict(held["identity"]), {name: dict(point) for name, point in held["points"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"'{self._path}' is no journal of a study. Expected a JSON file that a study has written, or a new path."
            ) from error

    def _write(self) -> None:
        if self._path is not None:
            with atomic_files.replacing(self._path) as file:
                file.write(json.dumps({"identity": self._identity or {}, "points": self._points}, indent=1).encode())


def as_journal(journal: Any) -> Journal:
    """Returns the journal of a study: what was given, or one in memory.

    Raises:
        TypeError: If it is none.
    """
    if journal is None or isinstance(journal, Journal):
        return journal or Journal()
    raise TypeError(
        f"Expected `journal` to be a `snn.Journal`, such as `snn.Journal('study.json')`. Received: {type(journal).__name__}"
    )


def _identity_of(part: Any) -> Any:
    """Returns plain data that is the same for the same part.

    Raises:
        TypeError: If nothing tells whether it is the same.
    """
    if isinstance(part, keras.Model):
        return {"weights": array_hash(part.get_weights()), "architecture": _architecture(part)}
    if isinstance(part, Mapping):
        return {str(name): _identity_of(inner) for name, inner in part.items()}
    if hasattr(part, "__array__"):
        return array_hash(part)
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    if isinstance(part, (list, tuple)):
        return [_identity_of(inner) for inner in part]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        return {"class": type(part).__name__, **_identity_of(fields)}
    if callable(part) and hasattr(part, "__qualname__"):
        return f"{part.__module__}.{part.__qualname__}"
    raise TypeError(
        f"A journal keeps what its points belong to, and cannot tell whether a {type(part).__name__} is the same again. "
        "Pass arrays, or no journal."
    )


def _architecture(model: keras.Model) -> str:
    """Returns a digest of a model's configuration; numbers that Keras gives names do not count."""
    text = json.dumps(model.get_config(), sort_keys=True, default=lambda value: type(value).__name__)
    return hashlib.sha256(re.sub(r'_\d+(?=[_"])', "", text).encode()).hexdigest()[:12]
