"""Keeps TensorFlow's start-up messages out of the command line's output."""

import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator


def is_command_line() -> bool:
    """Whether this process was started as `snn-toolbox-tf` or `python -m snn_toolbox_tf`."""
    if pathlib.Path(sys.argv[0]).stem == "snn-toolbox-tf":
        return True
    started = sys.orig_argv
    return "-m" in started and started[started.index("-m") + 1 :][:1] == ["snn_toolbox_tf"]


@contextlib.contextmanager
def quiet_as_command_line() -> Iterator[None]:
    """Hides what TensorFlow's native code writes to standard error while it is imported, in the command line only.

    These messages come before TensorFlow looks at TF_CPP_MIN_LOG_LEVEL. If the import fails, they are shown.
    """
    if not is_command_line():
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        stderr = os.dup(2)
    except OSError:
        # Standard error is closed: there is nothing to hide.
        yield
        return
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(130)
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
