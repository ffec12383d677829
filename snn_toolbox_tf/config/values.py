"""Kinds of values: how each is read from text, checked, and written. Nothing is ever evaluated."""

import dataclasses
import math
import numbers
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from snn_toolbox_tf.foundation.argument_checks import did_you_mean

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


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


def same(*names: str) -> dict[str, str]:
    """Returns names that mean themselves, as `choice` takes them."""
    return {name: name for name in names}


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
        return int(parsed(text, expected, int))

    return Kind(expected, "INT", check, read, written)


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

    return Kind(expected, "NUMBER", check, lambda text: parsed(text, expected, float), written)


def positive(expected: str = "a positive number") -> Kind:
    """A finite number above 0."""
    return number(0, math.inf, open_low=True, expected=expected)


def real() -> Kind:
    """Any finite number."""
    return number(-math.inf, math.inf, expected="a finite number")


def time_constant() -> Kind:
    """A positive number of ms, or infinity, written `inf`: nothing decays."""
    expected = "a positive number of ms, or inf"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not float(value) > 0:
            raise InvalidValue(expected, value)
        return float(value)

    return Kind(expected, "NUMBER", check, lambda text: parsed(text, expected, float), written)


def parsed(text: str, expected: str, convert: Callable[[str], Any]) -> Any:
    """Returns the number that a text stands for; raises `InvalidValue` if there is none."""
    try:
        return convert(text)
    except ValueError:
        raise InvalidValue(expected, text) from None


def written(value: Any) -> str:
    """Returns a value as a file has it: nothing for None, and numbers as short as they can be."""
    if value is None:
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)
