"""The settings of events of event cameras as input. snn_toolbox has them in [input], and so they are there."""

import dataclasses
from typing import Any

from snn_toolbox_tf.config import lists, values
from snn_toolbox_tf.config.section import Section, setting
from snn_toolbox_tf.config.values import InvalidValue, Kind, parsed

#: Named here once more, because the command line answers before what does them is imported; a test holds both together.
FRAME_METHODS = ("signed_sum", "rectified_sum", "rectified_polarity_channels", "signed_polarity_channels")


def _size() -> Kind:
    """A width and a height, written `(240, 180)`; kept as a tuple."""
    expected = "a width and a height in pixels, such as (240, 180)"

    def check(value: Any) -> tuple[int, int]:
        whole = isinstance(value, (tuple, list)) and len(value) == 2
        if not whole or not all(type(item) is int and item > 0 for item in value):
            raise InvalidValue(expected, value)
        return (value[0], value[1])

    def read(text: str) -> list[int]:
        return [parsed(item, expected, int) for item in lists.split(text, expected)]

    return Kind(expected, "SIZE", check, read, lambda value: f"({value[0]}, {value[1]})")


@dataclasses.dataclass(frozen=True)
class EventInput(Section):
    """What becomes of events."""

    dataset_format: str = setting(
        "npz",
        values.choice(values.same("npz", "aedat")),
        "aedat: dataset_path has a folder per class, with recordings of an event camera (.aedat of version 1.0 or 2.0, or "
        ".bin of N-MNIST). npz: x_test.npz; it may hold events as well (x, y, t, p, offsets, labels).",
        "data",
    )
    accumulate_events: bool = setting(
        False,
        values.boolean(),
        "With dataset_format = aedat: the sum of a sample's events is the input at all timesteps, as it is with Poisson "
        "input. False: a frame of spikes per timestep. Events of x_test.npz are summed unless frame_input = True.",
        "data",
    )
    num_dvs_events_per_sample: int = setting(
        2000,
        values.integer(1),
        "So many events of a recording, one behind the other, are a sample; what is left over at its end is not used, "
        "unless it is all.",
        "data",
    )
    eventframe_width: int = setting(
        10, values.integer(0), "What the events of one timestep span, in microseconds of their own time.", "data"
    )
    label_dict: tuple[tuple[str, int], ...] = setting(
        (),
        lists.named_integers(0, "classes by folder, such as apples: 0, oranges: 1"),
        "The class of each folder; in the order of their names if empty.",
        "data",
    )
    chip_size: tuple[int, int] | None = setting(
        None,
        values.optional(_size()),
        "Width and height of the sensor; events outside are left out, and pixels become those of the network's input. "
        "Without it they are those of the chip that a file names, or the input's.",
        "data",
    )
    frame_gen_method: str = setting(
        "rectified_polarity_channels",
        values.choice(values.same(*FRAME_METHODS)),
        "How events add up: +1 or -1 by polarity (signed), or +1 (rectified); in one channel (sum), or in one for each "
        "polarity (polarity_channels).",
        "data",
    )
    is_x_first: bool = setting(True, values.boolean(), "The first axis of the input is x.", "data")
    is_x_flipped: bool = setting(False, values.boolean(), "Mirror x, as it is stored.", "data")
    is_y_flipped: bool = setting(False, values.boolean(), "Mirror y, as it is stored.", "data")
    maxpool_subsampling: bool = setting(
        True, values.boolean(), "Of events with the same pixel of the input, time and polarity, one counts.", "data"
    )
    do_clip_three_sigma: bool = setting(
        True,
        values.boolean(),
        "Clip the sums of a sample to three standard deviations of those that are not 0.",
        "data",
    )
