"""The options that choose circuits of neurons in place of what has no neurons: bias neuron, inhibition, spiking softmax."""

from typing import Any

from snn_toolbox_tf.foundation.argument_checks import check_one_of, is_number
from snn_toolbox_tf.graph import Graph, MaxPool, Readout
from snn_toolbox_tf.passes import MAX_POOLINGS, SOFTMAXES
from snn_toolbox_tf.synapses.carriers import spike_carriers

BIASES = ("current", "neuron")
#: A float that is meant as 1 / k may be off by so much of it.
_ROUNDING = 1e-6


def check_circuits(
    *, max_pooling: str, softmax: str, bias: str, bias_rate: float, schedule: str, corrections: Any
) -> None:
    """Raises if circuits are not known, or do not go together with other options; see `convert_keras` for all of them.

    Raises:
        ValueError: If so.
    """
    check_one_of(max_pooling, MAX_POOLINGS, "max_pooling")
    check_one_of(softmax, SOFTMAXES, "softmax")
    check_one_of(bias, BIASES, "bias")
    period_of(bias_rate)
    if bias_rate != 1 and bias != "neuron":
        raise ValueError(
            "`bias_rate` is the rate of the neuron that feeds biases. Expected bias='neuron' with it. "
            f"Received: bias={bias!r}, bias_rate={bias_rate!r}"
        )
    if bias == "neuron" and "timed_biases" in (corrections or ()):
        raise ValueError(
            "A neuron that fires at a constant rate has no biases of single timesteps to give. Expected bias='current', or "
            f"corrections without 'timed_biases'. Received: bias='neuron', corrections={list(corrections)}"
        )
    if max_pooling == "lateral_inhibition" and schedule == "layer_synchronous":
        raise ValueError(
            "In a layer-synchronous run all neurons that fire at all do so in the first timestep: there is no first one to "
            "inhibit the others. Expected schedule='step', or another rule of max pooling. "
            f"Received: max_pooling={max_pooling!r}, schedule={schedule!r}"
        )


def check_circuits_of_graph(graph: Graph, *, softmax: str) -> None:
    """Raises if a source has nothing that circuits are asked for, or if they could not do it.

    Raises:
        ValueError: If so.
    """
    if softmax == "spiking" and not any(map(ends_in_softmax, graph.readouts)):
        raise ValueError(
            f"No output of model '{graph.name}' is a softmax over its last axis: {[r.name for r in graph.readouts]}. "
            "Expected softmax='decoded', or a model that ends in a softmax. Received: softmax='spiking'"
        )
    carriers = spike_carriers(graph)
    unfit = [
        node.name
        for node in graph.of_type(MaxPool)
        if node.rule == "lateral_inhibition" and not set(node.inputs) <= carriers
    ]
    if unfit:
        raise ValueError(
            f"Max pooling {', '.join(unfit)} reads currents, which inhibit nothing: no population stands in front of it. "
            "Put its ReLU in front of the pooling, which changes no output, or choose another rule. "
            "Received: max_pooling='lateral_inhibition'"
        )


def ends_in_softmax(readout: Readout) -> bool:
    """Whether what an output is decoded by ends in a softmax over its last axis."""
    if not readout.decoder:
        return False
    last = readout.decoder[-1]
    if last.class_name == "Softmax":
        return last.config.get("axis", -1) == -1
    return last.class_name == "Activation" and last.config.get("activation") == "softmax"


def period_of(bias_rate: Any) -> int:
    """Returns the number of timesteps from one spike of a bias neuron to the next.

    Raises:
        ValueError: If the rate is not 1 / k with an integer k.
    """
    if is_number(bias_rate) and 0 < bias_rate <= 1:
        period = round(1.0 / bias_rate)
        if abs(period * bias_rate - 1.0) <= _ROUNDING:
            return period
    raise ValueError(
        "Expected `bias_rate` to be 1 / k with an integer k, a spike in every k-th timestep: 1.0, 0.5, 0.25, ... "
        f"Received: bias_rate={bias_rate!r}"
    )
