"""The folder of a run: either whole or not there; what an interrupted run has done is kept beside it."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import filelock

from snn_toolbox_tf import files
from snn_toolbox_tf.config import ConfigurationError

_LOCK, _FINGERPRINT = "lock", "fingerprint.json"


class RunFolder:
    """Claims a folder for one run, as a context manager.

    Everything is written into a hidden folder beside the target, which takes the target's place by renaming once the run is
    finished. If the run is interrupted, the hidden folder stays, and a later run with the same fingerprint can go on.

    Args:
        target: Folder of the run.
        fingerprint: What the results depend on, by name; JSON values.
        overwrite: Whether a finished run in `target` may be replaced, and an unfinished one discarded.
        resume: Whether to go on with an unfinished run.

    Attributes:
        path: The folder to write to.
        resumed: Whether an unfinished run is gone on with.

    Raises:
        ConfigurationError: On entry: if there is a finished run, an unfinished one, something else, or a run that another
            process is writing.
    """

    def __init__(
        self, target: pathlib.Path, fingerprint: Mapping[str, Any], *, overwrite: bool = False, resume: bool = False
    ) -> None:
        self.target = target.absolute()
        self.path = self.target.with_name(f".{self.target.name}.unfinished")
        self.resumed = False
        # As it will be when it has been read back.
        self._fingerprint = json.loads(json.dumps(fingerprint, default=str))
        self._overwrite, self._resume = overwrite, resume
        self._lock = filelock.FileLock(self.path / _LOCK, timeout=0)
        self._finished = False

    def __enter__(self) -> "RunFolder":
        """Claims the folder."""
        self._check_target()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"The folder of the run cannot be made: {error}.") from error
        try:
            self._lock.acquire()
        except (filelock.Timeout, FileNotFoundError):
            raise ConfigurationError(
                f"Another process is writing the run '{self.target}'. Wait for it, or choose another runlabel."
            ) from None
        except OSError as error:
            raise ConfigurationError(f"The folder of the run cannot be written: {error}.") from error
        try:
            # Again, as another process may have finished meanwhile.
            self._check_target()
            self._take_up()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Gives the claim up; an interrupted run keeps what it has, unless that is nothing."""
        self._release()

    def finish(self) -> pathlib.Path:
        """Puts the finished run into its place and returns that."""
        (self.path / _FINGERPRINT).unlink()
        replaced = self.target.with_name(f".{self.target.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        if self.target.exists():
            self.target.rename(replaced)
        self.path.rename(self.target)
        self._finished = True
        self._lock.release()
        (self.target / _LOCK).unlink(missing_ok=True)
        shutil.rmtree(replaced, ignore_errors=True)
        return self.target

    def _check_target(self) -> None:
        if not self.target.exists():
            return
        if not self.target.is_dir():
            raise ConfigurationError(f"'{self.target}' is a file. Choose another folder for the run.")
        if not any(self.target.iterdir()):
            self.target.rmdir()
            return
        if not (self.target / "config.ini").is_file():
            raise ConfigurationError(f"'{self.target}' exists and holds no run. Choose another folder for the run.")
        if not self._overwrite:
            raise ConfigurationError(
                f"'{self.target}' holds a finished run. Choose another runlabel (--runlabel), or replace it with "
                "[output] overwrite = True (--overwrite)."
            )

    def _take_up(self) -> None:
        """Goes on with what an unfinished run has left, or starts anew."""
        left = self.path / _FINGERPRINT
        if left.is_file() and not self._resume and not self._overwrite:
            raise ConfigurationError(
                f"An unfinished run of '{self.target}' is there. Go on with it (--resume), discard it "
                "([output] overwrite = True, --overwrite), or choose another runlabel."
            )
        if left.is_file() and self._resume:
            self._check_same(json.loads(left.read_text()))
            self.resumed = True
            return
        for entry in self.path.iterdir():
            if entry.name != _LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        with files.replacing(left) as file:
            file.write(json.dumps(self._fingerprint, indent=1).encode())

    def _check_same(self, before: Mapping[str, Any]) -> None:
        keys = dict.fromkeys([*before, *self._fingerprint])
        changed = [key for key in keys if before.get(key) != self._fingerprint.get(key)]
        if changed:
            listed = "; ".join(f"{key}: {before.get(key)} then, {self._fingerprint.get(key)} now" for key in changed)
            raise ConfigurationError(
                f"The unfinished run of '{self.target}' cannot be resumed, because it was started with something else: "
                f"{listed}. Restore that, or discard it with --overwrite."
            )

    def _release(self) -> None:
        if self._finished:
            return
        entries = {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()
        if entries <= {_LOCK, _FINGERPRINT} and not self.resumed and self._lock.is_locked:
            # Nothing was done yet: nothing to keep.
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()
