"""Synaptic filters of a NIR file: nodes of their own, which become a part of the neurons that read them."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf.nir_files.graph_builder import CannotImportError, GraphBuilder

#: Nodes that are filters where spiking neurons read them and nothing else.
FILTERS = ("LI", "CubaLI")
#: What rounding does to a time constant, relative to it.
_NEAR = 2.0**-20


@dataclasses.dataclass(frozen=True)
class Filter:
    """A synaptic filter.

    Attributes:
        tau_s: Its time constant in timesteps; 0: none.
        synapse: "exponential", or "alpha" for two of them in a row.
        gain: What the current is multiplied by.
    """

    tau_s: float = 0.0
    synapse: str = "exponential"
    gain: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(()))


def filter_of(node: Any, builder: GraphBuilder, source: str, dt: float | None) -> Filter:
    """Returns the filter that a node is, or has: `LI`, `CubaLI`, `CubaLIF`; none for other nodes.

    NIR: tau dI/dt = -I + w S. Where S is constant in a timestep, I goes to S by the share 1 - exp(-dt / tau).

    Args:
        node: The NIR node.
        builder: The graph.
        source: The node that it reads.
        dt: Seconds in a timestep, or None.

    Raises:
        CannotImportError: If neurons here have no such filter.
    """
    kind = type(node).__name__
    if kind not in (*FILTERS, "CubaLIF"):
        return Filter()
    names = {"LI": ["tau"], "CubaLI": ["tau_syn", "tau_mem"], "CubaLIF": ["tau_syn"]}[kind]
    taus = [builder.array(getattr(node, name), source) for name in names]
    if dt is None:
        raise CannotImportError(
            f"its time constants are {_listed(taus)} seconds", "Pass `dt`, the seconds in a timestep"
        )
    tau = taus[0]
    if tau.ndim or not tau > 0 or any(other.ndim or abs(other - tau) > _NEAR * tau for other in taus):
        raise CannotImportError(
            f"its filter has time constants {_listed(taus)}",
            "Expected one that is positive, for all of its neurons (and for both parts of a CubaLI)",
        )
    gain = np.ones(())
    if kind in FILTERS:
        gain = builder.array(node.r, source)
        if builder.array(node.v_leak, source).any():
            raise CannotImportError("its filter has a leak potential", "Expected v_leak = 0; a bias does the same")
    if kind != "LI":
        gain = gain * builder.array(node.w_in, source)
    return Filter(float(tau) / dt, "alpha" if kind == "CubaLI" else "exponential", gain)


def _listed(values: list[np.ndarray]) -> str:
    ends = [sorted({float(value.min()), float(value.max())}) for value in values]
    return " and ".join(" to ".join(f"{end:g}" for end in both) for both in ends)
