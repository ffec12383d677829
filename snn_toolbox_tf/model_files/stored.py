"""What a model file holds, whichever of its formats it has: an architecture, weights, and who wrote them."""

import contextlib
import dataclasses
import io
import json
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from snn_toolbox_tf.model_files.origin import Origin, unreadable

_SIGNATURE_OF_HDF5 = b"\x89HDF\r\n\x1a\n"
#: What reading damaged files raises; the last two are for archives that are encrypted, or packed in ways of their own.
_OF_DAMAGED_FILES = (
    *(OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, json.JSONDecodeError, UnicodeDecodeError),
    *(RuntimeError, NotImplementedError),
)


@dataclasses.dataclass(frozen=True)
class Group:
    """A group of a file's weights, read when they are asked for.

    Args:
        group: The group.
        listed: Whether an attribute lists the names of its weights, as in .h5 files; otherwise they are numbered.
    """

    group: h5py.Group
    listed: bool

    def layer_names(self) -> list[str]:
        """Returns the names of the layers whose groups this group holds, in the order of the model."""
        return _texts(self.group, "layer_names")

    def weights(self) -> list[tuple[str, np.ndarray]]:
        """Returns names and values of the group's weights, in their order."""
        if self.listed:
            names = _texts(self.group, "weight_names")
            return [(name, self.group[name][()]) for name in names]
        numbered = self.group.get("vars", {})
        return [(name, numbered[name][()]) for name in sorted(numbered, key=int)]


@dataclasses.dataclass(frozen=True)
class StoredModel:
    """The parts of a model file.

    Attributes:
        origin: Who wrote it.
        architecture: Class name and configuration of the model.
        weights: The group that holds the layers' groups; None of an archive of Keras 3, which reads its own.
        training: What the model was compiled with; {} if it was not.
    """

    origin: Origin
    architecture: dict[str, Any]
    weights: Group | None
    training: dict[str, Any]


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[StoredModel]:
    """Reads a model file; its weights can be read as long as the context lasts.

    Raises:
        ModelFileError: If the file is damaged, or holds no model.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_SIGNATURE_OF_HDF5))
        # By what it holds, as Keras 2 wrote HDF5 to .keras files, too.
        if start == _SIGNATURE_OF_HDF5:
            with h5py.File(path, "r") as file:
                yield _from_hdf5(path, file)
        else:
            with zipfile.ZipFile(path) as archive:
                _check_archive(path, archive)
                origin = Origin(path, _described(archive, "metadata.json")["keras_version"], "tensorflow")
                architecture = _described(archive, "config.json")
                training = architecture.get("compile_config") or {}
                if origin.major >= 3:
                    yield StoredModel(origin, architecture, None, training)
                else:
                    with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
                        yield StoredModel(origin, architecture, Group(file, listed=False), training)
    except _OF_DAMAGED_FILES as error:
        raise unreadable(path, f"the file is damaged, or something else ({error})") from error


def _check_archive(path: pathlib.Path, archive: zipfile.ZipFile) -> None:
    damaged = archive.testzip()
    if damaged is not None:
        raise unreadable(path, f"the file is damaged: '{damaged}' in it has another checksum than when it was written")
    if path.suffix != ".keras":
        raise unreadable(
            path, "it is an archive as Keras writes it, but is not called so. Rename it to end in '.keras'"
        )


def _described(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    content = json.loads(archive.read(name))
    if not isinstance(content, dict):
        raise KeyError(f"'{name}' in it holds no description")
    return content


def _from_hdf5(path: pathlib.Path, file: h5py.File) -> StoredModel:
    groups = file.get("model_weights", file)
    attributes = {name: _text(groups.attrs[name]) for name in ("keras_version", "backend") if name in groups.attrs}
    attributes |= {name: _text(file.attrs[name]) for name in ("keras_version", "backend") if name in file.attrs}
    beside = architecture_beside(path)
    architecture = json.loads(beside.read_text()) if beside else None
    if architecture is None and "model_config" not in file.attrs:
        raise unreadable(
            path,
            "it holds weights only, without an architecture. Save the whole model with `model.save`, or put the "
            f"architecture beside it, as `model.to_json()` writes it, in '{path.with_suffix('.json').name}'",
        )
    if architecture is None:
        architecture = json.loads(_text(file.attrs["model_config"]))
    version = attributes.get("keras_version") or architecture.get("keras_version") or ""
    if not version and "registered_name" in architecture:
        version = "3"
    backend = attributes.get("backend") or architecture.get("backend") or _backend_by_names(groups)
    training = json.loads(_text(file.attrs["training_config"])) if "training_config" in file.attrs else {}
    return StoredModel(Origin(path, version, backend), architecture, Group(groups, listed=True), training or {})


def architecture_beside(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the file that holds the architecture alone, as snn_toolbox also has it; None if there is none."""
    beside = path.with_suffix(".json")
    if path.suffix not in (".h5", ".hdf5") or not beside.is_file():
        return None
    content = json.loads(beside.read_text())
    return beside if isinstance(content, dict) and "class_name" in content else None


def _backend_by_names(groups: h5py.Group) -> str:
    """Keras 1 did not write down its backend, but TensorFlow's variables have names that end in :0."""
    names = [name for group in groups.values() for name in _texts(group, "weight_names")]
    return "theano" if names and not any(name.endswith(":0") for name in names) else "tensorflow"


def _texts(group: h5py.Group, name: str) -> list[str]:
    """Returns a list of texts that is an attribute, or, where it was too long for one, several numbered ones."""
    parts = [name] if name in group.attrs else [part for part in group.attrs if re.fullmatch(rf"{name}\d+", part)]
    parts.sort(key=lambda part: int(part.removeprefix(name) or 0))
    return [_text(text) for part in parts for text in group.attrs[part]]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
