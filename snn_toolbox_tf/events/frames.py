"""Events as frames: what snn_toolbox makes of them, and what `tonic` does."""

from typing import Any

import numpy as np

from snn_toolbox_tf.events.frame_layout import FrameLayout
from snn_toolbox_tf.events.windows import window_of_events
from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_positive_integer


def to_frames(
    events: Any,
    sensor_size: tuple[int, int],
    *,
    time_window: int | None = None,
    event_count: int | None = None,
    bins: int | None = None,
    start: int | None = None,
    incomplete: str = "keep",
    frames: int | None = None,
    **layout: Any,
) -> np.ndarray:
    """Returns frames, the sums of the events in windows that follow each other.

    Args:
        events: The events, as `as_events` takes them.
        sensor_size: Width and height of the sensor in pixels.
        time_window: Length of a window in microseconds; or
        event_count: number of events of a window; or
        bins: number of windows, equally long, from the first event to the last.
        start: Time at which the first window begins, in microseconds; that of the first event if None.
        incomplete: "keep" or "drop" the last window of `time_window` or `event_count`, which may be incomplete.
        frames: Number of frames, by leaving out what comes later or adding empty ones; as many as there are if None.
        **layout: Fields of `FrameLayout`: `method`, `frame_size`, `flip_x`, `flip_y`, `x_first`, `maxpool_subsampling` and
            `clip_three_sigma`.

    Returns:
        float32 `[frames, rows, columns, channels]`, with columns before rows if `x_first`. A window without events is a
        frame of zeros.

    Raises:
        EventError: If the events are not usable.
        ValueError: For other arguments.

    Example:
        >>> from snn_toolbox_tf import events
        >>> found = events.as_events(x=[1, 1, 0], y=[0, 0, 1], t=[0, 4, 12], p=[1, 1, 0])
        >>> events.to_frames(found, (2, 2), time_window=10, method="signed_sum")[..., 0].tolist()
        [[[0.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0]]]
    """
    frame = FrameLayout(sensor_size, **layout)
    check_one_of(incomplete, ("keep", "drop"), "incomplete")
    events = frame.checked(events)
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
    events, window = frame.placed(events[wanted]), window[wanted]
    counted = frame.counted(events, window)
    events, window = events[counted], window[counted]
    found = np.zeros((frames or count, *frame.frame_shape), np.float32)
    np.add.at(found, (window, *frame.index(events)), frame.values(events))
    for index in range(count):
        found[index] = frame.clipped(found[index])
    return found


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
