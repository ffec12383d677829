"""Which implementation of the ops is active, and why."""

import contextlib
import dataclasses
import functools
import os
import sys
import warnings
from collections.abc import Iterator

import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.ops import native

SWITCH = "SNN_TOOLBOX_TF_NATIVE"
#: What `use` asks for at present, in all threads; the last one counts.
_chosen: list[tuple[object, str]] = []


@dataclasses.dataclass(frozen=True)
class Implementation:
    """An implementation of the ops.

    Attributes:
        name: "native" or "reference". Spikes and membrane potentials are the same.
        reason: Why it is active.
        variant: Kernel of the native op: "avx512", "avx2", "portable" (or "reference", the plain C++ loop); else None.
        threads: Threads of the native op; 0 for the reference, which uses TensorFlow's.
    """

    name: str
    reason: str
    variant: str | None = None
    threads: int = 0


def implementation() -> Implementation:
    """Returns the implementation that is active, and why.

    Example:
        >>> import snn_toolbox_tf as snn
        >>> snn.ops.implementation().name in ("native", "reference")
        True
    """
    chosen = _chosen[-1:]
    name, reason = (chosen[0][1], "chosen by `ops.use`") if chosen else _default()
    if name == "reference":
        return Implementation(name, reason)
    library = native.library()
    return Implementation(name, reason, library.variant, library.threads)


@contextlib.contextmanager
def use(name: str) -> Iterator[None]:
    """Makes an implementation the active one inside a `with` block, for everything that is traced meanwhile, in any thread.

    Args:
        name: "native" or "reference".

    Raises:
        ValueError: For another name.
        NotAvailableError: If the native op is asked for and cannot be loaded.
    """
    check_one_of(name, ("native", "reference"), "implementation")
    if name == "native":
        native.library()
    mine = (object(), name)
    _chosen.append(mine)
    try:
        yield
    finally:
        _chosen.remove(mine)


@functools.cache
def _default() -> tuple[str, str]:
    """Decides once; warns if the native op should be there and is not."""
    switch = os.environ.get(SWITCH, "1").strip().lower()
    if switch not in ("", "0", "1"):
        raise ValueError(f"Expected the environment variable {SWITCH} to be 0 (off) or 1 (on). Received: {switch!r}")
    if switch == "0":
        return "reference", f"{SWITCH}=0"
    if sys.platform == "win32":
        return "reference", "there is no native op for Windows"
    if tf.config.get_visible_devices("GPU"):
        return "reference", "a GPU is visible, and the native op would copy everything to the CPU and back"
    try:
        native.library()
    except native.NotAvailableError as error:
        warnings.warn(
            f"The native op is not available: {error}. Its TensorFlow reference gives the same spikes, more slowly. To have "
            f"the op, install a C++ compiler and then this package again; {SWITCH}=0 silences this.",
            stacklevel=2,
        )
        return "reference", str(error)
    return "native", "it was built for this machine and loaded"
