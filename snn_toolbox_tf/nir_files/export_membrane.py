"""Neurons as NIR nodes: their membrane, and the synaptic filter in front of it.

NIR's time constants are in seconds. A current that is constant within a timestep of `dt` seconds is integrated exactly:
`I = s I + (1 - s) S`, `s = exp(-dt / tau_syn)`, and then `v = d v + (1 - d) (v_leak + r I)`, `d = exp(-dt / tau_mem)`.
"""

from typing import Any

import numpy as np

from snn_toolbox_tf.neurons import LeakyIntegrateAndFire, Neuron
from snn_toolbox_tf.nir_files.builder import CannotExportError, NirBuilder, narrow
from snn_toolbox_tf.nir_files.terms import Term


def refuse_unknown(neuron: Neuron) -> None:
    """Refuses neurons that no NIR node describes.

    Raises:
        CannotExportError: If they are such neurons.
    """
    if neuron.signed_spikes:
        raise CannotExportError("NIR's spikes are 0 or 1, and it takes spikes back", "Convert with signed_spikes=False")
    unknown = {"refractory periods": neuron.refractory_timesteps > 0, "thresholds that adapt": neuron.adaptation > 0}
    unknown["bursts of spikes"] = neuron.burst > 1
    found = " and ".join(name for name, has in unknown.items() if has)
    if found:
        raise CannotExportError(
            f"no NIR node has {found}, and its neurons are {neuron}", "Convert with neurons without them"
        )


def filtered(builder: NirBuilder, neuron: Neuron, dt: float, name: str, edges: list[Term]) -> list[Term]:
    """Adds the synaptic filter of neurons whose node has none; returns what these read then.

    Args:
        builder: The NIR graph.
        neuron: What the neurons do.
        dt: Seconds in a timestep.
        name: Name of the population.
        edges: What it reads.
    """
    if not neuron.tau_s or _is_one_node(neuron):
        return edges
    nir, shape = builder.nir, edges[0].shape
    tau, fields = np.full(shape, neuron.tau_s / neuron.dt * dt), {"r": np.ones(shape), "v_leak": np.zeros(shape)}
    if neuron.synapse == "exponential":
        node = nir.LI(tau=tau, **fields)
    else:
        node = nir.CubaLI(tau_syn=tau, tau_mem=tau, w_in=np.ones(shape), **fields)
    return [Term(builder.add(f"{name}_filter", node, edges), shape, edges[0].indices)]


def membrane(nir: Any, neuron: Neuron, dt: float, threshold: np.ndarray) -> Any:
    """Returns the NIR node of neurons.

    Args:
        nir: The package.
        neuron: What the neurons do.
        dt: Seconds in a timestep.
        threshold: Their thresholds, in NIR's layout.
    """
    shape = threshold.shape
    fields = {"v_threshold": threshold, "v_reset": narrow(neuron.v_reset * threshold.astype(np.float64))}
    if not (isinstance(neuron, LeakyIntegrateAndFire) and np.isfinite(neuron.tau_m)):
        return nir.IF(r=narrow(np.full(shape, 1.0 / dt)), **fields)
    # Ours adds tau_m (1 - exp(-1 / tau_m)) times the current, NIR's exact solution (1 - exp(-dt / tau)) r times.
    timesteps = neuron.tau_m / neuron.dt
    fields |= {"r": np.full(shape, timesteps), "v_leak": narrow(neuron.v_rest * threshold.astype(np.float64))}
    if _is_one_node(neuron):
        tau_syn, w_in = np.full(shape, neuron.tau_s / neuron.dt * dt), np.ones(shape)
        return nir.CubaLIF(tau_syn=tau_syn, tau_mem=np.full(shape, timesteps * dt), w_in=w_in, **fields)
    return nir.LIF(tau=np.full(shape, timesteps * dt), **fields)


def _is_one_node(neuron: Neuron) -> bool:
    """Whether there is a node for filter and membrane together."""
    leaks = isinstance(neuron, LeakyIntegrateAndFire) and bool(np.isfinite(neuron.tau_m))
    return leaks and neuron.tau_s > 0 and neuron.synapse == "exponential"
