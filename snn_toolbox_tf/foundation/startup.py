"""How TensorFlow starts: when, for which backend of Keras, and what is seen of it."""

import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator


def is_command_line() -> bool:
    """Whether this process is `snn-toolbox-tf` or `python -m snn_toolbox_tf`; to be asked while the package is imported."""
    program = sys.argv[0] if sys.argv else ""
    if program != "-m":
        return pathlib.PurePath(program).name in ("snn-toolbox-tf", "snn-toolbox-tf.exe")
    # Python is still looking for the module that it was told to run. A later -m would be the program's own.
    started = sys.orig_argv
    return "-m" in started and started[started.index("-m") + 1 :][:1] == ["snn_toolbox_tf"]


def require_tensorflow_backend() -> None:
    """Imports Keras, and with it TensorFlow.

    Raises:
        ImportError: If Keras cannot be imported, or runs on another backend.
    """
    try:
        import keras
    except ImportError as error:
        raise ImportError(
            f"snn_toolbox_tf needs Keras on TensorFlow, and Keras cannot be imported: {error}. Is TensorFlow installed "
            "(`pip install tensorflow`), and is the environment variable KERAS_BACKEND=tensorflow, or not set?"
        ) from error
    if keras.config.backend() != "tensorflow":
        raise ImportError(
            "snn_toolbox_tf needs Keras to run on TensorFlow. "
            f"Received Keras backend: '{keras.config.backend()}'. "
            "Set the environment variable KERAS_BACKEND=tensorflow before Python starts."
        )


@contextlib.contextmanager
def optional_libraries_hidden() -> Iterator[None]:
    """Hides libraries that Keras imports if they are there, for its wrappers and visualization, while it is imported.

    They take a quarter of its time, and no command uses what they are for. Afterwards they can be imported as usual.
    """
    hidden = () if "keras" in sys.modules else ("sklearn", "matplotlib")
    # Whoever imports a module that is None gets an ImportError.
    added = [name for name in hidden if sys.modules.setdefault(name, None) is None]  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


@contextlib.contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Hides what TensorFlow's native code writes to standard error while it is imported.

    These messages come before TensorFlow looks at TF_CPP_MIN_LOG_LEVEL. If the import fails, they are shown.
    """
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
        except Exception:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
