"""Kinds of values that are lists: of names, of integers, with or without names, and the values of a sweep."""

import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from snn_toolbox_tf.config.values import InvalidValue, Kind, parsed, written
from snn_toolbox_tf.foundation.argument_checks import did_you_mean

_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def names(allowed: Mapping[str, str] | None, expected: str) -> Kind:
    """A set of names, written `a, b`, `[a, b]` or `{'a', 'b'}`; kept as a sorted tuple.

    Args:
        allowed: What each name stands for, or None if any name will do.
        expected: What is expected, in words.
    """
    if allowed is not None:
        expected = f"{expected}, any of {', '.join(allowed)}"

    def check(value: Any) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidValue(expected, value)
        found = set()
        for name in value:
            if not isinstance(name, str) or (allowed is not None and name not in allowed):
                raise InvalidValue(expected, name, did_you_mean(name, allowed or ()))
            found.add(allowed[name] if allowed is not None else name)
        return tuple(sorted(found))

    def read(text: str) -> list[str]:
        return split(text, expected)

    return Kind(expected, "NAMES", check, read, _written_list)


def sequence(allowed: Iterable[str], expected: str) -> Kind:
    """Names in an order that matters, of which some may come again; kept as a tuple."""
    known = tuple(allowed)
    expected = f"{expected}, any of {', '.join(known)}"

    def check(value: Any) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidValue(expected, value)
        items = tuple(value)
        for name in items:
            if name not in known:
                raise InvalidValue(expected, name, did_you_mean(str(name), known))
        return items

    return Kind(expected, "NAMES", check, lambda text: split(text, expected), _written_list)


def integers(low: int, expected: str, high: float = math.inf) -> Kind:
    """A list of integers from `low` to `high`, without repetition."""
    return _numbers(expected, "INTS", int, lambda item: isinstance(item, numbers.Integral) and low <= int(item) <= high)


def positive_numbers(expected: str) -> Kind:
    """A list of positive numbers, without repetition."""
    return _numbers(
        expected, "NUMBERS", float, lambda item: isinstance(item, numbers.Real) and 0 < float(item) < math.inf
    )


def _numbers(expected: str, placeholder: str, number: type, usable: Callable[[Any], bool]) -> Kind:
    """A list of numbers of one type, of which each is usable and none comes twice."""

    def check(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidValue(expected, value)
        items = list(value)
        for item in items:
            if isinstance(item, bool) or not usable(item):
                raise InvalidValue(expected, item)
        if len(set(items)) < len(items):
            raise InvalidValue(f"{expected}, each of them once", value)
        return tuple(number(item) for item in items)

    def read(text: str) -> list[Any]:
        return [parsed(item, expected, number) for item in split(text, expected)]

    return Kind(expected, placeholder, check, read, _written_list)


def named_integers(low: int, expected: str) -> Kind:
    """Integers of `low` or more by name, written `a: 4, b: 8`, also with braces and quotes; kept as a tuple of pairs."""

    def check(value: Any) -> tuple[tuple[str, int], ...]:
        if isinstance(value, str):
            raise InvalidValue(expected, value)
        try:
            found = dict(value)
        except (TypeError, ValueError):
            raise InvalidValue(expected, value) from None
        for name, number in found.items():
            whole = isinstance(number, numbers.Integral) and not isinstance(number, bool)
            if not isinstance(name, str) or not whole or number < low:
                raise InvalidValue(expected, value)
        return tuple((name, int(number)) for name, number in found.items())

    def read(text: str) -> dict[str, int]:
        found: dict[str, int] = {}
        inner = _without_brackets(text, expected)
        for part in inner.removesuffix(",").split(",") if inner else ():
            name, _, number = part.rpartition(":")
            name = _unquoted(name.strip(), expected)
            if not name or name in found:
                raise InvalidValue(expected, text)
            found[name] = parsed(_unquoted(number.strip(), expected), expected, int)
        return found

    def write(value: Iterable[tuple[str, int]]) -> str:
        return ", ".join(f"{name}: {number}" for name, number in value)

    return Kind(expected, "NAME:INT,...", check, read, write)


def word_or_named(words: Iterable[str], expected: str) -> Kind:
    """One of some words, or one of them for each of several names, written `a: word, b: other`; a text or pairs."""
    known = tuple(words)

    def check(value: Any) -> str | tuple[tuple[str, str], ...]:
        if isinstance(value, str):
            if value not in known:
                raise InvalidValue(expected, value, did_you_mean(value, known))
            return value
        try:
            found = dict(value)
        except (TypeError, ValueError):
            raise InvalidValue(expected, value) from None
        for name, word in found.items():
            if not isinstance(name, str) or word not in known:
                raise InvalidValue(expected, word, did_you_mean(word, known))
        return tuple(found.items())

    def read(text: str) -> str | dict[str, str]:
        if ":" not in text:
            return _unquoted(text.strip(), expected)
        found: dict[str, str] = {}
        for part in _without_brackets(text, expected).removesuffix(",").split(","):
            name, _, word = part.rpartition(":")
            name = _unquoted(name.strip(), expected)
            if not name or name in found:
                raise InvalidValue(expected, text)
            found[name] = _unquoted(word.strip(), expected)
        return found

    def write(value: str | Iterable[tuple[str, str]]) -> str:
        return value if isinstance(value, str) else ", ".join(f"{name}: {word}" for name, word in value)

    return Kind(expected, "TASK|NAME:TASK,...", check, read, write)


def sweep_values() -> Kind:
    """Values of any setting: a list, or `start:stop:step` with the stop included; kept as a tuple of texts or values."""
    expected = "a list of values (8, 16, 32) or a range with its end (8:64:8)"

    def check(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidValue(expected, value)
        return tuple(value)

    def read(text: str) -> list[Any]:
        if not re.fullmatch(r"[^:,]+:[^:,]+:[^:,]+", text):
            return list(split(text, expected))
        start, stop, step = (parsed(part.strip(), expected, float) for part in text.split(":"))
        if step == 0 or (stop - start) / step < 0 or not all(map(math.isfinite, (start, stop, step))):
            raise InvalidValue(f"{expected} that leads from its start to its stop", text)
        # From the start by multiples, so that rounding does not add up; half a step catches the stop.
        count = math.floor((stop - start) / step + 1e-9) + 1
        if count > 10_000:
            raise InvalidValue(f"{expected} of 10,000 values at most", text)
        return [f"{start + index * step:.12g}" for index in range(count)]

    return Kind(expected, "VALUES", check, read, _written_list)


def split(text: str, expected: str) -> list[str]:
    """Returns the items of a list, with or without brackets and quotes; "" and "{}" have none."""
    stripped = _without_brackets(text, expected)
    if not stripped:
        return []
    # Python allows a comma after the last item.
    parts = stripped.removesuffix(",").split(",")
    items = [_unquoted(part.strip(), expected) for part in parts]
    if not all(items) or any(bracket in item for item in items for bracket in "[](){}"):
        raise InvalidValue(expected, text)
    return items


def _without_brackets(text: str, expected: str) -> str:
    """Returns what is inside the brackets of a list, if it has any; nothing of what stands for an empty one."""
    stripped = text.strip()
    if stripped in ("None", "set()"):
        return ""
    if stripped[:1] in _BRACKETS:
        if stripped[-1:] != _BRACKETS[stripped[0]]:
            raise InvalidValue(f"{expected} with a closing bracket", text)
        stripped = stripped[1:-1].strip()
    return stripped


def _unquoted(item: str, expected: str) -> str:
    quotes = [quote for quote in "'\"" if quote in item]
    if not quotes:
        return item
    if len(item) < 2 or item[0] not in quotes or item[-1] != item[0] or item[0] in item[1:-1]:
        raise InvalidValue(f"{expected} with matching quotes", item)
    return item[1:-1]


def _written_list(value: Iterable[Any]) -> str:
    return ", ".join(written(item) for item in value)
