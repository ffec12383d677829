"""Checks of single arguments, with errors that name them."""

import difflib
import math
import numbers
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from snn_toolbox_tf.foundation.names import is_scope_name

#: As many as float32 spike counts can tell apart; a run of that length takes hours for the smallest network.
MOST_TIMESTEPS = 2**24


def check_seed(value: Any) -> int:
    """Returns `value` as an int if it can seed the draws of Poisson input."""
    if not is_integer(value) or not 0 <= int(value) < 2**62:
        raise ValueError(f"Expected `seed` to be an integer in [0, 2**62). Received: seed={value!r}")
    return int(value)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite real number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_percentile(value: Any) -> float:
    """Returns `value` as a float if it is a percentile of positive numbers, or raises an error."""
    if not (is_number(value) and 0 < value <= 100):
        raise ValueError(f"Expected `percentile` to be in (0, 100], for example 99.9. Received: percentile={value!r}")
    return float(value)


def check_file_name(filepath: str | os.PathLike[str], ending: str) -> pathlib.Path:
    """Returns a file to write as a path.

    Raises:
        ValueError: If its name ends otherwise.
        IsADirectoryError: If it is a folder.
    """
    target = pathlib.Path(filepath)
    if target.suffix != ending:
        raise ValueError(f"Expected a file name that ends in '{ending}'. Received: '{filepath}'")
    if target.is_dir():
        raise IsADirectoryError(f"'{filepath}' is a folder. Expected a file name that ends in '{ending}'.")
    return target


def check_positive_integer(value: Any, name: str) -> int:
    """Returns `value` as an int, or raises an error that names the argument."""
    if not is_integer(value) or value < 1:
        raise ValueError(f"Expected `{name}` to be a positive integer. Received: {name}={value!r}")
    return int(value)


def check_timesteps(value: Any, name: str = "timesteps") -> int:
    """Returns `value` as an int if a network can run for so many timesteps, or raises an error that names the argument."""
    if not is_integer(value) or not 1 <= int(value) <= MOST_TIMESTEPS:
        raise ValueError(
            f"Expected `{name}` to be a positive integer of at most 2**24 = {MOST_TIMESTEPS:,}, up to which spike counts "
            f"are exact. Received: {name}={value!r}"
        )
    return int(value)


def check_start(value: Any, name: str) -> int:
    """Returns `value` as an int if so many timesteps can be left out, or raises an error that names the argument."""
    if not is_integer(value) or not 0 <= int(value) <= MOST_TIMESTEPS:
        raise ValueError(f"Expected `{name}` to be a number of timesteps, 0 or more. Received: {value!r}")
    return int(value)


def check_model_name(value: Any, name: str = "name") -> str:
    """Returns `value` if TensorFlow takes it as the name of a model, or raises an error that names the argument."""
    if isinstance(value, str) and is_scope_name(value, outermost=True):
        return value
    raise ValueError(
        f"Expected `{name}` to be a name of letters, digits and any of '_', '-', '.', '>' that begins with a letter or "
        f"digit, as TensorFlow wants it. Received: {name}={value!r}"
    )


def check_one_of(value: Any, allowed: Iterable[str], argument: str) -> str:
    """Returns `value` if it is one of the allowed names, or raises an error with the nearest one."""
    names = tuple(allowed)
    if isinstance(value, str) and value in names:
        return value
    raise ValueError(
        f"Unknown `{argument}`. Expected one of {names}. Received: {argument}={value!r}.{did_you_mean(value, names)}"
    )


def did_you_mean(value: Any, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" with the nearest of the known names, or "" if none is near."""
    names = list(known)
    near = [name for name in names if str(value) and name.startswith(str(value))]
    near = near or difflib.get_close_matches(str(value), names, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number, and not True or False."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
