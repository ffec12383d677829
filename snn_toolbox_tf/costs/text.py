"""Energies as text."""

import math

from snn_toolbox_tf.report.text import MISSING

_UNITS = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))


def joules(picojoules: float) -> str:
    """Returns an energy with three significant digits and a unit of its magnitude.

    >>> joules(4.6), joules(1234567.0), joules(0.0)
    ('4.60 pJ', '1.23 µJ', '0.00 pJ')
    """
    size, unit = next((entry for entry in _UNITS if abs(picojoules) >= 0.9995 * entry[0]), _UNITS[-1])
    scaled = picojoules / size
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {unit}"


def times(ratio: float) -> str:
    """Returns a ratio of energies.

    >>> times(2.345), times(0.0123), times(123.4)
    ('2.35x', '0.012x', '123x')
    """
    if not math.isfinite(ratio):
        return MISSING
    digits = 0 if ratio >= 99.5 else 1 if ratio >= 9.95 else 2 if ratio >= 0.995 else 3
    return f"{ratio:.{digits}f}x"
