"""Events as a frame of spikes per timestep, as snn_toolbox feeds them to a spiking network."""

from typing import Any

import numpy as np

from snn_toolbox_tf.events.event_array import as_events, check_events, check_size
from snn_toolbox_tf.events.frames import (
    FRAME_METHODS,
    clipped,
    first_of_equals,
    frame_shape,
    places,
    signs,
    subsampled,
)
from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_timesteps


def to_timesteps(
    events: Any,
    sensor_size: tuple[int, int],
    timesteps: int,
    *,
    frame_width: int = 10,
    method: str = "rectified_polarity_channels",
    frame_size: tuple[int, int] | None = None,
    flip_x: bool = False,
    flip_y: bool = False,
    x_first: bool = False,
    maxpool_subsampling: bool = False,
    clip_three_sigma: bool = False,
) -> np.ndarray:
    """Returns thin frames of spikes, at most one per pixel and timestep, for a network with `input="frames"`.

    A timestep takes events in their order, until one is more than `frame_width` later than its first; that one is its last.
    An event whose pixel has a spike already waits for the next timestep. So a burst takes several timesteps, and silence
    takes none: no event is lost as long as there are timesteps.

    Args:
        events: The events of one sample, as `as_events` takes them.
        sensor_size: Width and height of the sensor in pixels.
        timesteps: Number of frames. Events that are left then are not shown, and timesteps without events are empty.
        frame_width: What the times of a frame span, in microseconds.
        method: See `to_frames`. A spike is 1, or -1 for a darker event if the method is signed.
        frame_size: See `to_frames`.
        flip_x: See `to_frames`.
        flip_y: See `to_frames`.
        x_first: See `to_frames`.
        maxpool_subsampling: See `to_frames`.
        clip_three_sigma: Whether a pixel has no more events than its clipped sum in `to_frames` says; its first ones.

    Returns:
        int8 `[timesteps, rows, columns, channels]`, with columns before rows if `x_first`.

    Source: snn_toolbox 0.6, `DVSIterator.py`, functions `extract_batch` and `get_binary_frame`.

    Example:
        >>> from snn_toolbox_tf import events
        >>> found = events.as_events(x=[0, 0, 1], y=[0, 0, 0], t=[0, 1, 2], p=[1, 1, 1])
        >>> events.to_timesteps(found, (2, 1), 3, method="rectified_sum")[:, 0, :, 0].tolist()
        [[1, 1], [1, 0], [0, 0]]
    """
    check_one_of(method, FRAME_METHODS, "method")
    check_timesteps(timesteps)
    size = check_size(sensor_size, "sensor_size")
    shape = check_size(frame_size, "frame_size") if frame_size is not None else size
    waiting = subsampled(check_events(as_events(events), size), size, shape)
    if maxpool_subsampling:
        once = first_of_equals(waiting, np.zeros(len(waiting), np.int64), polarities=method != "rectified_sum")
        waiting = waiting[once]
    found = np.zeros((timesteps, *frame_shape(shape, method, x_first)), np.int8)
    index = places(waiting, shape, method, flip_x, flip_y, x_first)
    pixel = np.ravel_multi_index(index, found.shape[1:])
    values, times = signs(waiting, method), waiting["t"]
    if clip_three_sigma:
        sums = np.zeros(found.shape[1:], np.float32)
        np.add.at(sums.reshape(-1), pixel, values)
        kept = _rank(pixel) < np.abs(clipped(sums, method)).reshape(-1)[pixel]
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
