"""Files of N-MNIST and N-Caltech101: 40 bits an event."""

import os
import pathlib

import numpy as np

from snn_toolbox_tf.events.event_array import EVENT_DTYPE, EventError, check_events

_BYTES = 5
#: No pixel has this row: such a record says that the clock has gone round, which its 23 bits could have told as well.
_OVERFLOW_ROW = 240
_OVERFLOW = 2**13


def read_nmnist(path: str | os.PathLike[str], *, sensor_size: tuple[int, int] = (34, 34)) -> np.ndarray:
    """Reads a recording of N-MNIST (`.bin`).

    An event has 40 bits: 8 for x, 8 for y, 1 for the polarity and 23 for the time in microseconds. Records with y = 240 are
    no events; each adds 2^13 to the times of all that follow.

    Args:
        path: The file.
        sensor_size: Width and height of the sensor in pixels. N-Caltech101 has the same format, and at most (240, 180).

    Returns:
        The events, as `as_events` has them; y counts rows from the top.

    Raises:
        FileNotFoundError: If there is no such file.
        EventError: If the file is empty, cut off, or holds something else.

    Source: Orchard, Jayawant, Cohen and Thakor, "Converting static image datasets to spiking neuromorphic datasets using
    saccades", Front. Neurosci. 9:437, 2015, and the readers that its authors published.

    Example:
        >>> import pathlib, tempfile
        >>> from snn_toolbox_tf import events
        >>> path = pathlib.Path(tempfile.mkdtemp(), "00001.bin")
        >>> _ = path.write_bytes(bytes([3, 4, 0b1_0000000, 0, 100]))  # x = 3, y = 4, brighter, after 100 microseconds
        >>> events.read_nmnist(path)
        array([(3, 4, 100,  True)],
              dtype=[('x', '<i2'), ('y', '<i2'), ('t', '<i8'), ('p', '?')])
    """
    content = pathlib.Path(path).read_bytes()
    if not content:
        raise EventError(f"'{path}' is empty. Expected a recording of N-MNIST, {_BYTES} bytes an event.")
    if len(content) % _BYTES:
        raise EventError(
            f"'{path}' has {len(content)} bytes, which is no multiple of the {_BYTES} bytes of an event of N-MNIST: it is "
            "cut off, or holds something else."
        )
    columns = np.frombuffer(content, np.uint8).reshape(-1, _BYTES).astype(np.int64).T
    overflow = columns[1] == _OVERFLOW_ROW
    times = (columns[2] & 0x7F) << 16 | columns[3] << 8 | columns[4]
    times += _OVERFLOW * np.cumsum(overflow)
    events = np.empty(columns.shape[1], EVENT_DTYPE)
    events["x"], events["y"], events["t"], events["p"] = columns[0], columns[1], times, columns[2] >> 7
    try:
        return check_events(events[~overflow], sensor_size)
    except EventError as error:
        raise EventError(f"'{path}' is no recording of N-MNIST: {error}") from error
