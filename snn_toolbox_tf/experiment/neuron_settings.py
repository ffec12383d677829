"""Settings of [cell] as neurons, and the neurons of a network as settings."""

import dataclasses
from typing import Any

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.neurons import MODELS, Neuron
from snn_toolbox_tf.neurons.description import depends_on_timestep

#: Keys of [cell] that are parameters of all neurons, with the same name.
_OF_ALL = (
    "tau_ref",
    "refractory_input",
    "tau_s",
    "synapse",
    "adaptation",
    "reset",
    "v_reset",
    "burst",
    "signed_spikes",
)


def neuron_of(settings: Settings) -> Neuron | None:
    """Returns what all neurons do; None for integrate-and-fire neurons that `v0`, `reset` and `signed_spikes` describe.

    Raises:
        ConfigurationError: If there is no such neuron.
    """
    cell = settings.cell
    if not cell.beyond_plain:
        return None
    parameters: dict[str, Any] = {key: getattr(cell, key) for key in _OF_ALL}
    if cell.v0 is not None:
        parameters["v0"] = cell.v0
    if cell.tau_a is not None:
        parameters["tau_a"] = cell.tau_a
    if cell.leaks:
        parameters |= {"tau_m": cell.tau_m, "v_rest": cell.v_rest}
    try:
        return MODELS[cell.neuron](dt=settings.simulation.dt, **parameters)
    except ValueError as error:
        raise ConfigurationError(f"[cell] {error}") from error


def neuron_arguments(settings: Settings) -> dict[str, Any]:
    """Returns the arguments of a conversion that say what neurons do, and how they start."""
    neuron, cell = neuron_of(settings), settings.cell
    if neuron is None:
        return {"v0": cell.v0, "reset": cell.reset, "signed_spikes": cell.signed_spikes}
    if cell.v0 is None or settings.normalization.threshold_rule is not None:
        return {"neuron": neuron}
    # Whoever gives initial potentials has nothing found; the rule is that of other networks then.
    return {"neuron": neuron, "threshold_rule": "percentile"}


def settings_of_neurons(graph: Graph) -> dict[str, Any]:
    """Returns the settings of a network's neurons by key; nothing if its populations have different ones."""
    neurons = {dataclasses.replace(node.neuron, v0=0.5) for node in graph.of_type(Population)}
    if len(neurons) != 1:
        return {}
    neuron = neurons.pop()
    found: dict[str, Any] = {"neuron": neuron.model, **{key: getattr(neuron, key) for key in _OF_ALL}}
    found["tau_a"] = neuron.tau_a if neuron.adaptation else None
    for key, default in (("tau_m", None), ("v_rest", 0.0)):
        found[key] = getattr(neuron, key, default)
    return found


def timestep_of(graph: Graph) -> float | None:
    """Returns the length in ms of a timestep of a network's neurons; None if it matters to none of them."""
    steps = [node.neuron.dt for node in graph.of_type(Population) if depends_on_timestep(node.neuron)]
    return steps[0] if steps else None


def check_timestep(settings: Settings, graph: Graph) -> None:
    """Checks that a network which was converted before has timesteps of the length that the settings give.

    Raises:
        ConfigurationError: If it has not.
    """
    known = timestep_of(graph)
    if known is not None and known != settings.simulation.dt:
        raise ConfigurationError(
            f"[simulation] dt = {settings.simulation.dt:g}: the time constants of the neurons of '{graph.name}' are for "
            f"timesteps of {known:g} ms. Set dt = {known:g}."
        )
