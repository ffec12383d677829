"""The neurons of a network, as a report lists them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from snn_toolbox_tf.neurons import IntegrateAndFire, Neuron
from snn_toolbox_tf.neurons.description import depends_on_timestep, in_words


@dataclasses.dataclass(frozen=True)
class NeuronRecord:
    """What the neurons of one or more populations do.

    Attributes:
        model: Name of the neuron model.
        text: What they are, in words.
        populations: The populations that have them.
        parameters: Their parameters, times in ms, potentials in thresholds, without the initial potential, which may vary
            from population to population, and without `dt` where it does not matter; in JSON, what is infinite is null.
        per_timestep: What follows for one timestep: "retention" (what a leak leaves of the potential),
            "refractory_timesteps" (timesteps without a spike behind one), "highest_rate" (spikes), "synaptic_retention"
            (what is left of a synaptic current), "synaptic_delay" (timesteps), "threshold_retention" (what is left of the
            rise of a threshold).
    """

    model: str
    text: str
    populations: tuple[str, ...]
    parameters: dict[str, Any]
    per_timestep: dict[str, float]


#: The text of neurons of which there is nothing to say.
PLAIN = in_words(IntegrateAndFire())
#: Properties of neurons that follow from their times and the length of a timestep.
_PER_TIMESTEP = (
    *("retention", "refractory_timesteps", "highest_rate"),
    *("synaptic_retention", "synaptic_delay", "threshold_retention"),
)


def neuron_records(neurons: Mapping[str, Neuron]) -> list[NeuronRecord]:
    """Returns what there is of neurons, each kind once.

    Args:
        neurons: The neurons of each population, by its name.
    """
    names: dict[Neuron, list[str]] = {}
    for name, neuron in neurons.items():
        names.setdefault(dataclasses.replace(neuron, v0=0.5), []).append(name)
    return [_record(neuron, populations) for neuron, populations in names.items()]


def _record(neuron: Neuron, populations: list[str]) -> NeuronRecord:
    config = neuron.get_config()
    left_out = {"model", "v0"} if depends_on_timestep(neuron) else {"model", "v0", "dt"}
    return NeuronRecord(
        model=neuron.model,
        text=in_words(neuron),
        populations=tuple(populations),
        parameters={key: value for key, value in config.items() if key not in left_out},
        per_timestep={key: float(getattr(neuron, key)) for key in _PER_TIMESTEP},
    )
