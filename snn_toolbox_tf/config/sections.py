"""The sections of the settings: every key with its kind, default and meaning.

Sections and keys are those of snn_toolbox where they mean the same.
"""

import dataclasses
import math
from typing import Any

from snn_toolbox_tf.config import lists, values
from snn_toolbox_tf.config.calibration_sections import GradientCalibration, Normalization
from snn_toolbox_tf.config.cell import Cell
from snn_toolbox_tf.config.event_input import EventInput
from snn_toolbox_tf.config.output_sections import Export, Output, ParameterSweep
from snn_toolbox_tf.config.section import Section, setting
from snn_toolbox_tf.config.study_section import Study

SPIKE_CODES = {"temporal_mean_rate": "temporal_mean_rate", "rate": "temporal_mean_rate", "latency": "latency"}
MAX_POOLINGS = {
    **values.same("accumulated", "winner_take_all", "lateral_inhibition"),
    "fir_max": "winner_take_all",
}
#: Named here once more, because the command line answers before what does them is imported; a test holds both together.
TASKS = ("classes", "regression", "segmentation", "boxes")
#: In place of a number of timesteps or a task: it is to be found.
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Paths(Section):
    """Where things are. Relative paths start at the configuration file's folder, or at the working directory without one."""

    path_wd: str = setting("", values.text(), "Folder of the model; the configuration file's folder if empty.", "files")
    dataset_path: str = setting(
        "", values.text(), "Folder of x_test.npz, y_test.npz and x_norm.npz; path_wd if empty.", "files"
    )
    filename_ann: str = setting(
        "", values.text(), "The trained Keras model, with or without .keras or .h5. Required.", "files"
    )
    filename_snn: str = setting(
        "",
        values.text(),
        "Name of the converted network, written as <name>.keras; <filename_ann>_snn if empty.",
        "files",
    )
    log_dir_of_current_run: str = setting(
        "", values.text(), "Folder of the run; path_wd/<runlabel> if empty.", "nothing"
    )
    runlabel: str = setting(
        "", values.label(), "Name of the run; that of the converted network, <filename_snn>, if empty.", "nothing"
    )


@dataclasses.dataclass(frozen=True)
class Input(EventInput):
    """How the input is encoded, and what becomes of events. By default it is a constant (analog) current."""

    poisson_input: bool = setting(
        False,
        values.boolean(),
        "Spike trains: x spikes with probability min(|x| / largest |x| of the calibration data, 1).",
        "data",
    )
    frame_input: bool = setting(
        False, values.boolean(), "The data has a frame per timestep, [samples, timesteps, ...].", "data"
    )


@dataclasses.dataclass(frozen=True)
class Tools(Section):
    """Which stages run, and where."""

    evaluate_ann: bool = setting(True, values.boolean(), "Evaluate the source network on the same samples.", "data")
    normalize: bool = setting(
        True,
        values.boolean(),
        "Take thresholds from x_norm.npz; False: from batch-norm statistics and weights, which is worse.",
        "calibration",
    )
    convert: bool = setting(True, values.boolean(), "Convert; False: load path_wd/<filename_snn>.keras.", "data")
    simulate: bool = setting(True, values.boolean(), "Simulate the spiking network.", "data")
    executor: str = setting(
        "local",
        values.choice(values.same("local", "ray")),
        "What runs batches of samples, or the runs of a sweep, side by side: this process alone (local), or workers of Ray "
        "on this machine or a cluster (ray). Results are the same to the last bit.",
        "nothing",
    )
    workers: int | None = setting(
        None,
        values.integer(1, optional=True),
        "Number of workers of executor = ray; one per CPU of the cluster if empty.",
        "nothing",
    )


@dataclasses.dataclass(frozen=True)
class Simulation(Section):
    """The simulation."""

    duration: float | str = setting(
        32.0,
        values.or_word(values.positive(), AUTO),
        "Length in ms; the number of timesteps T is duration / dt. auto: the smallest T that suffices is found while the "
        "network is converted, see tolerance. Python's name `timesteps`, for T itself, is understood, too.",
        "data",
        alias="timesteps",
    )
    tolerance: float | None = setting(
        None,
        values.optional(values.number(0, 1, open_high=True)),
        "With duration = auto: the share of decisions on samples of x_norm.npz that may differ from the source's; 0.01 if "
        "empty.",
        "conversion",
    )
    dt: float = setting(1.0, values.positive(), "Length of a timestep in ms.", "data")
    num_to_test: int | None = setting(
        None, values.integer(1, optional=True), "Number of test samples, the first ones; all if empty.", "data"
    )
    sample_idxs_to_test: tuple[int, ...] = setting(
        (),
        lists.integers(0, "a list of sample indices from 0 on"),
        "Indices of the test samples, in place of the first ones.",
        "data",
    )
    batch_size: int = setting(32, values.integer(1), "Samples that run at once. Speed and memory only.", "nothing")
    top_k: int = setting(
        1, values.integer(1), "A sample is correct if its class is among the k largest outputs.", "data"
    )
    task: str | tuple[tuple[str, str], ...] = setting(
        AUTO,
        lists.word_or_named(
            (AUTO, *TASKS),
            "auto, classes, regression, segmentation or boxes, or these by output: label: classes, box: boxes",
        ),
        "What outputs stand for, and so what is measured; auto: y_test.npz, the loss and the output's activation decide.",
        "data",
    )
    seed: int = setting(
        0, values.integer(0, 2**62 - 1, expected="an integer in [0, 2**62)"), "Seed of Poisson input.", "simulation"
    )
    schedule: str = setting(
        "step",
        values.choice(values.same("step", "layer_synchronous")),
        "layer_synchronous: integrate all timesteps, then fire. A network is calibrated for its schedule.",
        "simulation",
    )
    block_length: int | None = setting(
        None,
        values.integer(1, optional=True),
        "Timesteps that a synapse handles at once; chosen if empty. Speed only.",
        "nothing",
    )
    engine: str = setting(
        "auto",
        values.choice(values.same("auto", "dense", "event")),
        "What runs layers that read spikes: Keras (dense), kernels for spikes (event), what is faster (auto). Speed only.",
        "nothing",
    )


@dataclasses.dataclass(frozen=True)
class Conversion(Section):
    """How layers are converted."""

    maxpool_type: str = setting(
        "accumulated",
        values.choice(MAX_POOLINGS),
        "accumulated (exact in the limit of many timesteps), winner_take_all (spikes of the neuron that fires most), which "
        "snn_toolbox calls fir_max, or lateral_inhibition (spikes of the neuron that fires first). Python's name "
        "`max_pooling` is understood, too.",
        "calibration",
        alias="max_pooling",
    )
    spike_code: str = setting(
        "temporal_mean_rate",
        values.choice(SPIKE_CODES),
        "What spikes say: temporal_mean_rate, or rate (their number); or latency (the time of the one spike of a neuron). "
        "Python's name `code` is understood, too.",
        "calibration",
        alias="code",
    )
    window_timesteps: int | None = setting(
        None,
        values.integer(1, optional=True),
        "With spike_code = latency: S, the number of timesteps of each population's window; continuous time if empty.",
        "conversion",
    )
    window_headroom: float | None = setting(
        None,
        values.optional(values.number(1, math.inf, expected="a number of at least 1")),
        "With spike_code = latency: length of a window in units of the largest activation of x_norm.npz; 2 in continuous "
        "time and 1 with timesteps if empty.",
        "conversion",
    )
    softmax: str = setting(
        "decoded",
        values.choice(values.same("decoded", "spiking")),
        "A softmax at an output is applied to the decoded output (decoded), or draws a neuron to spike at each timestep.",
        "conversion",
    )
    bias: str = setting(
        "current",
        values.choice(values.same("current", "neuron")),
        "Biases are constant currents, or one neuron that fires at a constant rate feeds them through weights.",
        "conversion",
    )
    bias_rate: float = setting(
        1.0,
        values.number(0, 1, open_low=True),
        "With bias = neuron: spikes per timestep of that neuron, 1 / k with an integer k.",
        "conversion",
    )
    weight_bits: int | str | None = setting(
        None,
        values.optional(values.or_word(values.or_word(values.integer(1, 16), "ternary"), "binary")),
        "Bits of each weight, from 1 to 16, ternary (2) or binary (1): a whole number times a scale of its output channel. "
        "Thresholds and corrections are found for these weights, on x_norm.npz. Not rounded to few bits if empty.",
        "conversion",
    )


SECTIONS: dict[str, type[Section]] = {
    section.name(): section
    for section in (
        Paths,
        Input,
        Tools,
        Normalization,
        GradientCalibration,
        Conversion,
        Simulation,
        Cell,
        ParameterSweep,
        Output,
        Export,
        Study,
    )
}


def affects(key: str) -> str:
    """Returns what depends on a setting first, see `setting`."""
    return fields_of(SECTION_OF[key])[key].metadata["affects"]


def fields_of(section: str) -> dict[str, dataclasses.Field[Any]]:
    """Returns a section's fields by key."""
    return {field.name: field for field in dataclasses.fields(SECTIONS[section])}


#: The section of every key; keys are unique over all sections.
SECTION_OF: dict[str, str] = {key: section for section in SECTIONS for key in fields_of(section)}

#: The key that each of Python's names stands for.
ALIASES: dict[str, str] = {
    field.metadata["alias"]: key
    for section in SECTIONS
    for key, field in fields_of(section).items()
    if field.metadata["alias"]
}
