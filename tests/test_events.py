"""Events: files byte by byte, windows and frames against plain loops, streams."""

import struct

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf import events
from snn_toolbox_tf.events import EventError, aedat

HEADER2 = b"#!AER-DAT2.0\r\n# Timestamps tick is 1 us\r\n"
DVS128 = HEADER2 + b"# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
DAVIS240 = HEADER2 + b"# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n"


def pairs(*records):
    return b"".join(struct.pack(">II", *record) for record in records)


def made_up(rng, count, size=(12, 9), span=4000):
    t = np.sort(rng.integers(0, span, count))
    return events.as_events(
        x=rng.integers(0, size[0], count), y=rng.integers(0, size[1], count), t=t, p=rng.integers(0, 2, count)
    )


def written(tmp_path, content, name="a.aedat"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


# Arrays


def test_arrays_of_any_integers_become_events():
    given = np.array([(5, 1, 9, 3), (7, -1, 8, 4)], [("t", "u4"), ("p", "i1"), ("x", "u2"), ("y", "i8")])
    found = events.as_events(given)
    assert found.dtype == events.EVENT_DTYPE
    assert found.tolist() == [(9, 3, 5, True), (8, 4, 7, False)]
    assert events.as_events(x=[1.0], y=[2.0], t=[3.0], p=[True]).tolist() == [(1, 2, 3, True)]
    late = events.as_events(x=[1, 2, 3], y=[0, 0, 0], t=[9, 4, 9], p=[1, 1, 1], sort=True)
    assert late["x"].tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": [3, 2]}, r"Event 1 is at 2 µs, the one before it at 3 µs. Pass `sort=True`"),
        ({"x": [0, 4]}, r"Event 1 is outside the sensor: x = 4, y = 0, expected x below 4 and y below 3"),
        ({"y": [3, 0]}, r"Event 0 is outside the sensor"),
        ({"x": [0, -1]}, r"`x` of event 1 is -1. Expected a whole number from 0 to 32767"),
        ({"t": [0, 0.5]}, r"`t` of event 1 is 0.5. Expected a whole number \(microseconds\)"),
        ({"t": [0, np.nan]}, r"`t` of event 1 is nan"),
        ({"p": [0, 2]}, r"`p` of event 1 is 2. Expected a whole number from -1 to 1"),
        ({"p": [0]}, r"of one length.*'p': \(1,\)"),
        ({"p": None}, r"Missing: p"),
        ({"x": ["a", "b"]}, r"whole numbers for `x`"),
        ({"sensor_size": 4}, r"`sensor_size` to be a width and a height in pixels. Received: sensor_size=4"),
        ({"events": np.zeros(3)}, r"structured array with fields x, y, t and p. Received: an array of float64"),
        ({"events": np.zeros(1, events.EVENT_DTYPE)}, r"either `events` or `x`, `y`, `t` and `p`. Received both"),
    ],
)
def test_events_that_are_none(change, message):
    given = {"x": [0, 1], "y": [0, 0], "t": [1, 1], "p": [0, 1], "sensor_size": (4, 3), **change}
    with pytest.raises(EventError, match=f"(?s){message}"):
        events.as_events(**given)


# Files


def test_nmnist_byte_by_byte(tmp_path):
    content = (
        bytes([33, 0, 0x80, 0, 7])
        + bytes([1, 240, 0, 0, 9])
        + bytes([2, 3, 0x01, 0x02, 0x03])
        + bytes([0, 240, 0, 0, 0]) * 2
    )
    content += bytes([5, 6, 0x81, 0x02, 0x03])
    found = events.read_nmnist(written(tmp_path, content, "1.bin"))
    stored = 0x010203
    assert found.tolist() == [(33, 0, 7, True), (2, 3, stored + 8192, False), (5, 6, stored + 3 * 8192, True)]
    assert events.read_events(written(tmp_path, content, "1.BIN")).tolist() == found.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Expected a recording of N-MNIST"),
        (bytes(12), "has 12 bytes, which is no multiple of the 5 bytes"),
        (bytes([34, 0, 0, 0, 0]), "is no recording of N-MNIST: Event 0 is outside the sensor: x = 34"),
        (bytes([0, 0, 0, 0, 9, 0, 0, 0, 0, 8]), "Event 1 is at 8 µs"),
    ],
)
def test_nmnist_that_is_damaged(tmp_path, content, message):
    with pytest.raises(EventError, match=message):
        events.read_nmnist(written(tmp_path, content, "1.bin"))


def test_dvs128_byte_by_byte(tmp_path):
    """Bit 0 is 1 where it became darker; x is mirrored; bit 15 marks an external event."""
    address = [0b0_0000101_0000011_0, 0b1_0000000_0000000_0, 0b0_1111111_1111111_1]
    path = written(tmp_path, DVS128 + pairs(*zip(address, (1, 2, 70_000), strict=True)))
    assert events.read_aedat(path).tolist() == [(127 - 3, 5, 1, True), (0, 127, 70_000, False)]
    assert events.read_aedat(path, as_stored=True)["x"].tolist() == [3, 127]
    old = b"# no version line\r\n" + b"".join(
        struct.pack(">HI", a, t) for a, t in zip(address, (1, 2, 70_000), strict=True)
    )
    assert events.read_aedat(written(tmp_path, old, "b.dat")).tolist() == events.read_aedat(path).tolist()
    assert events.read_events(tmp_path / "b.dat").tolist() == events.read_aedat(path).tolist()


def test_davis_byte_by_byte(tmp_path):
    """Bits 22 to 30 are y, 12 to 21 x, 11 the polarity; frames and motion (bit 31) and external events (bit 10) are none."""
    change = 179 << 22 | 200 << 12 | 1 << 11
    path = written(
        tmp_path,
        DAVIS240 + pairs((change, 4), (change | 1 << 31, 5), (change | 1 << 10, 6), (7 << 12, 2**32 - 1), (0, 3)),
    )
    found = events.read_aedat(path)
    assert found.tolist() == [(39, 179, 4, True), (232, 0, 2**32 - 1, False), (239, 0, 2**32 + 3, False)]
    with pytest.raises(ValueError, match="Unknown `chip`"):
        events.read_aedat(path, chip="davis")


def test_first_events_that_begin_like_a_header(tmp_path):
    """The byte '#' begins addresses of rows 140 to 143 of a DAVIS."""
    change = 141 << 22 | 5 << 12
    assert change >> 24 == ord("#")
    assert events.read_aedat(written(tmp_path, DAVIS240 + pairs((change, 10), (change, 11))))["y"].tolist() == [
        141,
        141,
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Expected an AEDAT file"),
        (
            DVS128 + bytes(12),
            "has 12 bytes behind its header, which is no multiple of the 8 bytes of an event of AEDAT 2.0",
        ),
        (bytes(13), "no multiple of the 6 bytes of an event of AEDAT 1.0"),
        (b"#!AER-DAT3.1\r\n", r"is of AEDAT 3.1; versions 1.0 and 2.0 are read here.*snn_toolbox_tf\[events\]"),
        (b"#!AER-DAT4.0\r\n", r"is of AEDAT 4.0; .*snn.events.from_tonic"),
        (b"% Data file\n", "begins with '%', as files of Prophesee do"),
        (HEADER2 + pairs((0, 0)), "does not say which chip it is of.*Pass `chip`, one of dvs128"),
        (HEADER2 + b"# AEChip: a.b.CochleaAMS1c\r\n", "is of the chip 'cochleaams1c'"),
        (DVS128 + pairs((0, 9), (0, 3)), "read as AEDAT 2.0 of a dvs128: .*Event 1 is at 3 µs"),
        (DAVIS240 + pairs((180 << 22, 9)), "read as AEDAT 2.0 of a davis240: Event 0 is outside the sensor"),
        (
            DAVIS240 + pairs((0x3FF << 12, 9)),
            "read as AEDAT 2.0 of a davis240: Event 0 is outside the sensor: x = -784",
        ),
        (DAVIS240[:30], "does not say which chip it is of"),
        (b"\x89HDF\r\n\x1a\n" + bytes(13), "no multiple of the 6 bytes of an event of AEDAT 1.0"),
        (b"#!AER-DAT1.0\r\n# AEChip: x.DAVIS240C\r\n", "16 bits: too few for chip = davis240"),
    ],
)
def test_aedat_that_is_not_read(tmp_path, content, message):
    with pytest.raises(EventError, match=f"(?s){message}"):
        events.read_aedat(written(tmp_path, content))


def test_npz_in_both_forms(tmp_path, rng):
    both = np.concatenate([made_up(rng, 5), made_up(rng, 3)])
    parts = {name: both[name].astype("u4") for name in ("x", "y", "t", "p")}
    np.savez(tmp_path / "arrays.npz", offsets=[0, 5, 8], labels=[4, 2], **parts)
    np.savez(tmp_path / "structured.npz", events=both, offsets=[0, 5, 8])
    for name, labels in (("arrays", [4, 2]), ("structured", [None, None])):
        found = events.read_recordings(tmp_path / f"{name}.npz")
        assert [recording.label for recording in found] == labels
        np.testing.assert_array_equal(found[0].events, both[:5])
        np.testing.assert_array_equal(found[1].events, both[5:])
    np.savez(tmp_path / "one.npz", both[:5])
    np.testing.assert_array_equal(events.read_events(tmp_path / "one.npz"), both[:5])
    with pytest.raises(EventError, match=r"holds 2 recordings. Read them with `snn.events.read_recordings`"):
        events.read_events(tmp_path / "arrays.npz")
    with pytest.raises(EventError, match="unknown format"):
        events.read_events(written(tmp_path, b"text", "a.txt"))
    with pytest.raises(FileNotFoundError, match="There is no file"):
        events.read_recordings(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": [0]}, "Expected events: arrays x, y, t and p.*Received: x"),
        (
            {"x": [0], "y": [0], "t": [0], "p": [0], "offsets": [0, 2]},
            "`offsets` to ascend from 0 to the number of events, 1",
        ),
        ({"x": [0], "y": [0], "t": [0], "p": [0], "labels": [0, 2]}, "2 labels, 1 recordings"),
        ({"x": [0, 1], "y": [0, 0], "t": [5, 0], "p": [0, 0], "offsets": [0, 0, 2]}, "Recording 1: .*Event 1 is at 0"),
    ],
)
def test_npz_that_is_no_recordings(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(EventError, match=message):
        events.read_recordings(tmp_path / "a.npz")


class Pairs:
    """A data set as tonic's are: a length and `__getitem__`, no `__iter__`, and no IndexError."""

    def __init__(self, found):
        self.found = found

    def __len__(self):
        return len(self.found)

    def __getitem__(self, index):
        return self.found[index % len(self.found)]


def test_data_sets_like_those_of_tonic(rng):
    first, second = made_up(rng, 4), made_up(rng, 6)
    recordings = list(events.from_tonic(Pairs([(first, 3), (second, 1)])))
    assert [recording.label for recording in recordings] == [3, 1]
    np.testing.assert_array_equal(recordings[1].events, second)
    assert len(list(events.from_tonic(iter([(first, 3), (second, 1)]), limit=1))) == 1
    with pytest.raises(EventError, match="Recording 1 of the data set is no pair"):
        list(events.from_tonic([(first, 3), first]))
    with pytest.raises(EventError, match=r"Recording 0 of the data set: .*Missing: y"):
        list(events.from_tonic([(first[["x", "t", "p"]], 3)]))


def test_tonic_reads_and_cuts_the_same(tmp_path, rng):
    tonic = pytest.importorskip("tonic")
    found = made_up(rng, 300)
    content = b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, t, p in found.tolist())
    path = written(tmp_path, content, "1.bin")
    np.testing.assert_array_equal(
        events.read_nmnist(path), tonic.io.read_mnist_file(str(path), dtype=events.EVENT_DTYPE)
    )
    transform = tonic.transforms.ToFrame(sensor_size=(12, 9, 2), time_window=500, include_incomplete=False)
    ours = events.to_frames(found, (12, 9), time_window=500, incomplete="drop")
    np.testing.assert_array_equal(np.moveaxis(transform(found), 1, -1), ours)


def test_tonic_reads_the_same_of_a_davis346(tmp_path, rng):
    """The header and the mirrored addresses are as the simulator v2e writes them; it names no chip."""
    tonic = pytest.importorskip("tonic")
    found = made_up(rng, 300, size=(346, 260))
    header = HEADER2 + b"# Creation time: System.currentTimeMillis() 1600000000000\r\n"
    address = [(345 - x) << 12 | (259 - y) << 22 | p << 11 for x, y, _, p in found.tolist()]
    path = written(tmp_path, header + pairs(*zip(address, found["t"].tolist(), strict=True)))
    ours = events.read_aedat(path, chip="davis346")
    _, _, theirs = tonic.io.read_davis_346(str(path))
    for read in (theirs, events.as_events(x=ours["x"], y=259 - ours["y"], t=ours["t"], p=ours["p"])):
        np.testing.assert_array_equal(read, found)


# Windows and frames


@pytest.mark.parametrize("incomplete", ["keep", "drop"])
def test_packets_are_the_same_however_events_come(rng, incomplete):
    found = made_up(rng, 200)
    for window in ({"time_window": 300}, {"time_window": 300, "start": -50}, {"event_count": 30}):
        whole = list(events.packets(found, incomplete=incomplete, **window))
        pieces = list(events.packets(iter(np.array_split(found, 17)), incomplete=incomplete, **window))
        assert [packet.tolist() for packet in whole] == [packet.tolist() for packet in pieces]
        joined = np.concatenate(whole)
        np.testing.assert_array_equal(joined, found[: len(joined)])
        frames = events.to_frames(found, (12, 9), incomplete=incomplete, **window)
        assert len(frames) == len(whole)
        np.testing.assert_array_equal(frames.sum(axis=(1, 2, 3)), [len(packet) for packet in whole])


def test_the_ends_of_windows():
    found = events.as_events(x=[0, 0, 0, 0], y=[0, 0, 0, 0], t=[5, 15, 35, 45], p=[1, 1, 1, 1])
    count = lambda **options: events.to_frames(found, (1, 1), **options).sum(axis=(1, 2, 3)).tolist()  # noqa: E731
    assert count(time_window=10) == [1, 1, 0, 1, 1]
    assert count(time_window=10, incomplete="drop") == [1, 1, 0, 1]
    assert count(time_window=10, start=0) == [1, 1, 0, 1, 1]
    assert count(time_window=20, start=0, frames=4) == [2, 1, 1, 0]
    assert count(time_window=20, start=0, frames=2) == [2, 1]
    assert count(event_count=3) == [3, 1]
    assert count(event_count=3, incomplete="drop") == [3]
    assert count(bins=2) == [2, 2]
    assert count(bins=4) == [2, 0, 1, 1]
    none = found[:0]
    assert events.to_frames(none, (3, 2), time_window=5).shape == (0, 2, 3, 2)
    assert events.to_frames(none, (3, 2), bins=4).shape == (4, 2, 3, 2)
    assert events.to_frames(none, (3, 2), event_count=4, frames=2, clip_three_sigma=True).shape == (2, 2, 3, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Expected one of `time_window`.*Received: none of them"),
        ({"bins": 2, "event_count": 3}, "Received: event_count, bins"),
        ({"bins": 0}, "Expected `bins` to be a positive integer"),
        ({"event_count": 2, "start": 0}, "`start` is for windows of time"),
        ({"time_window": 5, "start": 9}, "The first event is at 3 µs, before start = 9"),
        ({"bins": 1, "method": "sum"}, "Unknown `method`"),
        ({"bins": 1, "incomplete": "pad"}, "Unknown `incomplete`"),
        ({"bins": 1, "frame_size": (0, 2)}, "`frame_size` to be a width and a height"),
    ],
)
def test_frames_that_cannot_be(options, message):
    found = events.as_events(x=[0], y=[0], t=[3], p=[1])
    with pytest.raises(ValueError, match=message):
        events.to_frames(found, (2, 2), **options)


def test_packets_that_cannot_be(rng):
    found = made_up(rng, 9)
    with pytest.raises(ValueError, match="Expected one of `time_window`"):
        events.packets(found)
    with pytest.raises(ValueError, match="`start` is for `time_window`"):
        events.packets(found, event_count=3, start=0)
    with pytest.raises(EventError, match=r"come behind events at .* Expected ascending times"):
        list(events.packets([found[5:], found[:5]], event_count=3))


def slow_frame(found, sensor, size, method, flip_x, flip_y, x_first, once):
    """One frame, event by event."""
    frame = np.zeros((*size, 2 if "channels" in method else 1))
    seen = set()
    for x, y, t, p in found.tolist():
        x = int(x * (size[0] - 1) / (sensor[0] - 1))
        y = int(y * (size[1] - 1) / (sensor[1] - 1))
        key = (x, y, t, True if method == "rectified_sum" else p)
        if once and key in seen:
            continue
        seen.add(key)
        x = size[0] - 1 - x if flip_x else x
        y = size[1] - 1 - y if flip_y else y
        frame[x, y, int(p) if "channels" in method else 0] += -1 if method.startswith("signed") and not p else 1
    return frame if x_first else np.swapaxes(frame, 0, 1)


@pytest.mark.parametrize("method", events.FRAME_METHODS)
def test_frames_against_a_slow_loop(rng, method):
    found = made_up(rng, 500, span=120)
    for flip_x, flip_y, x_first, once, size in [
        (0, 0, 0, 0, (12, 9)),
        (1, 0, 0, 1, (5, 4)),
        (0, 1, 1, 1, (5, 4)),
        (1, 1, 1, 0, (5, 4)),
    ]:
        options = {"flip_x": bool(flip_x), "flip_y": bool(flip_y), "x_first": bool(x_first)}
        frames = events.to_frames(
            found, (12, 9), event_count=200, method=method, frame_size=size, maxpool_subsampling=bool(once), **options
        )
        assert frames.dtype == np.float32
        for frame, start in zip(frames, (0, 200, 400), strict=True):
            expected = slow_frame(found[start : start + 200], (12, 9), size, method, once=once, **options)
            np.testing.assert_array_equal(frame, expected)


def counted(counts, p=1):
    """Events that make so many on each pixel of one row."""
    x = np.repeat(np.arange(len(counts)), np.abs(counts))
    polarity = np.repeat(np.asarray(counts) > 0, np.abs(counts))
    return events.as_events(x=x, y=0 * x, t=np.arange(len(x)), p=polarity)


@pytest.mark.parametrize(
    ("method", "counts", "expected"),
    [
        # Of 1, 1, 1, 9 the standard deviation is sqrt(12): limits of 10.4, 1.5 sigma around the mean 3 is at most 8.2.
        ("rectified_sum", [1, 1, 1, 9, 0], [1, 1, 1, 9, 0]),
        ("signed_sum", [1, 1, 1, 9, 0], [1, 1, 1, 8, 0]),
        # sqrt(3)/2 * 4 = 1.63 of 1, 1, 1, 1, 1, 1, 1, 6: limit 4.96.
        ("rectified_sum", [1] * 7 + [6], [1] * 7 + [5]),
        # Equal sums: snn_toolbox's limit is 0, ours at least 1.
        ("rectified_sum", [1, 1, 0], [1, 1, 0]),
        ("signed_sum", [-1, -1, 0], [-1, -1, 0]),
    ],
)
def test_sums_are_clipped(method, counts, expected):
    found = counted(counts)
    frames = events.to_frames(found, (len(counts), 1), event_count=len(found), method=method, clip_three_sigma=True)
    assert frames[0, 0, :, 0].tolist() == expected


def test_channels_are_clipped_each_for_itself():
    both = counted([1] * 7 + [6] + [-1, -1])
    for method, dark in (("rectified_polarity_channels", 1), ("signed_polarity_channels", -1)):
        frame = events.to_frames(both, (10, 1), event_count=len(both), method=method, clip_three_sigma=True)[0, 0]
        assert frame[:, 1].tolist() == [1] * 7 + [5, 0, 0]
        assert frame[:, 0].tolist() == [0] * 8 + [dark, dark]


def test_frames_of_a_recording_are_scaled_alike():
    assert events.scale_frames(np.array([[0.0, 2.0], [4.0, 1.0]])).tolist() == [[0.0, 0.5], [1.0, 0.25]]
    assert events.scale_frames(np.array([[-2.0, 4.0]])).tolist() == [[0.0, 1.5]]
    assert events.scale_frames(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]


def slow_timesteps(found, timesteps, size, width, method):
    """snn_toolbox's rule, event by event."""
    waiting, frames = found.tolist(), []
    for _ in range(timesteps):
        frame, left = np.zeros((size[1], size[0], 2 if "channels" in method else 1)), []
        begin, closed = waiting[0][2] if waiting else 0, False
        for x, y, t, p in waiting:
            place = (y, x, int(p) if "channels" in method else 0)
            if closed or frame[place]:
                left.append((x, y, t, p))
            else:
                frame[place] = -1 if method.startswith("signed") and not p else 1
            closed = closed or t - begin > width
        waiting = left
        frames.append(frame)
    return np.stack(frames)


@pytest.mark.parametrize("method", events.FRAME_METHODS)
def test_timesteps_against_a_slow_loop(rng, method):
    found = made_up(rng, 300, size=(5, 4), span=600)
    for width in (0, 10, 50):
        frames = events.to_timesteps(found, (5, 4), 40, frame_width=width, method=method)
        assert frames.dtype == np.int8
        np.testing.assert_array_equal(frames, slow_timesteps(found, 40, (5, 4), width, method))
    all_of_them = events.to_timesteps(found, (5, 4), 300, method=method)
    assert np.abs(all_of_them).sum() == 300


def test_timesteps_of_clipped_events():
    """A pixel shows its first events, as many as its clipped sum."""
    found = counted([1] * 7 + [6])
    frames = events.to_timesteps(found, (8, 1), 20, frame_width=0, method="rectified_sum", clip_three_sigma=True)
    assert frames.sum(axis=0)[0, :, 0].tolist() == [1] * 7 + [5]
    twice = events.as_events(x=[0, 1], y=[0, 0], t=[0, 0], p=[1, 0])
    subsampled = {"frame_size": (1, 1), "maxpool_subsampling": True}
    assert events.to_timesteps(twice, (3, 1), 3, method="rectified_sum", **subsampled).sum() == 1
    assert events.to_timesteps(twice, (3, 1), 3, **subsampled).sum() == 2


# Streams


@pytest.fixture(scope="module")
def model_snn():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((9, 12, 2)), *layers])
    x = np.random.default_rng(0).integers(0, 2, (20, 9, 12, 2)).astype(np.float32)
    return snn.convert_keras(model, x, input="frames", timesteps=4, threshold_rule="percentile")


def test_a_stream_is_a_simulation_of_its_frames(model_snn, rng):
    found = made_up(rng, 300)
    frames = np.minimum(events.to_frames(found, (12, 9), time_window=500, start=0), 2) * np.float32(0.5)
    expected = model_snn.simulate(frames[None], timesteps=len(frames)).outputs[:, 0]
    stream = events.EventStream(model_snn, (12, 9), largest=2, scale=0.5)
    for _ in range(2):
        np.testing.assert_array_equal(list(stream.run(found, time_window=500, start=0)), expected)
    stream.reset()
    packets = list(events.packets(found, time_window=500, start=0))
    np.testing.assert_array_equal([stream.step(packet) for packet in packets], expected)


def test_streams_do_not_go_on_with_the_state_of_another(model_snn, rng):
    found = made_up(rng, 20)
    first, second = events.EventStream(model_snn, (12, 9)), events.EventStream(model_snn, (12, 9))
    first.step(found)
    second.step(found)
    with pytest.raises(RuntimeError, match="Another stream has used this network"):
        first.step(found)
    first.reset()
    first.step(found)
    with pytest.raises(ValueError, match="Unknown `method`"):
        events.EventStream(model_snn, (12, 9), method="sum")


def test_recordings_of_nmnist(data_dir):
    recordings = events.read_recordings(data_dir / "nmnist_test_100.npz")
    assert len(recordings) == 100
    assert sum(len(recording.events) for recording in recordings) == 385_596
    assert {int(recording.label) for recording in recordings} == set(range(10))
    for recording in recordings[:3]:
        frames = events.to_frames(recording.events, (34, 34), time_window=10_000, start=0)
        assert frames.sum() == len(recording.events)


class TestHostileWindows:
    def test_times_out_of_order_within_an_array(self):
        found = events.as_events(x=[0, 0, 0], y=[0, 0, 0], t=[0, 5, 50], p=[1, 1, 1])
        with pytest.raises(events.EventError, match=r"Event 2 is at 5 µs, the one before it at 50"):
            list(events.packets(found[[0, 2, 1]], time_window=10))
        with pytest.raises(events.EventError, match=r"arrays of `EVENT_DTYPE`.*Received: list"):
            list(events.packets([[1, 2]], time_window=10))

    def test_distant_events_do_not_make_billions_of_windows(self):
        found = events.as_events(x=[0, 0], y=[0, 0], t=[0, 2**50], p=[1, 1])
        for cut in (events.packets, lambda found, **window: events.to_frames(found, (1, 1), **window)):
            with pytest.raises(events.EventError, match=r"There would be .* windows of 1 µs"):
                list(cut(found, time_window=1))
        with pytest.raises(events.EventError, match="too long to be divided into 10000000 bins"):
            events.to_frames(found, (1, 1), bins=10**7)

    @pytest.mark.parametrize("start", ["now", 1.5, True])
    def test_a_start_is_a_whole_number(self, start):
        found = events.as_events(x=[0], y=[0], t=[3], p=[1])
        with pytest.raises(ValueError, match="`start` to be a whole number of microseconds"):
            list(events.packets(found, time_window=10, start=start))

    def test_a_frame_s_width_is_a_whole_number(self):
        found = events.as_events(x=[0], y=[0], t=[3], p=[1])
        with pytest.raises(events.EventError, match=r"`frame_width` to be a whole number.*Received: frame_width=-1"):
            events.to_timesteps(found, (1, 1), 3, frame_width=-1)


def test_an_event_that_is_late_where_time_begins_anew_stays_near():
    found = aedat._unwrapped(np.array([2**32 - 6, 5, 2**32 - 5, 6], np.int64))
    assert (found - found[0]).tolist() == [0, 11, 1, 12]
