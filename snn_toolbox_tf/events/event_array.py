"""Events as NumPy arrays: their dtype, and what has to hold of them."""

from typing import Any

import numpy as np

#: The fields that every array of events has here, as the package `tonic` has them: column, row, time, polarity.
EVENT_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])

_COORDINATES = ("x", "y")
_LARGEST_COORDINATE = np.iinfo(np.int16).max


class EventError(ValueError):
    """Events, or a file of events, are not usable; the message names the first event or byte that is wrong."""


def as_events(
    events: Any = None,
    *,
    x: Any = None,
    y: Any = None,
    t: Any = None,
    p: Any = None,
    sensor_size: tuple[int, int] | None = None,
    sort: bool = False,
) -> np.ndarray:
    """Returns events as one structured array.

    Args:
        events: A structured array with fields x, y, t, p, in any order and of any integer dtype; or these four arrays, as
            `x`, `y`, `t` and `p`.
        x: Columns, from 0 on.
        y: Rows, from 0 on.
        t: Times in microseconds, in ascending order.
        p: Polarities: 1 (True) where it became brighter, 0 (False) or -1 where it became darker.
        sensor_size: Width and height of the sensor in pixels; not checked if None.
        sort: Whether events are sorted by time first; those of equal times keep their order.

    Returns:
        An array `[events]` of `EVENT_DTYPE`: fields x and y (int16), t (int64) and p (bool).

    Raises:
        EventError: If arrays are missing or differ in length, hold no integers, or an event is out of order or outside the
            sensor.

    Example:
        >>> from snn_toolbox_tf import events
        >>> found = events.as_events(x=[3, 0], y=[1, 2], t=[10, 25], p=[1, 0], sensor_size=(4, 3))
        >>> found["t"].tolist(), found["p"].tolist(), len(found)
        ([10, 25], [True, False], 2)
    """
    parts = _fields(events) if events is not None else {"x": x, "y": y, "t": t, "p": p}
    if events is not None and any(part is not None for part in (x, y, t, p)):
        raise EventError("Expected either `events` or `x`, `y`, `t` and `p`. Received both.")
    missing = [name for name, part in parts.items() if part is None]
    if missing:
        raise EventError(f"Expected arrays x, y, t and p of the events. Missing: {', '.join(missing)}.")
    arrays = {name: np.asarray(part) for name, part in parts.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or arrays["t"].ndim != 1:
        raise EventError(f"Expected x, y, t and p of one length, one number an event. Received shapes: {shapes}")
    found = np.empty(len(arrays["t"]), EVENT_DTYPE)
    for name in _COORDINATES:
        found[name] = _whole(arrays[name], name, 0, _LARGEST_COORDINATE)
    found["t"] = _whole(arrays["t"], "t", -(2**61), 2**61)
    found["p"] = _whole(arrays["p"], "p", -1, 1) > 0
    if sort:
        found = found[np.argsort(found["t"], kind="stable")]
    return check_events(found, sensor_size)


def check_events(events: np.ndarray, sensor_size: tuple[int, int] | None = None) -> np.ndarray:
    """Returns `events` if they are in order and inside the sensor.

    Args:
        events: A structured array of `EVENT_DTYPE`.
        sensor_size: Width and height of the sensor in pixels; not checked if None.

    Raises:
        EventError: If they are not; it names the first bad event.
    """
    back = np.flatnonzero(np.diff(events["t"]) < 0)
    if len(back):
        index = int(back[0]) + 1
        raise EventError(
            f"Events must be in the order of their times. Event {index} is at {events['t'][index]} µs, the one before it "
            f"at {events['t'][index - 1]} µs. Pass `sort=True` where events are read, if their order means nothing."
        )
    if sensor_size is not None:
        outside = np.flatnonzero(~inside(events, check_size(sensor_size, "sensor_size")))
        if len(outside):
            index = int(outside[0])
            raise EventError(
                f"Event {index} is outside the sensor: x = {events['x'][index]}, y = {events['y'][index]}, expected x below "
                f"{sensor_size[0]} and y below {sensor_size[1]} (sensor_size = width, height)."
            )
    return events


def inside(events: np.ndarray, sensor_size: tuple[int, int]) -> np.ndarray:
    """Returns which events are inside a sensor of this width and height, bool `[events]`."""
    width, height = sensor_size
    return (events["x"] >= 0) & (events["x"] < width) & (events["y"] >= 0) & (events["y"] < height)


def check_size(size: Any, argument: str) -> tuple[int, int]:
    """Returns a width and a height as ints, or raises an error that names the argument."""
    try:
        numbers = tuple(size)
    except TypeError:
        numbers = ()
    whole = all(isinstance(number, (int, np.integer)) and not isinstance(number, bool) for number in numbers)
    # tonic's sensor sizes have the number of polarities behind.
    if len(numbers) not in (2, 3) or not whole or not all(1 <= n <= _LARGEST_COORDINATE + 1 for n in numbers):
        raise EventError(f"Expected `{argument}` to be a width and a height in pixels. Received: {argument}={size!r}")
    return int(numbers[0]), int(numbers[1])


def _fields(events: Any) -> dict[str, Any]:
    """Returns the parts of a structured array; those that it has not are None."""
    names = getattr(getattr(events, "dtype", None), "names", None)
    if names is None:
        received = f"an array of {events.dtype}" if isinstance(events, np.ndarray) else type(events).__name__
        raise EventError(f"Expected a structured array with fields x, y, t and p. Received: {received}.")
    return {name: events[name] if name in names else None for name in ("x", "y", "t", "p")}


def _whole(array: np.ndarray, name: str, low: int, high: int) -> np.ndarray:
    """Returns whole numbers within bounds as int64."""
    if array.dtype.kind not in "iubf":
        raise EventError(f"Expected whole numbers for `{name}` of the events. Received dtype: {array.dtype}.")
    with np.errstate(invalid="ignore"):
        bad = ~((array >= low) & (array <= high))
        if array.dtype.kind == "f":
            bad |= array != np.floor(array)
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        unit = " (microseconds)" if name == "t" else ""
        bounds = "a whole number" if name == "t" else f"a whole number from {low} to {high}"
        raise EventError(f"`{name}` of event {index} is {array[index]!s}. Expected {bounds}{unit}.")
    return array.astype(np.int64)
