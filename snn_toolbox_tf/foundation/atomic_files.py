"""Files and folders that appear whole or not at all: written beside their place, then renamed."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def replacing_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives a temporary path, which takes the place of `path` when the block ends without an error.

    What was at `path` stays untouched until then, and after an error.

    Args:
        path: The file or folder to write; the folder that it is in is created.

    Yields:
        A path with the same ending, in a folder beside the target, where nothing is yet.

    Raises:
        IsADirectoryError: At the end, if a file was written and `path` is a folder, which is not replaced by one.
    """
    # A link stays one: what it leads to is replaced.
    target = pathlib.Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.stem}-", dir=target.parent) as folder:
        written = pathlib.Path(folder) / target.name
        yield written
        if target.is_dir() and not written.is_dir():
            raise IsADirectoryError(f"'{path}' is a folder, which no file replaces. Choose another file name.")
        if target.is_dir() and not target.is_symlink():
            replaced = pathlib.Path(folder) / "replaced"
            os.rename(target, replaced)
            try:
                os.rename(written, target)
            except OSError:
                os.rename(replaced, target)
                raise
        else:
            os.replace(written, target)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives a temporary path for a folder, which becomes `path` when the block ends without an error.

    Args:
        path: The folder to write; the folder that it is in is created.

    Yields:
        A path in a folder beside the target, where nothing is yet.

    Raises:
        FileExistsError: At the end, if something has come to `path` meanwhile. It is kept.
    """
    target = pathlib.Path(os.path.abspath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        written = pathlib.Path(folder) / target.name
        yield written
        try:
            # A folder takes the place of an empty one, and of nothing else.
            os.rename(written, target)
        except OSError as error:
            if not target.exists():
                raise
            raise FileExistsError(f"'{path}' has come to exist meanwhile, and is kept. Try again.") from error


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a binary file that takes the place of `path` when the block ends without an error; see `replacing_path`."""
    with replacing_path(path) as written, open(written, "wb") as file:
        yield file


def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what `replacing_path` left in a folder, and below it, when its process was killed."""
    for path in list(folder.rglob(".*-????????")):
        if path.is_dir():
            shutil.rmtree(path)
