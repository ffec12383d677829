"""Kinds of values: how each is read from text, checked, and written. Nothing is ever evaluated."""

import dataclasses
import math
import numbers
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from snn_toolbox_tf.foundation.argument_checks import did_you_mean

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


class InvalidValue(ValueError):
    """A value is not what was expected; whoever knows which setting it belongs to says so."""

    def __init__(self, expected: str, received: Any, hint: str = "") -> None:
        super().__init__(f"Expected {expected}. Received: {received!r}.{hint}")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        expected: What is expected, in words.
        placeholder: What stands for a value in the command line's help.
        check: Returns a value in its normal form, or raises `InvalidValue`.
        read: Turns text into a value for `check`; raises `InvalidValue` if it cannot.
        write: Turns a value into text that `read` understands.
    """

    expected: str
    placeholder: str
    check: Callable[[Any], Any]
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str


def boolean() -> Kind:
    """True or False."""
    expected = "True or False"

    def read(text: str) -> bool:
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise InvalidValue(expected, text)

    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise InvalidValue(expected, value)
        return value

    return Kind(expected, "BOOL", check, read)


def text(expected: str = "text") -> Kind:
    """Any text on one line."""

    def check(value: Any) -> str:
        if isinstance(value, pathlib.PurePath):
            value = str(value)
        if not isinstance(value, str) or any(not character.isprintable() for character in value):
            raise InvalidValue(f"{expected} on one line", value)
        return value

    return Kind(expected, "TEXT", check)


def label() -> Kind:
    """A name that may become a folder, or nothing: it stays below the folder that it is put into."""
    one_line = text()

    def check(value: Any) -> str:
        name = one_line.check(value)
        path = pathlib.PurePath(name)
        if (name and not path.parts) or path.is_absolute() or ".." in path.parts:
            raise InvalidValue("a name, which becomes a folder below path_wd, without '..' and no absolute path", value)
        return name

    return dataclasses.replace(one_line, check=check, expected="a name, or nothing")


def choice(names: Mapping[str, str]) -> Kind:
    """One of some names; several may stand for the same value.

    Args:
        names: The value that each name stands for.
    """
    values = list(dict.fromkeys(names.values()))
    expected = f"one of {', '.join(map(repr, names))}"

    def check(value: Any) -> str:
        if isinstance(value, str) and value in names:
            return names[value]
        if isinstance(value, str) and value in values:
            return value
        raise InvalidValue(expected, value, did_you_mean(value, names))

    return Kind(expected, "NAME", check)


def optional(kind: Kind) -> Kind:
    """The same, or nothing: None, written "" or "None" in a file."""
    expected = f"{kind.expected}, or nothing"

    def check(value: Any) -> Any:
        return None if value is None else kind.check(value)

    def read(text: str) -> Any:
        return None if text in ("", "None") else kind.read(text)

    def write(value: Any) -> str:
        return "" if value is None else kind.write(value)

    return dataclasses.replace(kind, expected=expected, check=check, read=read, write=write)


def or_word(kind: Kind, word: str) -> Kind:
    """The same, or a word that stands for a value which is not known yet."""
    expected = f"{kind.expected}, or {word}"

    def check(value: Any) -> Any:
        if isinstance(value, str) and value == word:
            return value
        try:
            return kind.check(value)
        except InvalidValue:
            raise InvalidValue(expected, value, did_you_mean(value, [word])) from None

    def read(text: str) -> Any:
        try:
            return text if text == word else kind.read(text)
        except InvalidValue:
            raise InvalidValue(expected, text, did_you_mean(text, [word])) from None

    return dataclasses.replace(
        kind, expected=expected, placeholder=f"{kind.placeholder}|{word}", check=check, read=read
    )


def integer(low: int, high: int | None = None, *, optional: bool = False, expected: str | None = None) -> Kind:
    """An integer in [low, high]; None ("" or "None" in a file) if it is optional."""
    bounds = f"an integer of {low} or more" if high is None else f"an integer in [{low}, {high}]"
    expected = expected or bounds + (", or nothing" if optional else "")

    def check(value: Any) -> int | None:
        if optional and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise InvalidValue(expected, value)
        whole = int(value)
        if whole < low or (high is not None and whole > high):
            raise InvalidValue(expected, value)
        return whole

    def read(text: str) -> int | None:
        if optional and text in ("", "None"):
            return None
        return int(_number(text, expected, int))

    return Kind(expected, "INT", check, read, _written)


def number(
    low: float, high: float, *, open_low: bool = False, open_high: bool = False, expected: str | None = None
) -> Kind:
    """A finite number in [low, high], without the ends that are open."""
    closes = math.isfinite(high) and not open_high
    expected = expected or f"a number in {'(' if open_low else '['}{low:g}, {high:g}{']' if closes else ')'}"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise InvalidValue(expected, value)
        try:
            real = float(value)
        except OverflowError:
            raise InvalidValue(expected, value) from None
        outside = not low <= real <= high or (open_low and real == low) or (open_high and real == high)
        if not math.isfinite(real) or outside:
            raise InvalidValue(expected, value)
        return real

    return Kind(expected, "NUMBER", check, lambda text: _number(text, expected, float), _written)


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


def integers(low: int, expected: str) -> Kind:
    """A list of integers of `low` or more, without repetition."""

    def check(value: Any) -> tuple[int, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidValue(expected, value)
        items = list(value)
        for item in items:
            if isinstance(item, bool) or not isinstance(item, numbers.Integral) or int(item) < low:
                raise InvalidValue(expected, item)
        if len(set(items)) < len(items):
            raise InvalidValue(f"{expected}, each of them once", value)
        return tuple(int(item) for item in items)

    def read(text: str) -> list[Any]:
        return [_number(item, expected, int) for item in split(text, expected)]

    return Kind(expected, "INTS", check, read, _written_list)


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
        start, stop, step = (_number(part.strip(), expected, float) for part in text.split(":"))
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
    stripped = text.strip()
    if stripped in ("None", "set()"):
        return []
    if stripped[:1] in _BRACKETS:
        if stripped[-1:] != _BRACKETS[stripped[0]]:
            raise InvalidValue(f"{expected} with a closing bracket", text)
        stripped = stripped[1:-1].strip()
    if not stripped:
        return []
    # Python allows a comma after the last item.
    parts = stripped.removesuffix(",").split(",")
    items = [_unquoted(part.strip(), expected) for part in parts]
    if not all(items) or any(bracket in item for item in items for bracket in "[](){}"):
        raise InvalidValue(expected, text)
    return items


def _unquoted(item: str, expected: str) -> str:
    quotes = [quote for quote in "'\"" if quote in item]
    if not quotes:
        return item
    if len(item) < 2 or item[0] not in quotes or item[-1] != item[0] or item[0] in item[1:-1]:
        raise InvalidValue(f"{expected} with matching quotes", item)
    return item[1:-1]


def _number(text: str, expected: str, convert: Callable[[str], Any]) -> Any:
    try:
        return convert(text)
    except ValueError:
        raise InvalidValue(expected, text) from None


def _written(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _written_list(value: Iterable[Any]) -> str:
    return ", ".join(_written(item) for item in value)
