"""The option `weight_bits`, checked."""

from collections.abc import Sequence
from typing import Any

from snn_toolbox_tf.foundation.argument_checks import is_integer
from snn_toolbox_tf.grid.weight_levels import MOST_BITS

NAMED_BITS = {"ternary": 2, "binary": 1}
#: Corrections that would take weights off their levels, or give each channel spikes of its own height.
_CHANGING_WEIGHTS = ("weights", "gains")


def bits_of(weight_bits: Any, name: str = "weight_bits") -> int | None:
    """Returns the number of bits that `weight_bits`, or an argument of another name, stands for; None: as they are.

    Raises:
        ValueError: If it stands for none.
    """
    if weight_bits is None:
        return None
    if isinstance(weight_bits, str) and weight_bits in NAMED_BITS:
        return NAMED_BITS[weight_bits]
    if not is_integer(weight_bits) or not 1 <= weight_bits <= MOST_BITS:
        raise ValueError(
            f"Expected `{name}` to be an integer from 1 to {MOST_BITS}, 'ternary' (2 bits), 'binary' (1 bit), or None. "
            f"Received: {name}={weight_bits!r}"
        )
    return int(weight_bits)


def check_weight_bits(
    weight_bits: Any, *, per_channel: bool | None, corrections: Sequence[str] | None, gradient: bool
) -> None:
    """Checks that weights of few bits go together with the other options.

    Raises:
        ValueError: If they do not.
    """
    if bits_of(weight_bits) is None:
        return
    if per_channel:
        raise ValueError(
            "With weights of few bits, all neurons of a population share one threshold; what channels differ by goes into "
            f"the weights before they are rounded. Leave `per_channel` out. Received: weight_bits={weight_bits!r}, "
            "per_channel=True"
        )
    changing = [name for name in corrections or () if name in _CHANGING_WEIGHTS]
    if changing:
        raise ValueError(
            f"Corrections {changing} change what weights of few bits stand for. Expected corrections without them. "
            f"Received: weight_bits={weight_bits!r}, corrections={list(corrections or ())}"
        )
    if gradient:
        raise ValueError(
            "Calibration by gradient learns from a source with other weights, and gives each channel a threshold of its "
            f"own. Expected calibration='automatic' with weights of few bits. Received: weight_bits={weight_bits!r}"
        )
