"""Files of events, whichever format they have, and whole folders of them."""

import os
import pathlib
from typing import Any

import numpy as np

from snn_toolbox_tf.events.aedat import read_aedat
from snn_toolbox_tf.events.event_array import EventError, as_events
from snn_toolbox_tf.events.nmnist import read_nmnist
from snn_toolbox_tf.events.recordings import Recording
from snn_toolbox_tf.foundation.npz_files import read_arrays

#: Suffixes of files with one recording.
SUFFIXES = (".aedat", ".aedat2", ".dat", ".bin")
_FIELDS = {"x", "y", "t", "p"}


def read_events(path: str | os.PathLike[str], **options: Any) -> np.ndarray:
    """Reads one recording: AEDAT 1.0 and 2.0, N-MNIST (.bin), or npz.

    Args:
        path: The file. Its suffix says which format it has, and where its content says something else, that.
        **options: For `read_aedat` and `read_nmnist`.

    Returns:
        The events, as `as_events` has them.

    Raises:
        FileNotFoundError: If there is no such file.
        EventError: If it is not usable, or holds several recordings.
    """
    source = pathlib.Path(path)
    suffix = source.suffix.lower()
    with source.open("rb") as file:
        beginning = file.read(10)
    if beginning.startswith((b"#", b"%")) or (suffix in SUFFIXES and suffix != ".bin"):
        return read_aedat(source, **options)
    if suffix == ".bin":
        return read_nmnist(source, **options)
    if suffix != ".npz":
        raise EventError(
            f"'{path}': unknown format. Expected a file of AEDAT ({', '.join(SUFFIXES[:3])}), N-MNIST (.bin) or .npz."
        )
    recordings = read_recordings(source)
    if len(recordings) != 1:
        raise EventError(f"'{path}' holds {len(recordings)} recordings. Read them with `snn.events.read_recordings`.")
    return recordings[0].events


def read_recordings(path: str | os.PathLike[str], *, limit: int | None = None) -> list[Recording]:
    """Reads the recordings of an npz file.

    Args:
        path: The file. It holds the events of all recordings, one behind the other, as arrays x, y, t and p, or as one
            structured array with these fields; `offsets`, so that recording k has the events from offsets[k] up to
            offsets[k + 1], or one recording without; and, if there are any, `labels`.
        limit: Number of recordings at most.

    Raises:
        FileNotFoundError: If there is no such file.
        EventError: If it holds something else, or its events are not usable; it names the recording.
    """
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"There is no file '{path}'.")
    try:
        return recordings_of(read_arrays(path), limit)
    except ValueError as error:
        raise EventError(f"'{path}': {error}") from error


def recordings_of(arrays: dict[str, np.ndarray], limit: int | None = None) -> list[Recording]:
    """Returns the recordings that arrays hold, as `read_recordings` describes them."""
    if not holds_events(arrays):
        raise EventError(
            "Expected events: arrays x, y, t and p, or one structured array with these fields, and offsets. "
            f"Received: {', '.join(sorted(arrays)) or 'no arrays'}."
        )
    structured = [array for array in arrays.values() if array.dtype.names]
    fields = {name: structured[0][name] if structured else arrays[name] for name in sorted(_FIELDS)}
    total = len(fields["t"])
    offsets = np.asarray(arrays.get("offsets", [0, total]))
    ascending = offsets.ndim == 1 and offsets.dtype.kind in "iu" and (np.diff(offsets.astype(np.int64)) >= 0).all()
    if not ascending or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != total:
        raise EventError(f"Expected `offsets` to ascend from 0 to the number of events, {total}. Received: {offsets}")
    labels = arrays.get("labels")
    if labels is not None and len(labels) != len(offsets) - 1:
        raise EventError(
            f"Expected one label a recording. Received: {len(labels)} labels, {len(offsets) - 1} recordings."
        )
    found = []
    for number in range(min(len(offsets) - 1, limit or len(offsets))):
        part = slice(int(offsets[number]), int(offsets[number + 1]))
        try:
            x, y, t, p = (fields[name][part] for name in ("x", "y", "t", "p"))
            own = as_events(x=x, y=y, t=t, p=p)
        except EventError as error:
            raise EventError(f"Recording {number}: {error}") from error
        found.append(Recording(own, None if labels is None else labels[number]))
    return found


def holds_events(arrays: Any) -> bool:
    """Whether arrays by name are events."""
    if not isinstance(arrays, dict):
        return False
    has_fields = any(set(array.dtype.names or ()) >= _FIELDS for array in arrays.values())
    return has_fields or set(arrays) >= _FIELDS
