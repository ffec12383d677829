"""Griffe extension: reads this package's docstrings as their authors mean them.

`Example:` holds a doctest, and `Call arguments:` holds parameters, as in Keras; the parser knows neither. And what is
returned may be told with a colon in it, of which the parser would make a type.
"""

import re
from typing import Any

import griffe

_SECTIONS = {"Example": "Examples", "Call arguments": "Other Parameters: Call arguments"}


class DocstringSections(griffe.Extension):
    """Rewrites docstrings before they are parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Looks at one module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """Returns a docstring that the parser understands."""
    for heading, known in _SECTIONS.items():
        text = re.sub(rf"^{heading}:$", f"{known}:", text, flags=re.MULTILINE)
    # Only a colon behind several words: a type has one.
    return re.sub(r"^(Returns:\n +[^\s:]+ [^:\n]*):", r"\1&#58;", text, flags=re.MULTILINE)
