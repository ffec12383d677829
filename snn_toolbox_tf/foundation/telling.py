"""Who is told how a long computation proceeds."""

from collections.abc import Callable

#: Is given a line of text now and then.
Tell = Callable[[str], None]


def tell_nobody(text: str) -> None:
    """Is told, and shows nothing."""
