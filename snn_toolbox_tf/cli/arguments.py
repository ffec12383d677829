"""The command line's arguments: a flag for every setting, generated from the settings."""

import argparse
from collections.abc import Sequence
from typing import Any

from snn_toolbox_tf.config import SECTIONS, Settings, fields_of
from snn_toolbox_tf.config.sections import ALIASES, SECTION_OF
from snn_toolbox_tf.config.study_section import STUDIES
from snn_toolbox_tf.foundation.argument_checks import did_you_mean
from snn_toolbox_tf.version import __version__

_EPILOG = """exit status: 0 done; 1 the model cannot be converted (check); 2 something in the input is wrong, and nothing was
written; 3 a run could not be finished (memory, disk); 130 interrupted. All settings: `snn-toolbox-tf template default`."""


#: The settings that matter to converting, and to evaluating without a report; to the other commands, all do.
_OF_BOTH = (
    *("path_wd", "dataset_path", "filename_ann", "filename_snn", "poisson_input", "frame_input", "normalize"),
    *("threshold_rule", "corrections", "calibration", "signed_spikes", "schedule", "tolerance"),
    *("epochs", "train_weights", "learning_rate", "learning_samples", "learning_batch_size"),
    *("percentile", "per_channel", "num_samples", "duration", "dt", "seed", "v_thresh", "v0", "reset", "verbose"),
    *("maxpool_type", "population_starts", "task", "softmax", "bias", "bias_rate", "weight_bits"),
    *("neuron", "tau_m", "v_rest", "tau_ref", "refractory_input", "tau_s", "synapse", "adaptation", "tau_a"),
    *("v_reset", "burst"),
)
_OF_CONVERT = (*_OF_BOTH, "overwrite")
_OF_EVALUATE = (
    *_OF_BOTH,
    *("evaluate_ann", "num_to_test", "sample_idxs_to_test", "batch_size", "top_k", "block_length", "engine"),
    *("executor", "workers"),
)
_OF_EXPORT = (
    *("path_wd", "dataset_path", "filename_ann", "filename_snn", "verbose", "overwrite"),
    *("export_format", "export_version", "export_timesteps", "exit_confidence", "closed_form", "warmup_samples"),
)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the arguments of the command line; for an unknown flag, an error with the nearest one ends the program."""
    parser = build_parser()
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        own = ["--json", "--quiet", "--resume", "--output", "--calibration-data"]
        flags = [*own, *map(_flag, [*SECTION_OF, *ALIASES])]
        names = [word.partition("=")[0] for word in unknown if word.startswith("--")]
        hints = (
            f" {name} is no flag of `{parsed.command}`." if name in flags else did_you_mean(name, flags)
            for name in names
        )
        parser.error(f"unrecognized arguments: {' '.join(unknown)}.{''.join(hints)}")
    return parsed


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="snn-toolbox-tf",
        description="Trained Keras models as spiking neural networks.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"snn_toolbox_tf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    check = commands.add_parser(
        "check",
        help="tell what becomes of every layer of a model, before any work",
        description="Lists every layer of a model with what it becomes: synapse, population, removed, readout, or refused "
        "with reason and remedy. With a configuration file, settings and data are checked, too. Exit status 1 if the model "
        "cannot be converted.",
        epilog="example: snn-toolbox-tf check model.keras",
        allow_abbrev=False,
    )
    check.add_argument("source", metavar="MODEL_OR_CONFIG", help="a Keras model (.keras, .h5) or a configuration file")
    _add_common(check)
    _add_settings(check)

    run = commands.add_parser(
        "run",
        help="convert, simulate and report",
        description="Converts a model, simulates it on test data, compares it with its source and writes a folder with the "
        "converted network, a report (report.html), tables and plots.",
        epilog="example: snn-toolbox-tf run model.keras --timesteps 64. The results are in model_snn, beside the model.",
        allow_abbrev=False,
    )
    run.add_argument(
        "source",
        metavar="CONFIG_OR_MODEL",
        help="a configuration file, or a Keras model with x_test.npz, y_test.npz and x_norm.npz beside it or in "
        "--dataset-path",
    )
    run.add_argument("--resume", action="store_true", help="continue a run that was interrupted")
    _add_common(run)
    _add_settings(run)

    study = commands.add_parser(
        "study",
        help="answer one question over many runs: energy, weight precision, robustness, bias and variance, dt",
        description="Runs a study of a model and writes a folder with a page (report.html), table, figure and data: energy "
        "(accuracy against energy over timesteps), weight-precision (accuracy against bits), robustness (accuracy under "
        "attack), bias-variance (under Poisson input), time-resolution (length of a timestep against their number). "
        "[study] says what is varied.",
        epilog="example: snn-toolbox-tf study weight-precision model.keras --study-bits 8,4,2. The results are in "
        "model_weight_precision, beside the model.",
        allow_abbrev=False,
    )
    study.add_argument("study", metavar="STUDY", choices=STUDIES, help=f"one of {', '.join(STUDIES)}")
    study.add_argument(
        "source",
        metavar="CONFIG_OR_MODEL",
        help="a configuration file, or a Keras model with x_test.npz, y_test.npz and x_norm.npz beside it or in "
        "--dataset-path",
    )
    study.add_argument("--resume", action="store_true", help="continue a study that was interrupted")
    _add_common(study)
    _add_settings(study)

    convert = commands.add_parser(
        "convert",
        help="convert a model and write it as a .keras file",
        description="Converts a model with x_norm.npz as calibration data and writes it as a .keras file, which "
        "keras.saving.load_model reads after `import snn_toolbox_tf`.",
        epilog="example: snn-toolbox-tf convert model.keras --calibration-data x_norm.npz. This writes model_snn.keras.",
        allow_abbrev=False,
    )
    convert.add_argument(
        "source", metavar="MODEL_OR_CONFIG", help="a Keras model (.keras, .h5) or a configuration file"
    )
    convert.add_argument(
        "--output",
        metavar="FILE",
        help="file to write; path_wd/<filename_snn>.keras, <filename_ann>_snn.keras beside the model, if left out",
    )
    convert.add_argument("--calibration-data", metavar="FILE", help="an npz file, in place of dataset_path/x_norm.npz")
    _add_common(convert)
    _add_settings(convert, _OF_CONVERT)

    evaluate = commands.add_parser(
        "evaluate",
        help="simulate a converted network and print accuracy, rates and operations",
        description="Simulates a converted network on test data and prints accuracy, firing rates and operations. Writes "
        "nothing.",
        epilog="example: snn-toolbox-tf evaluate model_snn.keras --num-to-test 1000. Data are read from the network's "
        "folder; for the network of a run, from where the run has read them. --dataset-path names another folder.",
        allow_abbrev=False,
    )
    evaluate.add_argument(
        "source", metavar="SNN_OR_CONFIG", help="a converted network (.keras) or a configuration file"
    )
    _add_common(evaluate)
    _add_settings(evaluate, _OF_EVALUATE)

    export = commands.add_parser(
        "export",
        help="write a converted network for a model server, for other simulators, or for small devices",
        description="Writes a converted network in another format: serving, a version for TensorFlow Serving, in a folder "
        "of versions; nir, the intermediate representation of neuromorphic tools; tflite; keras, a copy. With a "
        "configuration file, the network is converted first if [tools] convert says so.",
        epilog="example: snn-toolbox-tf export model_snn.keras --format serving. This writes serving/model_snn/1.",
        allow_abbrev=False,
    )
    export.add_argument("source", metavar="SNN_OR_CONFIG", help="a converted network (.keras) or a configuration file")
    export.add_argument("--output", metavar="PATH", help="where to write, in place of [export] export_path")
    _add_common(export)
    _add_settings(export, _OF_EXPORT)

    template = commands.add_parser(
        "template",
        help="print a configuration file to start from",
        description="Prints one of the configuration templates; without a name, what each of them is for.",
        epilog="example: snn-toolbox-tf template default > config.ini",
        allow_abbrev=False,
    )
    template.add_argument("name", metavar="NAME", nargs="?", help="the template; all are listed if left out")
    _add_common(template)

    example = commands.add_parser(
        "example",
        help="write a trained model with its data and configuration, to try the other commands on",
        description="Writes a folder with a trained Keras model of scikit-learn's digits, test data, calibration data and a "
        "configuration file. Nothing is downloaded.",
        epilog="example: snn-toolbox-tf example && snn-toolbox-tf run digits/digits.ini",
        allow_abbrev=False,
    )
    example.add_argument(
        "folder", metavar="FOLDER", nargs="?", default="digits", help="the folder to write; digits if left out"
    )
    _add_common(example)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, and nothing else, on standard output"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error came from")


def _add_settings(parser: argparse.ArgumentParser, keys: Sequence[str] = tuple(SECTION_OF)) -> None:
    defaults = Settings()
    for section in SECTIONS:
        chosen = [(key, default) for key, default in defaults.items(section) if key in keys]
        if not chosen:
            continue
        group = parser.add_argument_group(f"[{section}]", SECTIONS[section].__doc__)
        for key, default in chosen:
            metadata = fields_of(section)[key].metadata
            shown = metadata["kind"].write(default)
            text = f"{metadata['doc']} Default: {shown}." if shown else metadata["doc"]
            options: dict[str, Any] = {"dest": f"setting_{key}", "default": None, "help": text.replace("%", "%%")}
            if metadata["kind"].placeholder == "BOOL":
                group.add_argument(_flag(key), action=argparse.BooleanOptionalAction, **options)
            else:
                group.add_argument(_flag(key), metavar=metadata["kind"].placeholder, **options)
            if alias := metadata["alias"]:
                placeholder = "INT|auto" if alias == "timesteps" else metadata["kind"].placeholder
                options = {"dest": f"setting_{alias}", "default": None, "help": f"The same as {_flag(key)}."}
                group.add_argument(_flag(alias), metavar=placeholder, **options)
