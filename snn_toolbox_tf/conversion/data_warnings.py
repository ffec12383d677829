"""What a user is told of calibration data that is probably not what it should be, and of what it led to."""

from collections.abc import Collection, Mapping

import numpy as np

from snn_toolbox_tf.calibration import ActivationStatistics
from snn_toolbox_tf.conversion.neuron_options import recurrent_names
from snn_toolbox_tf.corrections import Trial
from snn_toolbox_tf.foundation.warning import warn_user
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.network import inputs_of

#: Input above this, behind which activations are as large, is more often a mistake than a unit.
_USUAL_SIZE = 1e6
#: Below this agreement with the source, the user is told what to try.
_POOR_AGREEMENT = 0.9


def warn_of_useless_data(graph: Graph, statistics: ActivationStatistics, to_be_found: Collection[str]) -> None:
    """Says which populations the data leaves silent, of those whose thresholds come from it, and which inputs are 0."""
    silent = [name for name in statistics.silent_populations if name in to_be_found]
    if silent:
        warn_user(
            f"The calibration data drives no neuron of {', '.join(silent)}: their thresholds are "
            "arbitrary. Is it scaled as the model expects?"
        )
    zero = [node.name for node in inputs_of(graph) if not statistics.largest[node.name].any()]
    if zero:
        warn_user(
            f"The calibration data for {', '.join(map(repr, zero))} is all zeros, so that thresholds come from biases "
            "alone. Expected samples like those that the network will see."
        )


def warn_of_another_scale(graph: Graph, thresholds: Mapping[str, np.ndarray]) -> None:
    """Says which populations will be silent if data of this size is a mistake."""
    inputs = [f"{node.magnitude:.3g} for '{node.name}'" for node in inputs_of(graph) if node.magnitude > _USUAL_SIZE]
    silenced = [name for name, theta in thresholds.items() if np.max(theta) > _USUAL_SIZE]
    if inputs and silenced:
        warn_user(
            f"The calibration data reaches {', '.join(inputs)}, and thresholds are as large: on much smaller input no "
            f"neuron of {', '.join(silenced)} will spike. Is it scaled as the model expects?"
        )


def warn_of_poor_agreement(graph: Graph, chosen: Trial, timesteps: int, samples: int) -> None:
    """Says where most is lost, and what to try, if the network agrees with its source on too few samples."""
    if chosen.agreement is None or chosen.agreement.decisions >= _POOR_AGREEMENT:
        return
    worst = chosen.worst_population
    remedy = "signed_spikes=True, schedule='layer_synchronous'" if recurrent_names(graph) else "calibration='gradient'"
    warn_user(
        f"With {timesteps} timesteps the spiking network agrees with model '{graph.name}' on "
        f"{100 * chosen.agreement.decisions:.1f} % of the calibration samples that were held out. Most is lost at "
        f"'{worst}', whose rates are off by {100 * chosen.errors[worst]:.0f} %. Try timesteps={2 * timesteps}, more "
        f"calibration data (there are {samples} samples), or {remedy}."
    )
