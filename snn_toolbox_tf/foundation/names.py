"""Names that TensorFlow takes for scopes and for the arguments of signatures."""

import re
from collections.abc import Iterable

_INNER = re.compile(r"[A-Za-z0-9_.\\/>-]+")
_OUTERMOST = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def is_scope_name(name: str, *, outermost: bool = False) -> bool:
    """Whether TensorFlow takes a name for a scope inside another one, or for the outermost, as a model's is."""
    return bool((_OUTERMOST if outermost else _INNER).fullmatch(name))


def scope_name(name: str) -> str:
    """Returns a name with everything replaced that TensorFlow takes in no outermost scope.

    >>> scope_name("_größe 1")
    'layer_gr__e_1'
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return plain if re.match(r"[A-Za-z0-9.]", plain) else f"layer{plain}"


def argument_names(names: Iterable[str]) -> list[str]:
    """Returns names as TensorFlow takes them for the arguments of a signature, all different.

    >>> argument_names(["x", "x 1", "x_1"])
    ['x', 'x_1', 'x_1_1']
    """
    found: list[str] = []
    for name in names:
        plain = scope_name(name)
        count = 0
        unique = plain
        while unique in found:
            count += 1
            unique = f"{plain}_{count}"
        found.append(unique)
    return found
