"""Convolutions as NIR has them: as many zeros in front of each axis as behind it, and square windows.

Keras pads with 'same' by one zero more behind than in front where the number is odd, and causal convolutions in front only.
Such a window is made larger by zero weights until equal padding on both sides gives the same outputs. NIR's own check of
shapes takes the height of a window for its width too (nir 1.0.8), so windows become square in the same way.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

#: How many weights in front of a window are tried out.
_MOST_ADDED = 512


@dataclasses.dataclass(frozen=True)
class AxisWindow:
    """A window along one axis.

    Attributes:
        inputs: Number of values that it moves over.
        outputs: Number of places where it stands.
        taps: Number of its weights.
        stride: Distance of these places.
        dilation: Distance of its weights.
        offset: Index of the value that its first weight reads at the first place; negative where zeros are put in front.
    """

    inputs: int
    outputs: int
    taps: int
    stride: int = 1
    dilation: int = 1
    offset: int = 0

    def dilated(self) -> "AxisWindow":
        """Returns the same with zero weights in place of gaps."""
        return dataclasses.replace(self, taps=self.dilation * (self.taps - 1) + 1, dilation=1)


@dataclasses.dataclass(frozen=True)
class Padded:
    """A window with equal padding: `leading` zero weights, then the window's own, then zero weights up to `taps`."""

    taps: int
    leading: int
    padding: int
    dilation: int


def with_equal_padding(windows: Sequence[AxisWindow]) -> list[Padded] | None:
    """Returns the windows of all axes with equal padding on both sides and as many weights each, or None.

    >>> with_equal_padding([AxisWindow(inputs=8, outputs=4, taps=3, stride=2, offset=0)])  # 'same': one zero, behind
    [Padded(taps=4, leading=1, padding=1, dilation=1)]
    """
    for candidates in (windows, [window.dilated() for window in windows]):
        fitting: list[dict[int, Padded]] = []
        for window in candidates:
            found: dict[int, Padded] = {}
            for padded in _paddings(window):
                found.setdefault(padded.taps, padded)
            fitting.append(found)
        common = set.intersection(*(set(found) for found in fitting))
        if common:
            return [found[min(common)] for found in fitting]
    return None


def _paddings(window: AxisWindow) -> Iterator[Padded]:
    """Yields what equal padding is possible, with few weights first."""
    for leading in range(min(_MOST_ADDED, window.inputs + window.taps + abs(window.offset)) + 1):
        padding = window.dilation * leading - window.offset
        if padding < 0:
            continue
        # Where the last weight stands at the last place: so many values are left over, fewer than the stride.
        reach = window.inputs + 2 * padding - 1 - window.stride * (window.outputs - 1)
        most = reach // window.dilation + 1
        least = -((window.stride - 1 - reach) // window.dilation) + 1
        for taps in range(max(least, leading + window.taps), most + 1):
            yield Padded(taps, leading, padding, window.dilation)


def padded_kernel(kernel: np.ndarray, windows: Sequence[AxisWindow], padded: Sequence[Padded]) -> np.ndarray:
    """Returns a kernel `[outputs, inputs, *window]` with zero weights around it, and in its gaps where these are closed."""
    taps = tuple(axis.taps for axis in padded)
    result = np.zeros((*kernel.shape[:2], *taps), kernel.dtype)
    places = [
        axis.leading + (window.dilation // axis.dilation) * np.arange(window.taps)
        for window, axis in zip(windows, padded, strict=True)
    ]
    result[np.ix_(*(np.arange(size) for size in kernel.shape[:2]), *places)] = kernel
    return result


def keras_offset(padding: str, inputs: int, outputs: int, taps: int, stride: int, dilation: int) -> int:
    """Returns the offset of a window for a padding of Keras: "valid", "same" or "causal".

    >>> keras_offset("same", inputs=8, outputs=8, taps=3, stride=1, dilation=1)
    -1
    """
    reach = dilation * (taps - 1) + 1
    if padding == "causal":
        return 1 - reach
    if padding == "same":
        return -(max(stride * (outputs - 1) + reach - inputs, 0) // 2)
    return 0
