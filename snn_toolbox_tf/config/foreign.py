"""Keys of snn_toolbox that have no counterpart here, and what serves instead."""

import dataclasses

from snn_toolbox_tf.config.lists import split
from snn_toolbox_tf.config.values import InvalidValue

_HARDWARE = (
    "it belongs to another simulator. Here simulator = INI runs everything, also neurons with time constants, which pyNN "
    "has ([cell] neuron, tau_m, tau_ref, tau_s); the way to other simulators and to neuromorphic hardware is an exported "
    "network ([export] export_format = nir)"
)
_NO_FILTER = (
    "currents are not filtered, as in snn_toolbox's INI simulator; the key for a filter of all currents is tau_s"
)
_ONLINE = "thresholds come from all calibration data at once ([normalization] percentile); remove the key"
_OTHER_DATA = "data is read from npz files; convert it once with NumPy (x_test.npz, y_test.npz, x_norm.npz)"


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """A key of snn_toolbox that is read, but not used.

    Attributes:
        harmless: Values that ask for what is done here anyway. None: any value, because the key only matters together with
            another one.
        answer: What serves instead.
        refused: Whether any other value is an error, because it would change the result; otherwise it is a note.
    """

    harmless: tuple[str, ...] | None
    answer: str
    refused: bool = True


def _off(answer: str, refused: bool = True) -> ForeignKey:
    return ForeignKey(("False",), answer, refused)


def _empty(answer: str, refused: bool = True) -> ForeignKey:
    return ForeignKey(("", "{}", "[]", "None"), answer, refused)


FOREIGN_KEYS: dict[str, dict[str, ForeignKey]] = {
    "paths": {
        "filename_parsed_model": ForeignKey(None, "the parsed network is not written; the converted one is"),
        "filename_clamp_indices": _empty("clamping is not needed: initial potentials are set with [cell] v0"),
        "filepath_custom_objects": _empty(
            "custom layers cannot be converted; load the model in Python and pass it to `snn.run(settings, model=model)`"
        ),
        "class_idx_path": _empty("classes are numbered as in y_test.npz", refused=False),
    },
    "input": {
        "model_lib": ForeignKey(("keras",), "models are Keras models: port the network to Keras and copy the weights"),
        "datagen_kwargs": _empty(_OTHER_DATA),
        "dataflow_kwargs": _empty(_OTHER_DATA),
        "input_rate": ForeignKey(
            ("1000",),
            "a Poisson spike stands for the largest input, with probability 1 per timestep; remove the key",
        ),
        "num_poisson_events_per_sample": ForeignKey(("-1",), "Poisson input lasts as long as the run; set duration"),
        "keras_dataset": _empty("save the data set once as x_test.npz, y_test.npz and x_norm.npz"),
    },
    "tools": {
        "parse": ForeignKey(("True",), "parsing takes a moment and is part of every conversion", refused=False),
        "serialise_only": _off("`snn-toolbox-tf convert` converts and writes the network without a run"),
    },
    "normalization": {
        "normalization_schedule": _off(_ONLINE),
        "online_normalization": _off(_ONLINE),
        "diff_to_max_rate": ForeignKey(None, _ONLINE),
        "diff_to_min_rate": ForeignKey(None, _ONLINE),
        "timestep_fraction": ForeignKey(None, _ONLINE),
    },
    "conversion": {
        "softmax_to_relu": _off(
            "softmax is applied to the decoded output and changes no decision; softmax = spiking draws spikes by it",
            refused=False,
        ),
        "append_softmax": _off("decisions are taken from the decoded output and need no softmax", refused=False),
        "max2avg_pool": _off(
            "max pooling is exact in the limit of many timesteps and needs no replacement; remove the key"
        ),
        "num_bits": ForeignKey(None, "it belongs to spike_code = temporal_pattern"),
    },
    "simulation": {
        "simulator": ForeignKey(("INI",), _HARDWARE),
        "reset_between_nth_sample": ForeignKey(
            ("1",), "every sample starts from the initial state; `SpikingModel.step` keeps it between calls"
        ),
        "keras_backend": ForeignKey(("tensorflow",), "Keras runs on TensorFlow"),
        "early_stopping": _off("all timesteps are simulated; the report shows when the answer is there"),
    },
    "cell": {
        "tau_refrac": ForeignKey(
            None, "it is read as tau_ref, less the timestep of the spike, with refractory_input = lost"
        ),
        "cm": ForeignKey(
            ("1",), "currents are charges per timestep, and the membrane's capacity is 1; remove the key", refused=False
        ),
        "tau_syn_E": ForeignKey(("0.01",), _NO_FILTER, refused=False),
        "tau_syn_I": ForeignKey(("0.01",), _NO_FILTER, refused=False),
        "delay": ForeignKey(("0",), "spikes arrive in the same timestep"),
        "binarize_weights": _off("binarize the weights of the Keras model before converting it"),
        "quantize_weights": _off("quantize the weights of the Keras model before converting it"),
        "scaling_factor": ForeignKey(None, _HARDWARE),
        "payloads": _off("spikes carry no payloads; soft reset keeps the remainder instead"),
        "leak": _off("the key for neurons that leak is neuron = leaky_integrate_and_fire, with tau_m"),
        "bias_relaxation": _off("biases are constant currents"),
    },
    "output": {
        "use_simple_labels": ForeignKey(None, "plots have one style"),
        "plotproperties": _empty("plots have one style; tables/*.csv and report.json have the numbers", refused=False),
    },
}

#: Values of our own keys that snn_toolbox has and this package has not.
FOREIGN_VALUES: dict[tuple[str, str], dict[str, str]] = {
    ("input", "dataset_format"): {"jpg": _OTHER_DATA},
    ("conversion", "maxpool_type"): dict.fromkeys(
        ("exp_max", "avg_max"), "use fir_max (winner_take_all), whose winner has most spikes since the start"
    ),
    ("conversion", "spike_code"): {
        **dict.fromkeys(
            ("ttfs", "ttfs_dyn_thresh", "ttfs_corrective"),
            "use latency, whose spikes come in windows that follow each other, and which is exact",
        ),
        "temporal_pattern": "use latency with window_timesteps: one spike at one of S timesteps in place of a pattern",
    },
    ("cell", "reset"): {"Reset by modulo": "use 'Reset by subtraction': at most one spike per timestep is subtracted"},
    ("output", "log_vars"): {
        "input_b_l_t": "the input is in x_test.npz, and Poisson spikes follow from [simulation] seed",
        "neuron_operations_b_t": "neurons are updated at every timestep: the number of neurons, in tables/populations.csv",
    },
}

#: Sections that belong to other simulators.
FOREIGN_SECTIONS = (
    "spinnaker",
    "loihi",
    "nest",
    "brian2",
    "pyNN",
    "megasim",
    "MegaSim",
    "lava",
    "restrictions",
    "initial",
)


def foreign_section(name: str) -> str:
    """Returns why a section of another simulator is refused."""
    return f"[{name}]: {_HARDWARE}. Remove the section."


def foreign_key(section: str, key: str, text: str) -> tuple[str | None, bool]:
    """Returns what to say about a key of snn_toolbox without counterpart, None if nothing; and whether it is refused."""
    known = FOREIGN_KEYS[section][key]
    if known.harmless is None or _normal(text) in map(_normal, known.harmless):
        return None, False
    verb = "is not supported" if known.refused else "has no effect"
    return f"[{section}] {key} = {text} {verb}: {known.answer}.", known.refused


def _normal(text: str) -> str:
    """Returns a text without quotes, and numbers as they are written shortest."""
    bare = text.strip().strip("'\"")
    try:
        return f"{float(bare):g}"
    except ValueError:
        return bare


def foreign_value(section: str, key: str, text: str) -> str | None:
    """Returns why a value that snn_toolbox knows is refused here, or None."""
    answers = FOREIGN_VALUES.get((section, key), {})
    try:
        items = [text, *split(text, "")]
    except InvalidValue:
        items = [text]
    for item in items:
        if item in answers:
            return f"[{section}] {key} = {item} is not supported: {answers[item]}."
    return None
