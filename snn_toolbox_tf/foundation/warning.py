"""Warnings that name the user's line."""

import pathlib
import sys
import warnings

_PACKAGE = str(pathlib.Path(__file__).parents[1])


def warn_user(message: str) -> None:
    """Warns of the line outside of this package that led here, however deep the call is."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
