"""Everything that a run needs, read and checked before the first long computation."""

import dataclasses
import pathlib
from typing import Any

import keras

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.experiment import sources
from snn_toolbox_tf.experiment.activity import chosen_neurons
from snn_toolbox_tf.experiment.sources import Data, TestData
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_balanced


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The checked parts of a run.

    Attributes:
        settings: The settings, with absolute paths.
        name: Name of the source model.
        source: The source model; None if neither conversion nor comparison needs it.
        model_snn: The converted network, if it was loaded.
        calibration_data: In the structure of the model's inputs; None without.
        test: Samples and labels; None if nothing is simulated.
        neurons: Population and flat index of the neurons whose membrane potential is shown.
        fingerprint: What the results depend on, by name.
    """

    settings: Settings
    name: str
    source: keras.Model | None
    model_snn: SpikingModel | None
    calibration_data: Any
    test: TestData | None
    neurons: list[tuple[str, int]]
    fingerprint: dict[str, Any]


def prepare(settings: Settings, model: keras.Model | None = None, data: Data | None = None) -> Prepared:
    """Reads and checks everything.

    Args:
        settings: The settings, with absolute paths.
        model: The source model, in place of a file.
        data: Arrays in place of files.

    Raises:
        ConfigurationError: If a setting or a file is not usable.
        UnsupportedModelError: If the model cannot be converted.
        TypeError, ValueError: If model or data are not usable.
    """
    given = data or Data()
    tools = settings.tools
    if not (tools.convert or tools.simulate):
        raise ConfigurationError("[tools] convert and simulate are both False: there is nothing to do.")
    source = model
    if source is None and (tools.convert or tools.evaluate_ann):
        source = sources.load_model(settings)
    model_snn = None if tools.convert else load_converted(settings)
    graph = model_snn.network.graph if model_snn is not None else _balanced(source)
    if source is not None and model_snn is not None:
        _check_fits(source, graph)
    calibration = sources.load_calibration_data(settings, given, graph) if tools.convert else None
    test = sources.load_test_data(settings, given, graph) if tools.simulate else None
    neurons = chosen_neurons(graph, settings.output.neurons_to_plot)
    fingerprint = _fingerprint(settings)
    for name, network in (("source model", source), ("converted network", model_snn)):
        if network is not None:
            fingerprint[name] = sources.content_hash(network)
    fingerprint["calibration data"] = None if calibration is None else sources.array_hash(calibration)
    fingerprint["test data"] = None if test is None else sources.array_hash([test.x, test.labels, test.indices])
    name = source.name if source is not None else graph.name
    return Prepared(settings, name, source, model_snn, calibration, test, neurons, fingerprint)


def load_converted(settings: Settings) -> SpikingModel:
    """Reads the converted network of the settings.

    Raises:
        ConfigurationError: If there is none, or the file holds something else.
    """
    model = sources.load_model(settings, snn_name(settings))
    if not isinstance(model, SpikingModel):
        raise ConfigurationError(
            f"'{snn_name(settings)}' is no converted network, but a {type(model).__name__}. With [tools] convert = False, "
            "[paths] filename_snn names a file that `snn-toolbox-tf convert` or SpikingModel.save wrote."
        )
    return model


def snn_name(settings: Settings) -> str:
    """Returns the file name of the converted network, without ending."""
    ann = pathlib.PurePath(settings.paths.filename_ann)
    stem = ann.stem if ann.suffix in sources.MODEL_SUFFIXES else ann.name
    return settings.paths.filename_snn.removesuffix(".keras") or f"{stem or 'ann'}_INI"


def _balanced(source: keras.Model | None) -> Graph:
    if isinstance(source, SpikingModel):
        raise ConfigurationError(
            f"Model '{source.name}' is a converted network. To simulate it, set [tools] convert = False and "
            "evaluate_ann = False and name it in [paths] filename_snn; or use `snn-toolbox-tf evaluate`."
        )
    return to_balanced(parse(source))


def _check_fits(source: keras.Model, graph: Graph) -> None:
    """The converted network may belong to another source: at least inputs and outputs must have the same shapes."""
    inputs = [tuple(tensor.shape[1:]) for tensor in source.inputs]
    outputs = [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(source.outputs)]
    expected = [graph[name].shape for name in keras.tree.flatten(graph.input_structure)]
    shapes = [graph[readout.node].shape for readout in graph.readouts]
    if inputs != expected or outputs != shapes:
        raise ConfigurationError(
            f"The converted network '{graph.name}' does not belong to the source '{source.name}': inputs {expected} and "
            f"outputs {shapes} against {inputs} and {outputs}. Correct filename_snn, or set [tools] convert = True."
        )


#: Settings that only say where things are, what is shown, and how fast.
_IRRELEVANT = ("paths", "parameter_sweep", "plot_vars", "sample_to_plot", "neurons_to_plot", "verbose", "overwrite")


def _fingerprint(settings: Settings) -> dict[str, Any]:
    return {
        f"[{section}] {key}": value
        for section, values in settings.as_dict().items()
        for key, value in values.items()
        if section not in _IRRELEVANT and key not in _IRRELEVANT
    }
