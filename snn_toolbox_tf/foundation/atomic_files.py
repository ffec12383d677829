"""Files and folders that appear whole or not at all: written beside their place, then renamed."""

import contextlib
import glob
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

#: Where a folder that is replaced stands meanwhile.
_REPLACED = "replaced"
#: Is locked by who writes, as long as that process lives.
_LOCK = ".lock"


@contextlib.contextmanager
def replacing_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives a temporary path, which takes the place of `path` when the block ends without an error.

    What was at `path` stays untouched until then, and after an error. What a process that was killed has left beside `path`
    is removed.

    Args:
        path: The file or folder to write; the folder that it is in is created.

    Yields:
        A path with the same ending, in a folder beside the target, where nothing is yet.

    Raises:
        IsADirectoryError: At the end, if a file was written and `path` is a folder, which is not replaced by one.
        NotADirectoryError: If a file stands where a folder is to be.
    """
    # A link stays one: what it leads to is replaced.
    target = pathlib.Path(os.path.realpath(path))
    with _beside(target) as folder:
        written = folder / target.name
        yield written
        if target.is_dir() and not written.is_dir():
            raise IsADirectoryError(f"'{path}' is a folder, which no file replaces. Choose another file name.")
        if target.is_dir():
            replaced = folder / _REPLACED
            os.rename(target, replaced)
            try:
                os.rename(written, target)
            except OSError:
                os.rename(replaced, target)
                raise
        else:
            os.replace(written, target)


@contextlib.contextmanager
def new_folder(
    path: str | os.PathLike[str], otherwise: Callable[[], pathlib.Path] | None = None
) -> Iterator[pathlib.Path]:
    """Gives a temporary path for a folder, which becomes `path` when the block ends without an error.

    Args:
        path: The folder to write; the folder that it is in is created.
        otherwise: Names another folder beside it, if something has come to the last one meanwhile.

    Yields:
        A path in a folder beside the target, where nothing is yet.

    Raises:
        FileExistsError: If something is there, or has come there meanwhile, and there is no other place. It is kept.
        NotADirectoryError: If a file stands where a folder is to be.
    """
    target = pathlib.Path(os.path.abspath(path))
    if os.path.lexists(target):
        raise FileExistsError(f"'{path}' exists, and is kept. Choose another name.")
    with _beside(target) as folder:
        written = folder / target.name
        yield written
        while True:
            try:
                # A folder takes the place of an empty one, and of nothing else.
                os.rename(written, target)
                return
            except OSError as error:
                if not os.path.lexists(target):
                    raise
                if otherwise is None:
                    raise FileExistsError(f"'{path}' has come to exist meanwhile, and is kept. Try again.") from error
                target = pathlib.Path(os.path.abspath(otherwise()))


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a binary file that takes the place of `path` when the block ends without an error; see `replacing_path`."""
    with replacing_path(path) as written, open(written, "wb") as file:
        yield file


def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what `replacing_path` left in a folder, and below it, when its process was killed."""
    for path in list(folder.rglob(".*-????????")):
        _clear_if_abandoned(path)


@contextlib.contextmanager
def _beside(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a folder of this process beside a target, for as long as it is written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"'{target}' cannot be written: a part of that path is a file, and no folder. Choose another path."
        ) from error
    _clear_abandoned(target)
    with tempfile.TemporaryDirectory(prefix=_prefix(target), dir=target.parent) as folder, _held(folder):
        yield pathlib.Path(folder)


def _prefix(target: pathlib.Path) -> str:
    return f".{target.name}-"


def _lock(folder: pathlib.Path) -> Any:
    # Only writing needs it; `import snn_toolbox_tf` does without.
    import filelock

    return filelock.FileLock(folder / _LOCK, timeout=0)


@contextlib.contextmanager
def _held(folder: str) -> Iterator[None]:
    """Locks a folder that is written; where a file system has no locks, nobody removes what is left in it."""
    lock = _lock(pathlib.Path(folder))
    with contextlib.suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _clear_abandoned(target: pathlib.Path) -> None:
    """Removes what writers of a target that were killed have left, and puts back what one of them had moved away."""
    for folder in target.parent.glob(f"{glob.escape(_prefix(target))}????????"):
        _clear_if_abandoned(folder)


def _clear_if_abandoned(folder: pathlib.Path) -> None:
    """Removes a writer's folder, unless it is written, and puts back what was moved there; see `_prefix`."""
    # One without a lock is not ours, or is about to be locked.
    if not (folder / _LOCK).exists():
        return
    target = folder.with_name(folder.name[1:].rpartition("-")[0])
    with contextlib.suppress(OSError, NotImplementedError), _lock(folder):
        if (folder / _REPLACED).exists() and not target.exists():
            os.rename(folder / _REPLACED, target)
        shutil.rmtree(folder, ignore_errors=True)
