"""The neurons of a conversion: which options go together with them, and the thresholds that they need."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import is_number
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.neurons import Neuron

#: The key of the neurons of all populations that are not named.
ALL_POPULATIONS = "all populations"
#: The largest activations shall not take more than this share of the highest firing rate, where input may get lost above it.
USED_RATE = 0.8


def check_neurons(neuron: Any, dt: Any, *, v0: Any, reset: str, signed_spikes: Any) -> None:
    """Checks the arguments `neuron` and `dt` of a conversion.

    Raises:
        TypeError: If `neuron` is no neuron, nor a dict of them.
        ValueError: If `dt` is no positive number, or an option says what the neurons say themselves.
    """
    values = list(neuron.values()) if isinstance(neuron, Mapping) else [neuron]
    if neuron is not None and not all(isinstance(value, Neuron) for value in values):
        raise TypeError(
            "Expected `neuron` to be a value of `snn_toolbox_tf.neurons`, such as `LeakyIntegrateAndFire(tau_m=20.0)`, or a "
            f"dict of them by name of a population. Received: neuron={neuron!r}"
        )
    if dt is not None and not (is_number(dt) and dt > 0):
        raise ValueError(f"Expected `dt` to be a positive number of ms, the length of a timestep. Received: dt={dt!r}")
    if dt is not None and neuron is None:
        raise ValueError(f"`dt` matters to neurons with time constants. Expected `neuron` with it. Received: dt={dt!r}")
    if isinstance(neuron, Neuron) and (v0 is not None or reset != "subtract" or signed_spikes):
        raise ValueError(
            "A neuron says itself how it starts, is reset, and whether it takes spikes back. Expected `v0`, `reset` and "
            "`signed_spikes` as parameters of `neuron`. "
            f"Received: neuron={neuron!r}, v0={v0!r}, reset={reset!r}, signed_spikes={signed_spikes!r}"
        )


def population_names(graph: Graph) -> list[str]:
    """Returns the names by which options know populations; windows of the same neurons have one name."""
    return list(dict.fromkeys(node.shared_name for node in graph.of_type(Population)))


def recurrent_names(graph: Graph) -> list[str]:
    """Returns those names that stand for several windows."""
    return list(dict.fromkeys(node.tied for node in graph.of_type(Population) if node.tied))


def headroom(node: Population) -> float | np.ndarray:
    """Returns by how much a threshold is larger than the largest activation, because of a refractory period.

    The highest firing rate then stands for that activation (and for the bound of a bounded ReLU), or, where nothing bounds
    activations, `USED_RATE` of it (the margin of 0.8 f_max that tutorials give).
    """
    highest = node.neuron.highest_rate
    if highest > 1.0:
        # What bursts have beyond one spike in a timestep is for what comes unevenly; a bounded ReLU's bound stays one.
        return 1.0 if node.max_value is None else np.minimum(1.0, node.max_value / highest / node.threshold)
    if highest == 1.0:
        return 1.0
    return 1.0 / highest if node.max_value is not None else 1.0 / (USED_RATE * highest)
