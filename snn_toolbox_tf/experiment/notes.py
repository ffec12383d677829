"""Warnings as notes, which the reader of the results sees beside them."""

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def noted(notes: list[str]) -> Iterator[None]:
    """Adds warnings to the notes as well."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
    finally:
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                notes.append(str(warning.message))
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
