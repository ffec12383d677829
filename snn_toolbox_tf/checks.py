"""Checks of single arguments, with errors that name them."""

import difflib
import numbers
from collections.abc import Iterable
from typing import Any


def check_seed(value: Any) -> int:
    """Returns `value` as an int if it can seed the draws of Poisson input."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not 0 <= int(value) < 2**62:
        raise ValueError(f"Expected `seed` to be an integer in [0, 2**62). Received: seed={value!r}")
    return int(value)


def check_positive_integer(value: Any, name: str) -> int:
    """Returns `value` as an int, or raises an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"Expected `{name}` to be a positive integer. Received: {name}={value!r}")
    return int(value)


def check_name(value: Any, allowed: tuple[str, ...], argument: str) -> str:
    """Returns `value` if it is one of the allowed names, or raises an error with the nearest one."""
    if value in allowed:
        return str(value)
    raise ValueError(
        f"Unknown `{argument}`. Expected one of {allowed}. Received: {value!r}.{did_you_mean(value, allowed)}"
    )


def did_you_mean(value: Any, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" with the nearest of the known names, or "" if none is near."""
    names = list(known)
    near = [name for name in names if str(value) and name.startswith(str(value))]
    near = near or difflib.get_close_matches(str(value), names, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
