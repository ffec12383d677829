"""Numbers and names as a reader wants them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MISSING = "–"  # noqa: RUF001 (an en dash is what stands for "no value" in tables)

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(fraction: float | None, digits: int = 2) -> str:
    """Returns a fraction as a percentage.

    >>> percent(0.9815)
    '98.15 %'
    """
    return MISSING if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.{digits}f} %"


def number(value: float | None, digits: int = 4) -> str:
    """Returns a number with some significant digits, without an exponent where that is short.

    >>> number(0.123456), number(1234567.0)
    ('0.1235', '1,234,567')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= 10 ** (digits - 1) or value == 0:
        return f"{value:,.0f}"
    # The alternate form keeps zeros at the end: they are significant, and columns line up.
    return f"{value:#.{digits}g}"


def fixed(value: float | None, digits: int = 3) -> str:
    """Returns a number with a fixed number of decimals."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def count(value: float) -> str:
    """Returns a count, or a mean of counts, with thousands separators.

    >>> count(1234567), count(12.5)
    ('1,234,567', '12.5')
    """
    if not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:,.1f}"


def quantity(value: float) -> str:
    """Returns a large number with three significant digits and the prefix of its magnitude.

    >>> quantity(1234567), quantity(999.96e3), quantity(512)
    ('1.23 M', '1.00 M', '512')
    """
    if not math.isfinite(value):
        return MISSING
    for size, prefix in _PREFIXES:
        # 999,960 would round to 1000 k: the next prefix begins where rounding reaches it.
        if abs(value) >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.{2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0}f} {prefix}"
    return count(value)


def shape(sizes: tuple[int, ...]) -> str:
    """Returns a shape as its sizes with crosses between."""
    return " × ".join(str(size) for size in sizes) or "1"  # noqa: RUF001


def shorten(name: str, length: int = 28) -> str:
    """Returns a name, shortened in the middle: layers of one model often share their beginning.

    >>> shorten("a_very_long_name_of_a_layer", 11)
    'a_ver…layer'
    """
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """Returns a table whose columns are as wide as their contents: the first `texts` to the left, the others to the right.

    >>> print(aligned(["name", "size"], [["a", "10"]], 1))
    name  size
    a       10
    """
    widths = [max(len(row[place]) for row in [columns, *rows]) for place in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, [columns, *rows]))


def setting(value: Any) -> str:
    """Returns a setting or a measured value as text; of long arrays only shape and range."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {setting(inner)}" for key, inner in value.items()) or MISSING
    if isinstance(value, np.ndarray | list | tuple):
        return _sequence(value)
    return str(value)


def _sequence(value: np.ndarray | list | tuple) -> str:
    flat = list(_flat(value))
    if not flat:
        return MISSING
    numeric = all(isinstance(element, int | float | np.number) for element in flat)
    if numeric and len(flat) > 8:
        values = np.asarray(flat, np.float64)
        return f"{len(flat)} values, {setting(values.min())} to {setting(values.max())}"
    return ", ".join(setting(element) for element in flat)


def _flat(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        yield from value.reshape(-1)
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _flat(element)
    else:
        yield value
