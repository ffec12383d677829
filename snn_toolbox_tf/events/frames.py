"""Events as frames: what snn_toolbox makes of them, and what `tonic` does."""

from typing import Any

import numpy as np

from snn_toolbox_tf.events.event_array import as_events, check_events, check_size
from snn_toolbox_tf.events.windows import window_of_events
from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_positive_integer

#: What a pixel's number is: with one channel, or one for events that are darker and one for those that are brighter.
FRAME_METHODS = ("signed_sum", "rectified_sum", "rectified_polarity_channels", "signed_polarity_channels")


def to_frames(
    events: Any,
    sensor_size: tuple[int, int],
    *,
    time_window: int | None = None,
    event_count: int | None = None,
    bins: int | None = None,
    method: str = "rectified_polarity_channels",
    frame_size: tuple[int, int] | None = None,
    flip_x: bool = False,
    flip_y: bool = False,
    x_first: bool = False,
    maxpool_subsampling: bool = False,
    clip_three_sigma: bool = False,
    start: int | None = None,
    incomplete: str = "keep",
    frames: int | None = None,
) -> np.ndarray:
    """Returns frames, the sums of the events in windows that follow each other.

    Args:
        events: The events, as `as_events` takes them.
        sensor_size: Width and height of the sensor in pixels.
        time_window: Length of a window in microseconds; or
        event_count: number of events of a window; or
        bins: number of windows, equally long, from the first event to the last.
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
        start: Time at which the first window begins, in microseconds; that of the first event if None.
        incomplete: "keep" or "drop" the last window of `time_window` or `event_count`, which may be incomplete.
        frames: Number of frames, by leaving out what comes later or adding empty ones; as many as there are if None.

    Returns:
        float32 `[frames, rows, columns, channels]`, with columns before rows if `x_first`. A window without events is a
        frame of zeros.

    Raises:
        EventError: If the events are not usable.
        ValueError: For other arguments.

    Source: methods, subsampling and clipping are those of snn_toolbox 0.6 (`DVSIterator.py`).

    Example:
        >>> from snn_toolbox_tf import events
        >>> found = events.as_events(x=[1, 1, 0], y=[0, 0, 1], t=[0, 4, 12], p=[1, 1, 0])
        >>> events.to_frames(found, (2, 2), time_window=10, method="signed_sum")[..., 0].tolist()
        [[[0.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0]]]
    """
    check_one_of(method, FRAME_METHODS, "method")
    check_one_of(incomplete, ("keep", "drop"), "incomplete")
    size = check_size(sensor_size, "sensor_size")
    events = check_events(as_events(events), size)
    window, count = window_of_events(
        events,
        time_window=time_window,
        event_count=event_count,
        bins=bins,
        start=start,
        keep=incomplete == "keep",
    )
    count = count if frames is None else min(count, check_positive_integer(frames, "frames"))
    wanted = window < count
    events, window = events[wanted], window[wanted]
    shape = check_size(frame_size, "frame_size") if frame_size is not None else size
    events = subsampled(events, size, shape)
    if maxpool_subsampling:
        first = first_of_equals(events, window, polarities=method != "rectified_sum")
        events, window = events[first], window[first]
    found = np.zeros((count, *frame_shape(shape, method, x_first)), np.float32)
    np.add.at(found, (window, *places(events, shape, method, flip_x, flip_y, x_first)), signs(events, method))
    if clip_three_sigma:
        found = np.stack([clipped(frame, method) for frame in found]) if count else found
    missing = (frames or count) - count
    return np.concatenate([found, np.zeros((missing, *found.shape[1:]), np.float32)]) if missing else found


def scale_frames(frames: np.ndarray) -> np.ndarray:
    """Returns the frames of a recording as snn_toolbox scales them: (frames - smallest) / largest value.

    All are scaled alike, so that a frame with few events keeps small numbers. Frames without any events stay zeros.

    Args:
        frames: The frames of one recording, `[frames, ...]`.

    Returns:
        float32, of the same shape. Without negative values they end up in [0, 1].
    """
    low, high = (float(frames.min()), float(frames.max())) if frames.size else (0.0, 0.0)
    return ((frames - low) / (high if high != 0 else 1.0)).astype(np.float32)


def frame_shape(size: tuple[int, int], method: str, x_first: bool) -> tuple[int, int, int]:
    """Returns the shape of a frame of this width and height."""
    return (*(size if x_first else size[::-1]), channels_of(method))


def channels_of(method: str) -> int:
    """Returns the number of channels of a method's frames."""
    return 2 if method.endswith("polarity_channels") else 1


def subsampled(events: np.ndarray, size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Returns events with the pixels of smaller or larger frames."""
    if size == shape:
        return events
    moved = events.copy()
    for name, old, new in zip(("x", "y"), size, shape, strict=True):
        moved[name] = (events[name] * ((new - 1) / max(old - 1, 1))).astype(np.int64)
    return moved


def first_of_equals(events: np.ndarray, window: np.ndarray, *, polarities: bool) -> np.ndarray:
    """Returns which events are the first of their window with their pixel, time and, if that counts, polarity."""
    p = events["p"] if polarities else np.zeros(len(events), bool)
    keys = (p, events["x"], events["y"], events["t"], window)
    order = np.lexsort(keys)  # stable: equals stay in their order
    differs = np.ones(len(events), bool)
    if len(events):
        differs[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    found = np.empty(len(events), bool)
    found[order] = differs
    return found


def places(
    events: np.ndarray, size: tuple[int, int], method: str, flip_x: bool, flip_y: bool, x_first: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns where in a frame each event is: first and second axis, and channel."""
    x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
    x = size[0] - 1 - x if flip_x else x
    y = size[1] - 1 - y if flip_y else y
    channel = events["p"].astype(np.int64) if channels_of(method) == 2 else np.zeros(len(events), np.int64)
    return (x, y, channel) if x_first else (y, x, channel)


def signs(events: np.ndarray, method: str) -> np.ndarray:
    """Returns what each event adds to its place: 1, or -1 for darker ones where the method has signs."""
    return np.where(events["p"] | (not method.startswith("signed")), 1.0, -1.0).astype(np.float32)


def clipped(frame: np.ndarray, method: str) -> np.ndarray:
    """Returns a frame of sums, clipped as snn_toolbox does, and rounded.

    Its limits may be so narrow that all of a frame is lost (equal sums deviate by 0), or that empty pixels are filled. Here
    they always hold 0, and one event at least.
    """
    if method == "signed_sum":
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
