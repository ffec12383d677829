"""`FrameLayout`: where in a frame an event is, and what it adds there."""

import dataclasses

import numpy as np

from snn_toolbox_tf.events.event_array import as_events, check_events, check_size
from snn_toolbox_tf.foundation.argument_checks import check_one_of

#: What a pixel's number is: with one channel, or one for events that are darker and one for those that are brighter.
FRAME_METHODS = ("signed_sum", "rectified_sum", "rectified_polarity_channels", "signed_polarity_channels")


@dataclasses.dataclass(frozen=True)
class FrameLayout:
    """How events become the pixels of a frame.

    Attributes:
        sensor_size: Width and height of the sensor in pixels.
        method: "signed_sum" (one channel, +1 for a brighter and -1 for a darker event), "rectified_sum" (one channel, +1 for
            either), "rectified_polarity_channels" (channel 0 counts darker, channel 1 brighter events) or
            "signed_polarity_channels" (the same, with -1 for darker ones).
        frame_size: Width and height of the frames; those of the sensor if None. A pixel x becomes
            floor(x (width of the frame - 1) / (width of the sensor - 1)).
        flip_x: Whether x is mirrored.
        flip_y: Whether y is mirrored: jAER counts rows from the bottom.
        x_first: Whether x is the first axis of a frame.
        maxpool_subsampling: Whether, of events in one window with the same pixel of the frame, time and polarity, only one
            counts; subsampling makes such. With "rectified_sum" polarities do not matter.
        clip_three_sigma: Whether sums are clipped to three standard deviations of those that are not 0, frame by frame,
            see `docs/events.md`.

    Raises:
        EventError: If a size is none.
        ValueError: If there is no such method.

    Source: methods, subsampling and clipping are those of snn_toolbox 0.6 (`DVSIterator.py`).

    Example:
        >>> from snn_toolbox_tf import events
        >>> events.FrameLayout((240, 180), frame_size=(120, 90)).frame_shape
        (90, 120, 2)
    """

    sensor_size: tuple[int, int]
    method: str = "rectified_polarity_channels"
    frame_size: tuple[int, int] | None = None
    flip_x: bool = False
    flip_y: bool = False
    x_first: bool = False
    maxpool_subsampling: bool = False
    clip_three_sigma: bool = False

    def __post_init__(self) -> None:
        """Checks sizes and method; sizes are pairs from here on."""
        check_one_of(self.method, FRAME_METHODS, "method")
        size = check_size(self.sensor_size, "sensor_size")
        frame_size = size if self.frame_size is None else check_size(self.frame_size, "frame_size")
        object.__setattr__(self, "sensor_size", size)
        object.__setattr__(self, "frame_size", frame_size)

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """The shape of a frame: rows, columns and channels; columns before rows if `x_first`."""
        width, height = self._size
        channels = channels_of(self.method)
        return (width, height, channels) if self.x_first else (height, width, channels)

    @property
    def _size(self) -> tuple[int, int]:
        return self.sensor_size if self.frame_size is None else self.frame_size

    def checked(self, events: object) -> np.ndarray:
        """Returns events that are in order and inside the sensor, or raises an `EventError`."""
        return check_events(as_events(events), self.sensor_size)

    def placed(self, events: np.ndarray) -> np.ndarray:
        """Returns events with the pixels of the frame, which may be smaller or larger than the sensor."""
        if self._size == self.sensor_size:
            return events
        moved = events.copy()
        for name, old, new in zip(("x", "y"), self.sensor_size, self._size, strict=True):
            moved[name] = (events[name] * ((new - 1) / max(old - 1, 1))).astype(np.int64)
        return moved

    def counted(self, events: np.ndarray, window: np.ndarray) -> np.ndarray:
        """Returns which placed events count, bool `[events]`: all, or with subsampling the first of equal ones."""
        if not self.maxpool_subsampling:
            return np.ones(len(events), bool)
        p = events["p"] if self.method != "rectified_sum" else np.zeros(len(events), bool)
        return _first_of_equals(p, events["x"], events["y"], events["t"], window)

    def index(self, events: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns where in a frame each placed event is: first and second axis, and channel."""
        width, height = self._size
        x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
        x = width - 1 - x if self.flip_x else x
        y = height - 1 - y if self.flip_y else y
        channel = events["p"].astype(np.int64) if channels_of(self.method) == 2 else np.zeros(len(events), np.int64)
        return (x, y, channel) if self.x_first else (y, x, channel)

    def values(self, events: np.ndarray) -> np.ndarray:
        """Returns what each event adds to its pixel: 1, or -1 for darker ones where the method has signs."""
        return np.where(events["p"] | (not self.method.startswith("signed")), 1.0, -1.0).astype(np.float32)

    def clipped(self, frame: np.ndarray) -> np.ndarray:
        """Returns a frame of sums, clipped as snn_toolbox does, and rounded; as it is without `clip_three_sigma`.

        Its limits may be so narrow that all of a frame is lost (equal sums deviate by 0), or that empty pixels are filled.
        Here they always hold 0, and one event at least.
        """
        if not self.clip_three_sigma:
            return frame
        if self.method == "signed_sum":
            values = frame[frame != 0]
            if not len(values):
                return frame
            middle, width = values.mean(), 1.5 * values.std()
            return np.round(np.clip(frame, min(middle - width, 0), max(middle + width, 0)))
        limits = np.empty(frame.shape[-1])
        for channel in range(frame.shape[-1]):
            values = frame[..., channel][frame[..., channel] != 0]
            limits[channel] = max(3 * values.std(), 1.0) if len(values) else 1.0
        return np.round(np.clip(frame, -limits, limits)).astype(np.float32)


def channels_of(method: str) -> int:
    """Returns the number of channels of a method's frames."""
    return 2 if method.endswith("polarity_channels") else 1


def _first_of_equals(*keys: np.ndarray) -> np.ndarray:
    """Returns which places are the first ones with their keys."""
    order = np.lexsort(keys)  # stable: equals stay in their order
    differs = np.ones(len(order), bool)
    if len(order):
        differs[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    found = np.empty(len(order), bool)
    found[order] = differs
    return found
