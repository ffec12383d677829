"""Ctrl-C that cannot get lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interruption:
    """Remembers Ctrl-C.

    Python raises KeyboardInterrupt wherever it happens to be; inside a callback of its garbage collection the exception is
    printed and dropped, and the program goes on. Whoever makes progress therefore asks again.
    """

    def __init__(self) -> None:
        self._seen = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watches for Ctrl-C; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def check(self) -> None:
        """Raises KeyboardInterrupt if there was one."""
        if self._seen:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._seen = True
        raise KeyboardInterrupt
