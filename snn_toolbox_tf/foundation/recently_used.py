"""`RecentlyUsed`: what is worth keeping of things that can be made again."""

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class RecentlyUsed(Generic[Value]):
    """Keeps what was used last, by key.

    Args:
        most: As many as are kept.

    Example:
        >>> kept = RecentlyUsed(2)
        >>> [kept.get(key, lambda: key.upper()) for key in "abca"], list(kept)
        (['A', 'B', 'C', 'A'], ['C', 'A'])
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Hashable, Value] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Returns what is kept under a key, or makes it; what was not used for longest then has to go."""
        # One operation a line: threads may come between, and then make a thing twice.
        value = self._values.pop(key, None)
        value = make() if value is None else value
        self._values[key] = value
        for oldest in list(self._values)[: -self._most]:
            self._values.pop(oldest, None)
        return value

    def clear(self) -> None:
        """Forgets everything."""
        self._values.clear()

    def __iter__(self) -> Iterator[Value]:
        """Iterates over the values, what was used last at the end."""
        return iter(list(self._values.values()))

    def __len__(self) -> int:
        return len(self._values)
