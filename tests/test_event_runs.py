"""Runs on events: snn_toolbox's DVS settings, files of several formats, what is wrong with them."""

import struct

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf import events
from snn_toolbox_tf.config import read_value
from snn_toolbox_tf.config.event_input import FRAME_METHODS
from snn_toolbox_tf.experiment.event_samples import event_samples
from snn_toolbox_tf.experiment.preparation import prepare
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking

SIZE = 8


def recording(side, count, seed):
    """Events in the left half of the sensor, or in the right."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, SIZE // 2, count) + side * (SIZE // 2)
    t = np.sort(rng.integers(0, 2000, count))
    return events.as_events(x=x, y=rng.integers(0, SIZE, count), t=t, p=rng.integers(0, 2, count))


def nmnist_bytes(found):
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, t, p in found.tolist())


def davis_bytes(found):
    header = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n"
    return header + b"".join(struct.pack(">II", y << 22 | x << 12 | p << 11, t) for x, y, t, p in found.tolist())


def build(shape=(SIZE, SIZE, 2)):
    """A network that says which half has more events."""
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(2, "relu", use_bias=False),
        keras.layers.Dense(2, use_bias=False),
    ]
    model = keras.Sequential([keras.Input(shape), *layers], name="halves")
    kernel = np.zeros((*shape, 2), np.float32)
    columns = (slice(None),) * shape.index(SIZE)  # x is the first axis
    kernel[(*columns, slice(0, SIZE // 2), ..., 0)] = 0.1
    kernel[(*columns, slice(SIZE // 2, SIZE), ..., 1)] = 0.1
    model.layers[1].set_weights([kernel.reshape(-1, 2)])
    model.layers[2].set_weights([np.eye(2, dtype=np.float32)])
    return model


def graph_of(model):
    return to_spiking(parse(model).graph, "accumulated")


@pytest.fixture
def folder(tmp_path):
    """A folder per class: recordings of N-MNIST's format on the left, of a DAVIS on the right, and calibration data."""
    for side, name, suffix, write in ((0, "left", "bin", nmnist_bytes), (1, "right", "aedat", davis_bytes)):
        (tmp_path / name).mkdir()
        for number, count in enumerate((250, 90, 210)):
            (tmp_path / name / f"{number}.{suffix}").write_bytes(write(recording(side, count, 10 * side + number)))
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "x_norm.npz", rng.random((40, SIZE, SIZE, 2), dtype=np.float32))
    build().save(tmp_path / "net.keras")
    return tmp_path


INI = f"""
[paths]
filename_ann = net
[input]
dataset_format = aedat
label_dict = {{'left': '0', 'right': '1'}}
chip_size = ({SIZE}, {SIZE})
num_dvs_events_per_sample = 100
eventframe_width = 10
maxpool_subsampling = False
do_clip_three_sigma = False
[simulation]
duration = 200
[normalization]
threshold_rule = percentile
"""


def settings_of(folder, text=INI, **changes):
    (folder / "run.ini").write_text(text)
    return snn.read_settings(folder / "run.ini").replace(**changes)


@pytest.mark.usefixtures("undrawn")
def test_a_run_on_recordings_in_folders(folder):
    """250, 90 and 210 events are 2, 1 and 2 samples of 100."""
    settings = settings_of(folder)
    assert settings.input_mode == "frames"
    run = snn.run(settings)
    (output,) = run.simulated.outputs
    assert run.simulated.samples == 10
    assert output.ann_accuracy == 1
    assert output.accuracy[-1] == 1


@pytest.mark.parametrize(
    ("changes", "mode"),
    [({"accumulate_events": True}, "analog"), ({"poisson_input": True}, "poisson"), ({"frame_input": True}, "frames")],
)
def test_how_events_come_in(folder, changes, mode):
    settings = settings_of(folder, **changes)
    assert settings.input_mode == mode
    samples = prepare(settings).samples
    shape = next(iter(samples.x.values())).shape
    assert shape == ((10, 200, SIZE, SIZE, 2) if mode == "frames" else (10, SIZE, SIZE, 2))


def test_samples_are_those_of_the_events(folder):
    found = event_samples(settings_of(folder), graph_of(build()))
    assert found.y.tolist() == [0] * 5 + [1] * 5
    first = recording(0, 250, 0)
    options = {"x_first": True}
    frames = events.to_frames(first, (SIZE, SIZE), event_count=100, incomplete="drop", **options)
    np.testing.assert_array_equal(found.summed[:2, 0], events.scale_frames(frames))
    thin = events.to_timesteps(first[100:200], (SIZE, SIZE), 200, frame_width=10, **options)
    np.testing.assert_array_equal(found.x[1], thin)
    assert thin.sum() == 100


def test_fewer_samples_read_fewer_files(folder):
    (folder / "left" / "2.bin").write_bytes(b"123")
    assert len(prepare(settings_of(folder, num_to_test=3)).samples) == 3
    assert prepare(settings_of(folder, sample_idxs_to_test=(2, 0))).samples.indices.tolist() == [2, 0]
    with pytest.raises(snn.ConfigurationError, match=r"2.bin' has 3 bytes"):
        prepare(settings_of(folder, num_to_test=4))


def test_networks_with_channels_first_and_one_channel(folder):
    settings = settings_of(folder, frame_gen_method="signed_sum")
    first = event_samples(settings, graph_of(build((SIZE, SIZE, 1))))
    second = event_samples(settings, graph_of(build((1, SIZE, SIZE))))
    np.testing.assert_array_equal(np.moveaxis(first.x, -1, 2), second.x)
    with pytest.raises(snn.ConfigurationError, match=r"frames with 1 channel.*Received inputs: \[\(8, 8, 2\)\]"):
        event_samples(settings, graph_of(build()))


def test_settings_arrive(folder):
    """Each as the argument that it is for."""
    given = {"is_x_first": False, "is_x_flipped": True, "is_y_flipped": True, "maxpool_subsampling": True}
    settings = settings_of(folder, do_clip_three_sigma=True, frame_gen_method="signed_polarity_channels", **given)
    found = event_samples(settings, graph_of(build()))
    options = {"flip_x": True, "flip_y": True, "maxpool_subsampling": True, "clip_three_sigma": True}
    part = recording(0, 250, 0)[:100]
    expected = events.to_timesteps(part, (SIZE, SIZE), 200, method="signed_polarity_channels", **options)
    np.testing.assert_array_equal(found.x[0], expected)


def test_events_outside_the_chip_are_left_out_and_said(folder):
    found = event_samples(settings_of(folder, chip_size=(SIZE, SIZE - 1)), graph_of(build()))
    assert any("events lie outside the sensor ([input] chip_size) and were left out" in note for note in found.notes)
    short = event_samples(settings_of(folder, duration=2), graph_of(build()))
    assert "10 of 10 samples have events up to their last timestep" in short.notes[-1]
    (folder / "left" / "0.bin").write_bytes(nmnist_bytes(events.as_events(x=[9], y=[0], t=[0], p=[1])))
    with pytest.raises(snn.ConfigurationError, match="has no events on a sensor of 8 x 8 pixels"):
        prepare(settings_of(folder))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("labels", ["inside", "beside"])
def test_a_run_on_an_npz_of_events(folder, labels):
    parts = [recording(side, 200, side) for side in (0, 1, 0)]
    both = np.concatenate(parts)
    arrays = {name: both[name] for name in ("x", "y", "t", "p")}
    if labels == "inside":
        arrays["labels"] = np.array([0, 1, 0])
    else:
        np.savez(folder / "y_test.npz", np.eye(2)[[0, 1, 0]])
    for name in ("x_test", "x_norm"):
        np.savez(folder / f"{name}.npz", offsets=[0, 200, 400, 600], **arrays)
    settings = settings_of(folder, INI.replace("dataset_format = aedat", ""), frame_input=labels == "beside")
    (output,) = snn.run(settings).simulated.outputs
    assert output.accuracy[-1] == output.ann_accuracy == 1
    np.savez(folder / "y_test.npz", [0, 1])
    np.savez(folder / "x_test.npz", offsets=[0, 200, 400, 600], **{k: v for k, v in arrays.items() if k != "labels"})
    with pytest.raises(snn.ConfigurationError, match=r"has 2 labels, and .* 3 recordings"):
        prepare(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_dict": {"left": 0}}, r"a folder per class.*not in label_dict: \['right'\]"),
        ({"label_dict": {"left": 0, "up": 1, "right": 2}}, r"Without recordings: \['up'\]"),
        ({"dataset_path": "nowhere", "normalize": False, "threshold_rule": None}, "folders: none"),
        ({"accumulate_events": True, "frame_input": True}, "accumulate_events and frame_input exclude each other"),
        ({"duration": "auto"}, "finds the number of timesteps for constant or Poisson input.*dataset_format = aedat"),
        ({"chip_size": (0, 3)}, "chip_size: Expected a width and a height in pixels"),
        ({"frame_gen_method": "sum"}, "frame_gen_method: Expected one of 'signed_sum'"),
        ({"num_to_test": 11}, "num_to_test = 11, but x_test has only 10 samples"),
        ({"label_dict": {"left": 0, "right": 5}}, "class indices from 0 to 1"),
    ],
)
def test_what_does_not_go_together(folder, changes, message):
    with pytest.raises(snn.ConfigurationError, match=f"(?s){message}"):
        prepare(settings_of(folder, **changes))


def test_chips_of_files_that_name_none(folder):
    path = folder / "right" / "0.aedat"
    path.write_bytes(path.read_bytes().replace(b"# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n", b""))
    assert len(prepare(settings_of(folder)).samples) == 10
    with pytest.raises(snn.ConfigurationError, match=r"does not say which chip it is of.*chip_size says which one"):
        prepare(settings_of(folder, chip_size=None))


def test_names_of_methods_are_the_same_everywhere():
    assert events.FRAME_METHODS == FRAME_METHODS
    assert read_value("chip_size", "(240, 180)") == (240, 180)
    assert read_value("chip_size", "None") is None
    assert read_value("label_dict", "{'a b': '1', 'c': 0}") == (("a b", 1), ("c", 0))
