"""Recordings: events with a label, whichever data set they come from."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from snn_toolbox_tf.events.event_array import EventError, as_events


class Recording(NamedTuple):
    """Events of one recording, an array of `EVENT_DTYPE`, and their label; None if there is none."""

    events: np.ndarray
    label: Any = None


def from_tonic(dataset: Any, *, limit: int | None = None, sort: bool = False) -> Iterator[Recording]:
    """Yields the recordings of a data set of the package `tonic`, one at a time.

    Anything else that gives pairs of events and label will do: it has a length and can be indexed, or it can be iterated.
    `pip install "snn_toolbox_tf[events]"` installs `tonic`, which reads and downloads DVS128 Gesture, N-MNIST and many
    more, and reads files of AEDAT 4.

    Args:
        dataset: The data set. Its events have fields x, y, t (microseconds) and p.
        limit: Number of recordings at most.
        sort: Whether events are sorted by time.

    Raises:
        EventError: If what it gives is no pair of events and label, or its events are not usable; it names the recording.

    Example:
        >>> import numpy as np
        >>> from snn_toolbox_tf import events
        >>> pairs = [(events.as_events(x=[0, 1], y=[0, 0], t=[5, 9], p=[1, 0]), 7)]
        >>> [recording.label for recording in events.from_tonic(pairs)]
        [7]
    """
    for index, pair in enumerate(_elements(dataset)):
        if limit is not None and index >= limit:
            return
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise EventError(
                f"Recording {index} of the data set is no pair of events and label. Received: {type(pair).__name__}. "
                "Expected a data set of `tonic`, or other pairs (events, label)."
            )
        try:
            events = as_events(pair[0], sort=sort)
        except EventError as error:
            raise EventError(f"Recording {index} of the data set: {error}") from error
        yield Recording(events, pair[1])


def _elements(dataset: Any) -> Iterable[Any]:
    # tonic's data sets have no `__iter__`, and not all of them raise IndexError behind the last recording.
    if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        return (dataset[index] for index in range(len(dataset)))
    return dataset
