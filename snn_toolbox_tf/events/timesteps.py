"""Events as a frame of spikes per timestep, as snn_toolbox feeds them to a spiking network."""

from typing import Any

import numpy as np

from snn_toolbox_tf.events.event_array import EventError
from snn_toolbox_tf.events.frame_layout import FrameLayout
from snn_toolbox_tf.foundation.argument_checks import check_timesteps


def to_timesteps(
    events: Any,
    sensor_size: tuple[int, int],
    timesteps: int,
    *,
    frame_width: int = 10,
    **layout: Any,
) -> np.ndarray:
    """Returns thin frames of spikes, at most one per pixel and timestep, for a network with `input="frames"`.

    A timestep takes events in their order, until one is more than `frame_width` later than its first; that one is its last.
    An event whose pixel has a spike already waits for the next timestep. So a burst takes several timesteps, and silence
    takes none: no event is lost as long as there are timesteps, but for those that `clip_three_sigma` takes away.

    Args:
        events: The events of one sample, as `as_events` takes them.
        sensor_size: Width and height of the sensor in pixels.
        timesteps: Number of frames. Events that are left then are not shown, and timesteps without events are empty.
        frame_width: What the times of a frame span, in microseconds.
        **layout: Fields of `FrameLayout`: `method`, `frame_size`, `flip_x`, `flip_y`, `x_first`, `maxpool_subsampling` and
            `clip_three_sigma`. A spike is 1, or -1 for a darker event if the method is signed. With `clip_three_sigma`, a
            pixel has no more events than its clipped sum in `to_frames` says; its first ones.

    Returns:
        int8 `[timesteps, rows, columns, channels]`, with columns before rows if `x_first`.

    Source: snn_toolbox 0.6, `DVSIterator.py`, functions `extract_batch` and `get_binary_frame`.

    Example:
        >>> from snn_toolbox_tf import events
        >>> found = events.as_events(x=[0, 0, 1], y=[0, 0, 0], t=[0, 1, 2], p=[1, 1, 1])
        >>> events.to_timesteps(found, (2, 1), 3, method="rectified_sum")[:, 0, :, 0].tolist()
        [[1, 1], [1, 0], [0, 0]]
    """
    check_timesteps(timesteps)
    if isinstance(frame_width, bool) or not isinstance(frame_width, (int, np.integer)) or frame_width < 0:
        raise EventError(
            f"Expected `frame_width` to be a whole number of microseconds, 0 or more. Received: frame_width={frame_width!r}"
        )
    frame_layout = FrameLayout(sensor_size, **layout)
    waiting = frame_layout.placed(frame_layout.checked(events))
    waiting = waiting[frame_layout.counted(waiting, np.zeros(len(waiting), np.int64))]
    found = np.zeros((timesteps, *frame_layout.frame_shape), np.int8)
    pixel = np.ravel_multi_index(frame_layout.index(waiting), found.shape[1:])
    values, times = frame_layout.values(waiting), waiting["t"]
    if frame_layout.clip_three_sigma:
        sums = np.zeros(found.shape[1:], np.float32)
        np.add.at(sums.reshape(-1), pixel, values)
        kept = _rank(pixel) < np.abs(frame_layout.clipped(sums)).reshape(-1)[pixel]
        pixel, values, times = pixel[kept], values[kept], times[kept]
    for frame in found.reshape(timesteps, -1):
        if not len(times):
            break
        # With the event that is too late.
        stop = int(np.searchsorted(times, times[0] + frame_width, side="right")) + 1
        shown, first = np.unique(pixel[:stop], return_index=True)
        frame[shown] = values[first]
        left = np.ones(len(times), bool)
        left[first] = False
        pixel, values, times = pixel[left], values[left], times[left]
    return found


def _rank(pixel: np.ndarray) -> np.ndarray:
    """Returns how many earlier events each event's pixel has."""
    order = np.argsort(pixel, kind="stable")
    ordered = pixel[order]
    begins = np.searchsorted(ordered, ordered)
    rank = np.empty(len(pixel), np.int64)
    rank[order] = np.arange(len(pixel)) - begins
    return rank
