"""The folder of a served model: a folder with a number for each of its versions."""

import os
import pathlib
import re


def versions_of(base: pathlib.Path) -> list[int]:
    """Returns the numbers of the versions that are there, as a model server finds them."""
    return sorted(int(path.name) for path in _numbered(base) if path.is_dir())


def _numbered(base: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in base.glob("*") if re.fullmatch(r"\d+", path.name)]


def next_version(base: pathlib.Path) -> int:
    """Returns a number above those of all versions.

    Raises:
        NotADirectoryError: If the folder is a file.
        ValueError: If it is a SavedModel itself.
    """
    _check_base(base)
    return max((int(path.name) for path in _numbered(base)), default=0) + 1


def checked_version(base: pathlib.Path, version: int) -> int:
    """Returns a number that no version has, or raises an error.

    Raises:
        FileExistsError: If there is such a version.
        NotADirectoryError: If the folder is a file.
        ValueError: If it is no number of a version, or the folder is a SavedModel itself.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"Expected `version` to be a whole number from 1 on. Received: {version!r}")
    _check_base(base)
    if os.path.lexists(base / str(version)):
        raise FileExistsError(
            f"'{base}' has a version {version} already, which is kept. Expected another number, or None for the next one, "
            f"{next_version(base)}."
        )
    return version


def _check_base(base: pathlib.Path) -> None:
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(f"'{base}' is a file. Expected a folder for the model, in which versions get theirs.")
    if (base / "saved_model.pb").exists():
        raise ValueError(
            f"'{base}' is a SavedModel itself. Expected the folder of a model, in which each version is a SavedModel."
        )
