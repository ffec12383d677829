"""The conversion of a run."""

import dataclasses

from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.conversion import convert_graph
from snn_toolbox_tf.conversion.latency import convert_graph_to_latency
from snn_toolbox_tf.experiment.latency import latency_code_of
from snn_toolbox_tf.experiment.notes import noted
from snn_toolbox_tf.experiment.options import conversion_options, set_up
from snn_toolbox_tf.experiment.preparation import Prepared
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.model.saving import without_unsavable_compilation


@dataclasses.dataclass(frozen=True)
class Converted:
    """A spiking network, and what its conversion had to say."""

    model_snn: SpikingModel | LatencyModel
    notes: tuple[str, ...] = ()


def convert_prepared(prepared: Prepared, progress: Progress) -> Converted:
    """Returns the spiking network of a run: converted, or as it was loaded."""
    settings, network = prepared.settings, prepared.network
    if isinstance(network, LatencyModel):
        return Converted(network)
    if isinstance(network, SpikingModel):
        set_up(network, settings)
        return Converted(network)
    if prepared.source is None:
        raise ConfigurationError("[tools] convert = True needs a source model.")
    notes: list[str] = []
    with noted(notes):
        # Of a copy: a sweep converts the same graph several times.
        graph, options, code = network.copy(), conversion_options(settings), latency_code_of(settings)
        try:
            if code is not None:
                latency = convert_graph_to_latency(prepared.source, graph, prepared.calibration_data, code)
                without_unsavable_compilation(latency)
                return Converted(latency, tuple(notes))
            model_snn = convert_graph(prepared.source, graph, prepared.calibration_data, options, tell=progress.tell)
        except (TypeError, ValueError) as error:
            # What is wrong with model or data, but shows only when they meet.
            raise ConfigurationError(str(error)) from error
        without_unsavable_compilation(model_snn)
    set_up(model_snn, settings)
    return Converted(model_snn, tuple(notes))
