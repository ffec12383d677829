"""Windows of events: by time, by number of events, or so many for a recording."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from snn_toolbox_tf.events.event_array import EVENT_DTYPE, EventError, check_events
from snn_toolbox_tf.foundation.argument_checks import MOST_TIMESTEPS, check_one_of, check_positive_integer

_INCOMPLETE = ("keep", "drop")
#: A recording of days in windows of milliseconds has fewer; more of them are a wrong unit of time, or a damaged file.
MOST_WINDOWS = MOST_TIMESTEPS


def packets(
    events: np.ndarray | Iterable[np.ndarray],
    *,
    time_window: int | None = None,
    event_count: int | None = None,
    start: int | None = None,
    incomplete: str = "keep",
) -> Iterator[np.ndarray]:
    """Yields events packet by packet, each as soon as it is complete.

    Args:
        events: The events, an array of `EVENT_DTYPE`; or arrays of them as they come from a camera, one after the other.
        time_window: Length of a packet in microseconds; packets without events are yielded as well.
        event_count: Number of events of a packet. Expected is either this or `time_window`.
        start: Time at which the first packet begins, in microseconds; that of the first event if None. With `time_window`.
        incomplete: "keep" yields the last packet although it is incomplete, "drop" does not. A time window is complete once
            an event comes behind it.

    Raises:
        EventError: If events come before `start`, are no array of `EVENT_DTYPE` or out of order, an array begins before the
            one before it has ended, or more than `MOST_WINDOWS` windows would follow without an event.
        ValueError: For other arguments.

    Example:
        >>> from snn_toolbox_tf import events
        >>> found = events.as_events(x=[0, 1, 2], y=[0, 0, 0], t=[3, 8, 25], p=[1, 1, 0])
        >>> [packet["x"].tolist() for packet in events.packets(found, time_window=10, start=0)]
        [[0, 1], [], [2]]
    """
    _check_choice(time_window, event_count, None)
    check_one_of(incomplete, _INCOMPLETE, "incomplete")
    if start is not None and time_window is None:
        raise ValueError("`start` is for `time_window`. Received: start and event_count.")
    return _packets(_parts(events), time_window, event_count, start, incomplete == "keep")


def _packets(
    parts: Iterator[np.ndarray], window: int | None, count: int | None, start: int | None, keep: bool
) -> Iterator[np.ndarray]:
    waiting: np.ndarray | None = None
    for part in parts:
        waiting = part if waiting is None else np.concatenate([waiting, part])
        if not len(waiting):
            continue
        if window is None:
            while count is not None and len(waiting) >= count:
                yield waiting[:count]
                waiting = waiting[count:]
            continue
        start = int(waiting["t"][0]) if start is None else start
        _check_start(waiting, start)
        _check_count((int(waiting["t"][0]) - start) // window, window)
        _check_count(int(np.diff(waiting["t"]).max(initial=0)) // window, window)
        while len(waiting) and waiting["t"][-1] >= start + window:
            stop = int(np.searchsorted(waiting["t"], start + window))
            yield waiting[:stop]
            waiting, start = waiting[stop:], start + window
    if keep and waiting is not None and len(waiting):
        yield waiting


def _parts(events: Any) -> Iterator[np.ndarray]:
    """Yields the arrays that there are, checked to follow each other."""
    last: int | None = None
    for part in [events] if isinstance(events, np.ndarray) else events:
        if getattr(part, "dtype", None) != EVENT_DTYPE:
            raise EventError(
                f"Expected arrays of `EVENT_DTYPE`, as `snn.events.as_events` makes them. Received: {type(part).__name__}"
                f"{f' of {part.dtype}' if hasattr(part, 'dtype') else ''}"
            )
        check_events(part)
        if len(part):
            if last is not None and part["t"][0] < last:
                raise EventError(
                    f"Events at {part['t'][0]} µs come behind events at {last} µs. Expected ascending times."
                )
            last = int(part["t"][-1])
        yield part


def window_of_events(
    events: np.ndarray,
    *,
    time_window: int | None,
    event_count: int | None,
    bins: int | None,
    start: int | None,
    keep: bool,
) -> tuple[np.ndarray, int]:
    """Returns the number of the window that each event falls into, int64 `[events]`, and how many windows there are.

    Events of a last window that is not kept have numbers beyond.
    """
    _check_choice(time_window, event_count, bins)
    if start is not None and event_count is not None:
        raise ValueError("`start` is for windows of time. Received: start and event_count.")
    count = len(events)
    if event_count is not None:
        return np.arange(count) // event_count, -(-count // event_count) if keep else count // event_count
    if not count:
        return np.zeros(0, np.int64), bins or 0
    first = int(events["t"][0]) if start is None else start
    _check_start(events, first)
    elapsed = events["t"] - first
    _check_count(int(elapsed[-1]) // time_window if time_window else 0, time_window)
    if bins is not None and int(elapsed[-1]) > (2**63 - 1) // bins:
        raise EventError(
            f"Events last {elapsed[-1]} µs, too long to be divided into {bins} bins: is their time in microseconds, and "
            f"`start` near the first one? Received: start={start!r}"
        )
    if bins is not None:
        return elapsed * bins // (elapsed[-1] + 1), bins
    number = elapsed // time_window
    return number, int(number[-1]) + keep


def _check_choice(time_window: Any, event_count: Any, bins: Any) -> None:
    given = {"time_window": time_window, "event_count": event_count, "bins": bins}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise ValueError(
            "Expected one of `time_window` (microseconds), `event_count` and, for frames, `bins`. "
            f"Received: {', '.join(chosen) or 'none of them'}."
        )
    for name, value in chosen.items():
        check_positive_integer(value, name)


def _check_count(windows: int, length: Any) -> None:
    if windows > MOST_WINDOWS:
        raise EventError(
            f"There would be {windows:,} windows of {length} µs, most of them without events. Expected at most "
            f"{MOST_WINDOWS:,}: give a larger `time_window`, or a `start` near the first event, and times in microseconds."
        )


def _check_start(events: np.ndarray, start: Any) -> None:
    if isinstance(start, bool) or not isinstance(start, (int, np.integer)):
        raise ValueError(f"Expected `start` to be a whole number of microseconds. Received: start={start!r}")
    if len(events) and events["t"][0] < start:
        raise EventError(f"The first event is at {events['t'][0]} µs, before start = {start} µs.")
