"""Neuron models: values that say what a neuron does in one timestep."""

import dataclasses
from typing import Any

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.neurons.integrate_and_fire import IntegrateAndFire
from snn_toolbox_tf.neurons.leaky_integrate_and_fire import LeakyIntegrateAndFire
from snn_toolbox_tf.neurons.neuron import REFRACTORY_INPUTS, RESETS, SYNAPSES, Neuron
from snn_toolbox_tf.neurons.states import Charged, Hidden, Stepped

__all__ = [
    "MODELS",
    "REFRACTORY_INPUTS",
    "RESETS",
    "SYNAPSES",
    "Charged",
    "Hidden",
    "IntegrateAndFire",
    "LeakyIntegrateAndFire",
    "Neuron",
    "Stepped",
    "neuron_from_config",
]

#: The neuron models by name.
MODELS: dict[str, type[Neuron]] = {kind.model: kind for kind in (IntegrateAndFire, LeakyIntegrateAndFire)}


def neuron_from_config(config: dict[str, Any]) -> Neuron:
    """Returns the neuron that `Neuron.get_config` described.

    Raises:
        ValueError: For an unknown model or parameter.
    """
    parameters = dict(config)
    kind = MODELS[check_one_of(parameters.pop("model", None), MODELS, "model")]
    for name in parameters:
        check_one_of(name, [field.name for field in dataclasses.fields(kind)], f"parameter of {kind.__name__}")
    return kind(**parameters)
