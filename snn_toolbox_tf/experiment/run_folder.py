"""The folder of a run: either whole or not there; what an interrupted run has done is kept beside it."""

import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.foundation import atomic_files

#: Tells a run's folder, finished or not, from anything else, and what its results depend on.
_MARKER = "run.json"
_FORMAT = "snn_toolbox_tf.Run"


class RunFolder:
    """Claims a folder for one run, as a context manager.

    Everything is written into a hidden folder beside the target, which takes the target's place by renaming once the run is
    finished. If the run is interrupted, the hidden folder stays, and a later run with the same fingerprint can go on. Only
    folders that hold a run are ever replaced, and only if that is asked for.

    Args:
        target: Folder of the run.
        fingerprint: What the results depend on, by name; JSON values.
        overwrite: Whether a finished run in `target` may be replaced, and an unfinished one discarded.
        resume: Whether to continue an unfinished run.

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
        # A link to a folder stays one: what it leads to is replaced.
        self.target = pathlib.Path(os.path.realpath(target))
        self.path = self._beside("unfinished")
        self.resumed = False
        # As it will be when it has been read back.
        self._fingerprint = json.loads(json.dumps(fingerprint, default=str))
        self._overwrite, self._resume = overwrite, resume
        # Only a run imports it; `import snn_toolbox_tf` does without.
        import filelock

        self._lock = filelock.FileLock(self._beside("lock"), timeout=0)
        self._finished = False

    def _beside(self, ending: str) -> pathlib.Path:
        return _beside(self.target, ending)

    def __enter__(self) -> "RunFolder":
        """Claims the folder."""
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except TimeoutError:
            raise ConfigurationError(
                f"Another process is writing the run '{self.target}'. Wait for it, or choose another runlabel."
            ) from None
        except OSError as error:
            raise ConfigurationError(f"The folder of the run cannot be made: {error}.") from error
        try:
            self._repair()
            self._inherit_overwrite()
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
        try:
            unfinished = not self._finished and self.path.is_dir()
            if unfinished and not self.resumed and {entry.name for entry in self.path.iterdir()} <= {_MARKER}:
                shutil.rmtree(self.path)
        finally:
            self._release()

    def finish(self) -> pathlib.Path:
        """Puts the finished run into its place and returns that.

        Whatever happens meanwhile, an earlier run and this one are both kept until this one is in its place.
        """
        # Something may have come there since.
        self._check_target()
        if self.target.exists():
            os.rename(self.target, self._beside("replaced"))
        os.rename(self.path, self.target)
        self._finished = True
        self._repair()
        return self.target

    def _repair(self) -> None:
        """Ends what a process that was killed in `finish` has begun: the replaced run goes, or goes back."""
        replaced = self._beside("replaced")
        try:
            if replaced.exists() and not self.target.exists():
                os.rename(replaced, self.target)
            elif replaced.exists():
                shutil.rmtree(replaced)
        except OSError as error:
            raise ConfigurationError(
                f"'{replaced}', which a newer run has replaced, cannot be removed: {error}."
            ) from error

    def _inherit_overwrite(self) -> None:
        """A resumed run that was allowed to replace an earlier one still is."""
        if self._resume and holds_run(self.path):
            self._overwrite = self._overwrite or bool(_read_marker(self.path).get("overwrite"))

    def _check_target(self) -> None:
        if self.target.is_symlink():
            raise ConfigurationError(f"'{self.target}' is a link to itself. Choose another folder for the run.")
        if not self.target.exists() or (self.target.is_dir() and not any(self.target.iterdir())):
            return
        if not self.target.is_dir():
            raise ConfigurationError(f"'{self.target}' is a file. Choose another folder for the run.")
        if not holds_run(self.target):
            raise ConfigurationError(f"'{self.target}' exists and holds no run. Choose another folder for the run.")
        if not self._overwrite and self._resume:
            raise ConfigurationError(f"'{self.target}' holds a finished run: there is nothing to resume.")
        if not self._overwrite:
            raise ConfigurationError(
                f"'{self.target}' holds a finished run. Choose another runlabel (--runlabel), or replace it with "
                "[output] overwrite = True (--overwrite)."
            )

    def _take_up(self) -> None:
        """Goes on with what an unfinished run has left, or starts anew."""
        there = self.path.exists()
        if there and not self.path.is_dir():
            raise ConfigurationError(f"'{self.path}' is a file. Remove it, or choose another runlabel.")
        if there and not holds_run(self.path):
            atomic_files.remove_leftovers(self.path)
            if any(self.path.iterdir()):
                raise ConfigurationError(
                    f"'{self.path}' holds no unfinished run, or its {_MARKER} is damaged. Remove it, or choose another "
                    "runlabel."
                )
        elif there and self._resume:
            self._check_same(_read_marker(self.path)["fingerprint"])
            atomic_files.remove_leftovers(self.path)
            self.resumed = True
            return
        elif there and not self._overwrite:
            raise ConfigurationError(
                f"An unfinished run of '{self.target}' is there. Go on with it (--resume), discard it "
                "([output] overwrite = True, --overwrite), or choose another runlabel."
            )
        elif there:
            shutil.rmtree(self.path)
        self.path.mkdir(exist_ok=True)
        marker = {"format": _FORMAT, "version": 1, "overwrite": self._overwrite, "fingerprint": self._fingerprint}
        with atomic_files.replacing(self.path / _MARKER) as file:
            file.write(json.dumps(marker, indent=1).encode())

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
        # Removed while it is held: who has opened it meanwhile finds that it has no name any more, and tries again.
        pathlib.Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()


def discard_unfinished(target: pathlib.Path) -> None:
    """Removes what an interrupted run of a folder has left, which is not to be resumed."""
    unfinished = _beside(target, "unfinished")
    if holds_run(unfinished):
        shutil.rmtree(unfinished)


def _beside(target: pathlib.Path, ending: str) -> pathlib.Path:
    return target.with_name(f".{target.name}.{ending}")


def holds_run(folder: pathlib.Path) -> bool:
    """Whether a folder is that of a run, finished or not."""
    try:
        _read_marker(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _read_marker(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what the marker of a run's folder says."""
    marker = json.loads((folder / _MARKER).read_text())
    if marker["format"] != _FORMAT or not isinstance(marker["fingerprint"], dict):
        raise ValueError(folder)
    return marker
