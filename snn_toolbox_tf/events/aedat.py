"""AEDAT 1.0 and 2.0, the files of jAER; later versions are recognised and refused."""

import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from snn_toolbox_tf.events.event_array import EVENT_DTYPE, EventError, check_events
from snn_toolbox_tf.foundation.argument_checks import check_one_of

_VERSION = re.compile(rb"#!AER-DAT(\d{1,3})\.(\d{1,3})")
#: What a line of text cannot hold, and an event nearly always does: the first events may begin with '#', too.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_RECORDS = {
    1: np.dtype([("address", ">u2"), ("t", ">u4")]),
    2: np.dtype([("address", ">u4"), ("t", ">u4")]),
}
_WRAP = 2**32


class Chip(NamedTuple):
    """A camera chip: width, height, and whether its addresses are laid out as those of the DVS128 or of the DAVIS family."""

    width: int
    height: int
    is_davis: bool


CHIPS = {
    "dvs128": Chip(128, 128, False),
    "davis128": Chip(128, 128, True),
    "davis208": Chip(208, 192, True),
    "davis240": Chip(240, 180, True),
    "davis346": Chip(346, 260, True),
    "davis640": Chip(640, 480, True),
}


def read_aedat(
    path: str | os.PathLike[str], *, chip: str | None = None, as_stored: bool = False, sort: bool = False
) -> np.ndarray:
    r"""Reads brightness changes from an AEDAT file of version 1.0 or 2.0.

    Both are an optional header of lines that begin with '#', then big-endian pairs of address (16 bits in version 1.0, 32 in
    2.0) and time in microseconds (32 bits). A file without version line is of version 1.0. What an address means depends on
    the chip:

    - DVS128: bit 0 is 1 where it became darker, bits 1 to 7 are x, bits 8 to 14 are y, bit 15 marks external events;
    - DAVIS: bit 11 is 1 where it became brighter, bits 12 to 21 are x, bits 22 to 30 are y; bit 31 marks samples of frames
      and of the motion sensor, bit 10 external events.

    Samples of frames and motion, and external events, are left out. Times that pass 2^32 microseconds go on.

    Args:
        path: The file.
        chip: "dvs128", "davis128", "davis208", "davis240", "davis346" or "davis640"; what the header's line "AEChip" says if
            None. Version 1.0 has DVS128 only.
        as_stored: Whether x is as the file has it, as snn_toolbox reads it. By default it is turned around, as jAER does, so
            that it counts columns from the left. y counts rows from the bottom either way.
        sort: Whether events are sorted by time; old recordings may be out of order.

    Returns:
        The events, as `as_events` has them.

    Raises:
        FileNotFoundError: If there is no such file.
        EventError: If the file is empty, cut off, of another version, or of an unknown chip.

    Sources: docs.inivation.com, "AEDAT 1.0" and "AEDAT 2.0"; jAER's extractors `DVS128` and `DavisBaseCamera`. Where they
    differ (that document has 1 for brighter in DVS128's bit 0), it is as in jAER, which writes these files.

    Example:
        >>> import pathlib, tempfile
        >>> from snn_toolbox_tf import events
        >>> path = pathlib.Path(tempfile.mkdtemp(), "hand.aedat")
        >>> address, time = 20 << 8 | 3 << 1 | 0, 1500
        >>> header = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
        >>> _ = path.write_bytes(header + address.to_bytes(4, "big") + time.to_bytes(4, "big"))
        >>> events.read_aedat(path)["x"], events.read_aedat(path)["t"]
        (array([124], dtype=int16), array([1500]))
    """
    if chip is not None:
        check_one_of(chip, CHIPS, "chip")
    content = pathlib.Path(path).read_bytes()
    if not content:
        raise EventError(f"'{path}' is empty. Expected an AEDAT file.")
    version = _version(content, path)
    header = _header(content)
    chip = chip or _chip_of(header, version, path)
    if version == 1 and CHIPS[chip].is_davis:
        raise EventError(f"'{path}' is of AEDAT 1.0, whose addresses have 16 bits: too few for chip = {chip}.")
    records = _records(content[len(header) :], version, path)
    x, y, p, is_change = _decoded(records["address"].astype(np.int64), CHIPS[chip])
    events = np.empty(len(records), EVENT_DTYPE)
    events["x"], events["y"], events["p"] = x if as_stored else CHIPS[chip].width - 1 - x, y, p
    events["t"] = _unwrapped(records["t"].astype(np.int64))
    events = events[is_change]
    if sort:
        events = events[np.argsort(events["t"], kind="stable")]
    try:
        # Addresses as they are stored may lie outside the chip; whoever wants them drops these.
        return check_events(events, None if as_stored else CHIPS[chip][:2])
    except EventError as error:
        raise EventError(f"'{path}', read as AEDAT {version}.0 of a {chip}: {error}") from error


def chip_in_header(path: str | os.PathLike[str]) -> str | None:
    """Returns the chip that an AEDAT file names, or None."""
    return _named_chip(_header(pathlib.Path(path).read_bytes()))


def _version(content: bytes, path: str | os.PathLike[str]) -> int:
    found = _VERSION.match(content)
    version = int(found[1]) if found else 1
    if found and version not in _RECORDS:
        raise EventError(
            f"'{path}' is of AEDAT {version}.{int(found[2])}; versions 1.0 and 2.0 are read here. Read it with `tonic` "
            '(`pip install "snn_toolbox_tf[events]"`; `tonic.io`, `tonic.datasets`) and pass the events on, see '
            "`snn.events.as_events` and `snn.events.from_tonic`."
        )
    if content[:1] == b"%":
        raise EventError(
            f"'{path}' begins with '%', as files of Prophesee do. Expected AEDAT 1.0 or 2.0, whose header lines begin with "
            "'#'. Read it with their tools, and pass the events on, see `snn.events.as_events`."
        )
    return version


def _header(content: bytes) -> bytes:
    """Returns the header: all leading lines that begin with '#' and are text."""
    end = 0
    while content[end : end + 1] == b"#":
        stop = content.find(b"\n", end) + 1
        line = content[end:stop]
        if not stop or _CONTROL.search(line):
            break
        end = stop
        if re.match(rb"#\s*End of ASCII Header", line, flags=re.IGNORECASE):
            break
    return content[:end]


def _named_chip(header: bytes) -> str | None:
    line = re.search(rb"AEChip:\s*(\S+)", header)
    if line is None:
        return None
    name = line[1].decode("latin-1").rpartition(".")[2].lower()
    if name in ("dvs128", "tmpdiff128"):
        return "dvs128"
    if name.startswith("sbret"):
        return "davis240"
    family = re.match(r"davis(?:rgbw|het)?(\d{3})", name)
    return f"davis{family[1]}" if family else name


def _chip_of(header: bytes, version: int, path: str | os.PathLike[str]) -> str:
    named = _named_chip(header)
    if named is None and version == 1:
        return "dvs128"
    if named in CHIPS:
        return str(named)
    what = "does not say which chip it is of" if named is None else f"is of the chip '{named}'"
    raise EventError(
        f"'{path}' {what}, and what its addresses mean depends on that. Pass `chip`, one of {', '.join(CHIPS)}."
    )


def _records(body: bytes, version: int, path: str | os.PathLike[str]) -> np.ndarray:
    size = _RECORDS[version].itemsize
    if len(body) % size:
        raise EventError(
            f"'{path}' has {len(body)} bytes behind its header, which is no multiple of the {size} bytes of an event of "
            f"AEDAT {version}.0: it is cut off, or of another version."
        )
    return np.frombuffer(body, _RECORDS[version])


def _decoded(address: np.ndarray, chip: Chip) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns x and y as they are stored, polarities, and which records are changes of brightness."""
    if chip.is_davis:
        is_change = address & (1 << 31 | 1 << 10) == 0
        return address >> 12 & 0x3FF, address >> 22 & 0x1FF, address >> 11 & 1, is_change
    return address >> 1 & 0x7F, address >> 8 & 0x7F, 1 - (address & 1), address >> 15 == 0


def _unwrapped(times: np.ndarray) -> np.ndarray:
    """Returns times that go on where 32 bits began anew."""
    steps = np.diff(times, prepend=times[:1])
    turns = np.zeros(len(times), np.int64)
    begun = 0
    for place in np.flatnonzero(np.abs(steps) > _WRAP // 2):
        # An event that is late, from before that place, goes back across it; a pause of half an hour does not.
        change = 1 if steps[place] < 0 else -1 if begun else 0
        begun += change
        turns[place] = change
    return times + _WRAP * np.cumsum(turns)
