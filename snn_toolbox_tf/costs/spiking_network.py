"""The energy balance of a spiking network, from what a simulation counted."""

from snn_toolbox_tf.costs.hardware import ADD_INT32, HARDWARE, MULTIPLY_INT32, Hardware, access_energy
from snn_toolbox_tf.costs.lines import Balance, EnergyLine
from snn_toolbox_tf.simulation.workload import SynapseWork, Workload


def spiking_lines(workload: Workload, hardware: Hardware, *, memory: bool) -> tuple[EnergyLine, ...]:
    """Returns what a spiking network spends on a sample.

    Operations: a synaptic event per spike and connection; biases, neurons' updates, leaks at every timestep; a reset per
    spike; multiply-accumulates of real-valued input, once per sample where it is constant.

    Memory (Lemaire et al. 2022, equations 5, 7, 8 and 13 to 17): an event reads a weight, and reads and writes a membrane
    potential, as an update does; spikes are written where they arise and read where they arrive; biases are read. The
    address of each potential is an addition, and a spike that arrives at a convolution takes one multiplication and addition
    per axis. Events are those that there are: at borders and with strides fewer than the paper's, which has a whole window
    for each spike.

    Args:
        workload: What was counted.
        hardware: What it costs.
        memory: Whether to add accesses to memory and addresses.
    """
    balance, steps = Balance(), workload.timesteps
    host = hardware.multiply_accumulate is None
    multiply = HARDWARE["45nm"].multiply_accumulate if host else hardware.multiply_accumulate
    by_host = ", by a host" if host else ""
    for synapse in workload.synapses:
        balance.add("synaptic events", synapse.synaptic_operations, hardware.synaptic_event, "spikes")
        balance.add("biases", synapse.biased_outputs * steps, hardware.accumulate, "timesteps")
        macs, grows = synapse.multiply_accumulates, "once" if synapse.reads == "constant" else "timesteps"
        name = "MACs of the input" if synapse.reads == "constant" else "MACs of currents"
        balance.add(name + by_host, macs, multiply or 0.0, grows)
        if memory:
            _add_memory(balance, synapse, steps, hardware.bits)
    for population in workload.populations:
        updates = population.neurons * steps
        balance.add("neuron updates", updates, hardware.neuron_update, "timesteps")
        balance.add("leaks", updates if population.leaky else 0.0, hardware.leak, "timesteps")
        balance.add("resets", population.spikes, hardware.accumulate, "spikes")
        if memory:
            access = access_energy(population.neurons, hardware.bits)
            balance.add("memory: potentials of updates", 2 * updates, access, "timesteps")
            balance.add("memory: spikes", population.spikes, access, "spikes")
    return tuple(line for line in balance.lines() if line.energy)


def _add_memory(balance: Balance, synapse: SynapseWork, steps: float, bits: int) -> None:
    events, macs = synapse.synaptic_operations, synapse.multiply_accumulates
    weights, inputs, outputs = (
        access_energy(size, bits) for size in (synapse.weights, synapse.inputs, synapse.outputs)
    )
    balance.add("memory: weights", events if synapse.weights else 0.0, weights, "spikes")
    balance.add("memory: potentials of events", 2 * events, outputs, "spikes")
    balance.add("memory: spikes", synapse.arriving_spikes, inputs, "spikes")
    biases = access_energy(synapse.stored_biases, bits)
    balance.add("memory: biases", synapse.biased_outputs * steps, biases, "timesteps")
    balance.add("addresses", events, ADD_INT32, "spikes")
    along_axes = synapse.arriving_spikes * synapse.dimensions
    balance.add("addresses", along_axes, ADD_INT32 + MULTIPLY_INT32, "spikes")
    grows = "once" if synapse.reads == "constant" else "timesteps"
    balance.add("memory: real-valued input, weights", macs, inputs + weights, grows)
