"""Everything that a run needs, read and checked before the first long computation."""

import dataclasses
import re
import warnings
from typing import Any

import keras

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.config.files import ann_stem, snn_name
from snn_toolbox_tf.config.sections import SECTION_OF, affects
from snn_toolbox_tf.conversion.requirements import check_requirements
from snn_toolbox_tf.distributed import check_can_be_sent
from snn_toolbox_tf.distributed.ray_executor import import_ray
from snn_toolbox_tf.experiment import fingerprint, samples, sources
from snn_toolbox_tf.experiment.latency import check_stages, latency_code_of, max_pooling_of
from snn_toolbox_tf.experiment.neuron_settings import check_timestep
from snn_toolbox_tf.experiment.options import conversion_options
from snn_toolbox_tf.experiment.sample_trace import chosen_neurons
from snn_toolbox_tf.experiment.samples import TestSamples
from snn_toolbox_tf.experiment.sources import Data
from snn_toolbox_tf.foundation.digests import array_hash
from snn_toolbox_tf.foundation.errors import UnsupportedModelError
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.tasks import state_tasks


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The checked parts of a run.

    Attributes:
        settings: The settings, with absolute paths.
        name: Name of the source model.
        source: The source model; None if neither conversion nor comparison needs it.
        network: The converted network if it was loaded, or else the source's graph, ready to be converted.
        calibration_data: In the structure of the model's inputs; None without.
        samples: Samples and labels; None if nothing is simulated.
        neurons: Population and flat index of the neurons whose membrane potential is shown.
        digests: Digests of models and data, by what they are.
    """

    settings: Settings
    name: str
    source: keras.Model | None
    network: SpikingModel | LatencyModel | Graph
    calibration_data: Any
    samples: TestSamples | None
    neurons: list[tuple[str, int]]
    digests: dict[str, str]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What the results depend on, by name."""
        return {**fingerprint.settings_fingerprint(self.settings), **self.digests}


def prepare(
    settings: Settings,
    model: keras.Model | None = None,
    data: Data | None = None,
    *,
    model_snn: SpikingModel | LatencyModel | None = None,
) -> Prepared:
    """Reads and checks everything.

    Args:
        settings: The settings, with absolute paths.
        model: The source model, in place of a file.
        data: Arrays in place of files.
        model_snn: The converted network, in place of a file; used only if the settings say `convert = False`.

    Raises:
        ConfigurationError: If a setting, a file, the model or the data is not usable.
        UnsupportedModelError: If the model cannot be converted.
    """
    try:
        return _prepare(settings, model, data or Data(), model_snn)
    except (ConfigurationError, UnsupportedModelError):
        raise
    except (TypeError, ValueError) as error:
        raise ConfigurationError(str(error)) from error


def _prepare(
    settings: Settings, model: keras.Model | None, data: Data, converted: SpikingModel | LatencyModel | None
) -> Prepared:
    tools = settings.tools
    if not (tools.convert or tools.simulate):
        raise ConfigurationError("[tools] convert and simulate are both False: there is nothing to do.")
    elsewhere = tools.executor == "ray" and tools.simulate
    if elsewhere:
        import_ray()
    source = model
    if source is None and (tools.convert or tools.evaluate_ann):
        settings, source = sources.load_noted(settings)
    if source is not None and elsewhere:
        check_can_be_sent(source)
    model_snn = None if tools.convert else converted or load_converted(settings)
    if model_snn is not None:
        graph = model_snn.network.graph_with_weights()
        _check_converted(settings, graph)
        if isinstance(model_snn, LatencyModel):
            check_stages(settings)
    else:
        graph = _spiking_graph(source, settings)
    if source is not None and model_snn is not None:
        _check_fits(source, graph)
    state_tasks(graph, settings.task, source)
    calibration = samples.load_calibration_data(settings, data, graph) if tools.convert else None
    if model_snn is None:
        check_conversion(settings, graph, calibration)
    test = samples.load_samples(settings, data, graph) if tools.simulate else None
    digests = {"network": fingerprint.graph_hash(graph)}
    if source is not None and model_snn is not None:
        digests["source model"] = fingerprint.graph_hash(_spiking_graph(source, settings))
    if settings.output.log_vars:
        # Recordings are kept by name.
        digests["names"] = ", ".join(node.name for node in graph)
    if calibration is not None:
        digests["calibration data"] = array_hash(calibration)
    if test is not None:
        digests["test data"] = array_hash([test.x, test.labels, test.indices, test.targets])
    return Prepared(
        settings,
        _title(settings, source.name if source is not None else graph.name),
        source,
        model_snn if model_snn is not None else graph,
        calibration,
        test,
        chosen_neurons(graph, settings.output.neurons_to_plot),
        digests,
    )


def check_conversion(settings: Settings, graph: Graph, calibration_data: Any) -> None:
    """Checks that the settings of a conversion go together with each other, with the source and with the data.

    Args:
        settings: The settings.
        graph: The source's graph, ready to be converted.
        calibration_data: As they were read, or None.

    Raises:
        ConfigurationError: If they do not.
    """
    if latency_code_of(settings) is not None:
        return
    count = 0 if calibration_data is None else len(keras.tree.flatten(calibration_data)[0])
    # What it warns of is a note of the conversion.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check_requirements(conversion_options(settings), graph, samples=count)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error


def load_converted(settings: Settings) -> SpikingModel | LatencyModel:
    """Reads the converted network of the settings.

    Raises:
        ConfigurationError: If there is none, or the file holds something else.
    """
    model = sources.load_model(settings, snn_name(settings))
    if not isinstance(model, (SpikingModel, LatencyModel)):
        raise ConfigurationError(
            f"'{snn_name(settings)}' is no converted network, but a {type(model).__name__}. Convert it first with "
            "`snn-toolbox-tf convert`, or set [tools] convert = True."
        )
    return model


def _title(settings: Settings, name: str) -> str:
    """Returns a source's name; where Keras made that up, its file's, or what Keras has numbered."""
    made_up = re.fullmatch(r"(functional|sequential|model)(_\d+)?", name)
    return (ann_stem(settings) or made_up[1]) if made_up else name


def _spiking_graph(source: Any, settings: Settings) -> Graph:
    if isinstance(source, (SpikingModel, LatencyModel)):
        raise ConfigurationError(
            f"Model '{source.name}' is a converted network. To simulate it, set [tools] convert = False and "
            "evaluate_ann = False and name it in [paths] filename_snn; or use `snn-toolbox-tf evaluate`."
        )
    return to_spiking(parse(source).graph, max_pooling_of(settings))


def _check_converted(settings: Settings, graph: Graph) -> None:
    """A network that was converted before cannot be given other thresholds or neurons."""
    defaults = Settings().as_dict()
    changed = [
        f"[{SECTION_OF[key]}] {key} = {value}"
        for section, values in settings.as_dict().items()
        for key, value in values.items()
        if affects(key) in ("conversion", "calibration") and value != defaults[section][key]
    ]
    if changed:
        raise ConfigurationError(
            f"{', '.join(changed)} cannot change a network that is converted already ([tools] convert = False). "
            "Leave out these settings, or set convert = True."
        )
    check_timestep(settings, graph)
    hard = [node.name for node in graph.of_type(Population) if not node.neuron.integrates_perfectly]
    if hard and settings.simulation.schedule == "layer_synchronous":
        raise ConfigurationError(
            "[simulation] schedule = layer_synchronous needs neurons that lose nothing, with soft reset; the converted "
            f"network has others in {hard}. Set schedule = step."
        )


def _check_fits(source: keras.Model, graph: Graph) -> None:
    """The converted network may belong to another source: at least inputs and outputs must have the same shapes."""
    inputs = [tuple(tensor.shape[1:]) for tensor in source.inputs]
    outputs = [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(source.outputs)]
    expected = [graph[name].shape for name in keras.tree.flatten(graph.input_structure)]
    shapes = [graph.output_shape(readout) for readout in graph.readouts]
    if inputs != expected or outputs != shapes:
        raise ConfigurationError(
            f"The converted network '{graph.name}' does not belong to the source '{source.name}': inputs {expected} and "
            f"outputs {shapes} against {inputs} and {outputs}. Correct filename_snn, or set [tools] convert = True."
        )
