"""The sections of the settings that say what comes out: several runs, figures and recordings, files to deploy."""

import dataclasses
from typing import Any

from snn_toolbox_tf.config import lists, values
from snn_toolbox_tf.config.section import Section, setting

#: Variables to keep, by snn_toolbox's name.
LOG_VARIABLES = ("activations_n_b_l", "spiketrains_n_b_l_t", "mem_n_b_l_t", "synaptic_operations_b_t")
#: The plots of the report that each of snn_toolbox's names asks for; the report's own names mean themselves.
PLOTS = {
    "error_t": ("accuracy", "error"),
    "early_exit": ("early_exit",),
    "spikerates": ("firing_rates",),
    "spikecounts": ("rate_histograms",),
    "hist_spikerates_activations": ("rate_histograms",),
    "activations": ("correlation",),
    "normalization_activations": ("correlation",),
    "correlation": ("correlation",),
    "operations": ("operations",),
    "spiketrains": ("raster",),
    "v_mem": ("membrane",),
    "confusion_matrix": ("confusion",),
    "input_image": ("input",),
    "outputs": ("outputs",),
}
#: Hardware that energy can be estimated for, see `snn_toolbox_tf.costs.HARDWARE`.
HARDWARE = ("45nm", "45nm-fp16", "45nm-int8", "loihi", "spinnaker", "spinnaker2")
FORMATS = ("serving", "nir", "tflite", "keras")


@dataclasses.dataclass(frozen=True)
class ParameterSweep(Section):
    """One run per value of one setting."""

    param_name: str = setting(
        "v_thresh", values.text("a key"), "The setting to vary: any key of the other sections.", "nothing"
    )
    param_values: tuple[Any, ...] = setting(
        (), lists.sweep_values(), "The values to run; no sweep if empty.", "nothing"
    )
    param_logscale: bool = setting(False, values.boolean(), "Plot with a logarithmic axis.", "nothing")


@dataclasses.dataclass(frozen=True)
class Output(Section):
    """What is kept and shown."""

    plot_vars: tuple[str, ...] = setting(
        ("all",),
        lists.names(values.same("all", *PLOTS), "plots of the report"),
        "Plots of the report; {} for none.",
        "nothing",
    )
    log_vars: tuple[str, ...] = setting(
        (),
        lists.names(values.same("all", *LOG_VARIABLES), "variables to keep"),
        "What to keep of all samples, in recordings/.",
        "simulation",
    )
    sample_to_plot: int = setting(
        0, values.integer(0), "The tested sample that raster and membrane plots show.", "nothing"
    )
    neurons_to_plot: tuple[str, ...] = setting(
        (),
        lists.names(None, "neurons as population/index"),
        "Neurons of the membrane plot, as population/flat index (conv1_relu/17); some of each population if empty.",
        "nothing",
    )
    energy: tuple[str, ...] = setting(
        ("45nm",),
        lists.names(values.same(*HARDWARE), "hardware"),
        "Hardware that the report estimates energy for; {} for none.",
        "nothing",
    )
    energy_memory: bool = setting(
        True,
        values.boolean(),
        "Whether accesses to memory count in it, for hardware whose figures leave them out.",
        "nothing",
    )
    verbose: int = setting(1, values.integer(0, 3), "0: no progress; 1 or more: progress.", "nothing")
    overwrite: bool = setting(
        False,
        values.boolean(),
        "Whether a finished run of this folder, or a file that is exported to, may be replaced.",
        "nothing",
    )


@dataclasses.dataclass(frozen=True)
class Export(Section):
    """What the network is written as, for use elsewhere: by `export`, and at the end of `run` if a format is given."""

    export_format: str | None = setting(
        None,
        values.optional(values.choice(values.same(*FORMATS))),
        "serving (a version for TensorFlow Serving), nir, tflite or keras. `--format` is understood, too.",
        "nothing",
        alias="format",
    )
    export_path: str = setting(
        "",
        values.text(),
        "File, or for serving the folder of the model's versions; path_wd/serving/<filename_snn> or "
        "path_wd/<filename_snn>.<format> if empty.",
        "nothing",
    )
    export_version: int | None = setting(
        None, values.integer(1, optional=True), "Number of the version for serving; the next one if empty.", "nothing"
    )
    export_timesteps: tuple[int, ...] = setting(
        (),
        lists.integers(1, "a list of numbers of timesteps from 1 on"),
        "Timesteps of the export; those of the network if empty. tflite takes one number; for serving the first is the "
        "default, and each gets a signature.",
        "nothing",
    )
    exit_confidence: float | None = setting(
        None,
        values.optional(values.number(0, 1)),
        "For serving: samples exit early once their class is this probable; never if empty.",
        "nothing",
    )
    closed_form: bool = setting(
        False,
        values.boolean(),
        "For serving: a signature that computes the layer-synchronous run in one pass.",
        "nothing",
    )
    warmup_samples: int = setting(
        0,
        values.integer(0, 64, expected="a whole number from 0 to 64, the largest batch of a server"),
        "For serving: samples of x_test.npz in requests that the server runs before it answers any; 0: none.",
        "nothing",
    )
