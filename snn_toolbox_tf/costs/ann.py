"""What the ANN would spend: the baselines of an energy balance."""

import dataclasses
import math

from snn_toolbox_tf.costs.hardware import ADD_INT32, HARDWARE, access_energy
from snn_toolbox_tf.costs.lines import Balance, EnergyLine, total
from snn_toolbox_tf.simulation.workload import SynapseWork, Workload

#: An addition and a multiplication of 8 bits (Horowitz 2014, 45 nm), in pJ.
_ADD_INT8, _MULTIPLY_INT8 = 0.03, 0.2


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The source network on hardware at 45 nm.

    Attributes:
        name: Its number format.
        lines: What it spends on a sample.
    """

    name: str
    lines: tuple[EnergyLine, ...]

    @property
    def energy(self) -> float:
        """All lines together, in pJ."""
        return total(self.lines)


def activation_bits(timesteps: float) -> int:
    """Returns how many bits of an activation say as much as T timesteps of spikes: ceil(log2(T + 1)) (Yan et al. 2024).

    >>> [activation_bits(timesteps) for timesteps in (1, 3, 4, 32)]
    [1, 2, 3, 6]
    """
    return max(1, math.ceil(math.log2(timesteps + 1)))


def baselines(workload: Workload, *, memory: bool, zero_skipping: bool) -> tuple[Baseline, ...]:
    """Returns the baselines of a network: in FP32, in INT8, and with as many bits per activation as T timesteps tell.

    Of b bits, a multiplication costs b / 8 of that of INT8, because it adds up b rows, and weights have 8 bits.

    Args:
        workload: What the network consists of, and the timesteps that were simulated.
        memory: Whether to add accesses to memory and addresses, of a machine that keeps nothing in registers
            (Lemaire et al. 2022, equations 3, 4, 6, 11 and 12).
        zero_skipping: Whether zeros are not multiplied. Zeros are the inputs without any spike in the simulation, so that of
            real-valued input, all is multiplied.
    """
    bits = activation_bits(workload.timesteps)
    fp32, int8 = (HARDWARE[name].multiply_accumulate or 0.0 for name in ("45nm", "45nm-int8"))
    formats = [
        ("in FP32", fp32, 32),
        ("in INT8", int8, 8),
        (f"with {bits}-bit activations", _MULTIPLY_INT8 * bits / 8 + _ADD_INT8, 8),
    ]
    return tuple(
        Baseline(f"ANN {name}", _lines(workload, each, width, memory, zero_skipping)) for name, each, width in formats
    )


def _lines(
    workload: Workload, multiply_accumulate: float, bits: int, memory: bool, zero_skipping: bool
) -> tuple[EnergyLine, ...]:
    balance = Balance()
    for synapse in workload.synapses:
        skips = zero_skipping and synapse.reads == "spikes"
        macs = synapse.active_connections if skips else synapse.connections
        balance.add("MACs", macs, multiply_accumulate, "once")
        if memory:
            _add_memory(balance, synapse, macs, bits)
    return balance.lines()


def _add_memory(balance: Balance, synapse: SynapseWork, macs: float, bits: int) -> None:
    weights, inputs, outputs = (
        access_energy(size, bits) for size in (synapse.weights, synapse.inputs, synapse.outputs)
    )
    balance.add("memory: weights", macs if synapse.weights else 0.0, weights, "once")
    # A dense layer reads each input once; a window reads what lies under it, again and again.
    reads = macs if synapse.dimensions or not synapse.weights else synapse.inputs
    balance.add("memory: activations", reads, inputs, "once")
    balance.add("memory: activations", synapse.outputs, outputs, "once")
    balance.add("memory: biases", synapse.biased_outputs, access_energy(synapse.stored_biases, bits), "once")
    # Addresses count up: through inputs, outputs and weights, and for a dense layer with every connection.
    steps = synapse.inputs + synapse.outputs + synapse.weights if synapse.dimensions else macs
    balance.add("addresses", steps, ADD_INT32, "once")
