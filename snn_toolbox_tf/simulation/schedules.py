"""In which order populations integrate and fire."""

from collections.abc import Mapping

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.neurons import Neuron

#: "step": at every timestep each population integrates and fires; "layer_synchronous": it integrates all, then fires.
SCHEDULES = ("step", "layer_synchronous")


def check_schedule(schedule: str, neurons: Mapping[str, Neuron], input_mode: str = "analog") -> str:
    """Returns a schedule that a network can follow.

    Args:
        schedule: One of `SCHEDULES`.
        neurons: What the neurons of each population do.
        input_mode: How input is encoded, where the schedule is the network's own.

    Raises:
        ValueError: For an unknown one, and for a layer-synchronous one where neurons lose something, take spikes back, or
            where input comes frame by frame.
    """
    check_one_of(schedule, SCHEDULES, "schedule")
    if schedule == "step":
        return schedule
    unfit = [name for name, neuron in neurons.items() if not neuron.integrates_perfectly]
    if unfit:
        raise ValueError(
            "The layer-synchronous schedule needs neurons that lose nothing, with reset='subtract': otherwise nothing is "
            f"left to fire with. Received other neurons in: {unfit}"
        )
    signed = [name for name, neuron in neurons.items() if neuron.signed_spikes]
    if signed:
        raise ValueError(
            "A layer-synchronous population knows its whole input when it fires, and has no spike to take back. Expected "
            f"signed_spikes=False, or schedule='step'. Received signed spikes in: {signed}"
        )
    if input_mode == "frames":
        raise ValueError(
            "A network with schedule='layer_synchronous' takes no frames. Expected input 'analog' or 'poisson'. "
            "Received: input='frames'"
        )
    return schedule


def neurons_of(graph: Graph) -> dict[str, Neuron]:
    """Returns what the neurons of each population do."""
    return {node.name: node.neuron for node in graph.of_type(Population)}
