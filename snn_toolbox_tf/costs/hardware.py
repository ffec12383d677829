"""`Hardware`: what operations cost, in pJ, with the sources of the figures."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_positive_integer, is_number

#: One integer addition and multiplication of 32 bits, as addresses need them (Horowitz 2014, 45 nm), in pJ.
ADD_INT32, MULTIPLY_INT32 = 0.1, 3.1
#: Sizes of on-chip memories in bytes, and the energy of an access to them in pJ (Horowitz 2014, 45 nm).
_SIZES, _ENERGIES = (8192, 32768, 1048576), (10.0, 20.0, 100.0)
#: An access to memory outside the chip, in pJ (Horowitz 2014: 1.3 to 2.6 nJ).
_OUTSIDE = 1300.0

_HOROWITZ = "Horowitz 2014, Computing's energy problem, 45 nm, 0.9 V"
_KERAS_SPIKING = "as listed by KerasSpiking's ModelEnergy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """Energy of a spiking network's operations on some hardware.

    Args:
        name: Its name in tables.
        synaptic_event: Of adding a weight to a membrane potential, for a spike and a connection, in pJ.
        neuron_update: Of a neuron's update at every timestep, in pJ.
        accumulate: Of adding a bias, and of resetting a neuron that has fired, in pJ; 0 where a neuron's update has it.
        multiply_accumulate: Of a MAC, for real-valued input, in pJ; None where the hardware cannot multiply, so that a host
            does, in FP32 at 45 nm.
        leak: Of multiplying a membrane potential by its leak, for a neuron and timestep, in pJ; 0 where its update has it.
        bits: Bits of a weight and of a membrane potential in memory.
        memory_apart: Whether these figures leave accesses to memory out, so that they can be counted apart.
        source: Where the figures are from.

    Raises:
        ValueError: If an energy is negative or not finite.

    Example:
        >>> from snn_toolbox_tf.costs import Hardware
        >>> Hardware(name="mine", synaptic_event=5.0, neuron_update=20.0).multiply_accumulate is None
        True
    """

    name: str
    synaptic_event: float
    neuron_update: float
    accumulate: float = 0.0
    multiply_accumulate: float | None = None
    leak: float = 0.0
    bits: int = 32
    memory_apart: bool = False
    source: str = "stated by the user"

    def __post_init__(self) -> None:
        for name in ("synaptic_event", "neuron_update", "accumulate", "multiply_accumulate", "leak"):
            value = getattr(self, name)
            if value is None and name == "multiply_accumulate":
                continue
            if not is_number(value) or value < 0:
                raise ValueError(
                    f"Expected `{name}` of hardware '{self.name}' to be an energy in pJ, 0 or more. Received: {value!r}"
                )
        check_positive_integer(self.bits, "bits")


def _at_45_nm(name: str, multiply_accumulate: float, accumulate: float, bits: int) -> Hardware:
    """A neuron's update compares a potential with its threshold: an addition."""
    return Hardware(
        name=name,
        synaptic_event=accumulate,
        neuron_update=accumulate,
        accumulate=accumulate,
        multiply_accumulate=multiply_accumulate,
        leak=multiply_accumulate,
        bits=bits,
        memory_apart=True,
        source=_HOROWITZ,
    )


#: Hardware by the name by which `energy` knows it.
HARDWARE: dict[str, Hardware] = {
    "45nm": _at_45_nm("45 nm, FP32", 4.6, 0.9, 32),
    "45nm-fp16": _at_45_nm("45 nm, FP16", 1.5, 0.4, 16),
    "45nm-int8": _at_45_nm("45 nm, INT8", 0.23, 0.03, 8),
    "loihi": Hardware(
        name="Loihi", synaptic_event=27.1, neuron_update=81.0, source=f"Davies et al. 2018, {_KERAS_SPIKING}"
    ),
    "spinnaker": Hardware(
        name="SpiNNaker", synaptic_event=13.3e3, neuron_update=26e3, source=f"Höppner et al. 2017, {_KERAS_SPIKING}"
    ),
    "spinnaker2": Hardware(
        name="SpiNNaker 2", synaptic_event=450.0, neuron_update=2190.0, source=f"Höppner et al. 2017, {_KERAS_SPIKING}"
    ),
}


def hardware_of(hardware: str | Hardware | Mapping[str, Any]) -> Hardware:
    """Returns hardware by its name, from its figures in a dict, or as it is.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the name or a figure's name is unknown, or a figure is no energy.
    """
    if isinstance(hardware, Hardware):
        return hardware
    if isinstance(hardware, Mapping):
        known = [field.name for field in dataclasses.fields(Hardware)]
        unknown = sorted(set(map(str, hardware)) - set(known))
        missing = {"synaptic_event", "neuron_update"} - set(hardware)
        if unknown or missing:
            raise ValueError(
                f"Expected `hardware` to have 'synaptic_event' and 'neuron_update', and no others than {known}. "
                f"Received: {sorted(map(str, hardware))}"
            )
        return Hardware(**{"name": "stated by the user", **hardware})
    if isinstance(hardware, str):
        return HARDWARE[check_one_of(hardware.lower(), tuple(HARDWARE), "hardware")]
    raise TypeError(
        f"Expected `hardware` to be a name ({', '.join(HARDWARE)}), a dict of energies in pJ or a `Hardware`. "
        f"Received: {type(hardware).__name__}"
    )


def access_energy(elements: float, bits: int) -> float:
    """Returns the energy of reading or writing a word of a memory, in pJ.

    Between the sizes that Horowitz (2014) lists, energy is interpolated, as Lemaire et al. (2022) do; smaller memories cost
    what the smallest does. Beyond the largest, the last slope goes on up to the cost of an access outside the chip.

    Args:
        elements: How many words the memory holds.
        bits: Bits of a word.
    """
    size = elements * bits / 8
    beyond = max(0.0, size - _SIZES[-1]) * (_ENERGIES[-1] - _ENERGIES[-2]) / (_SIZES[-1] - _SIZES[-2])
    return min(float(np.interp(size, _SIZES, _ENERGIES)) + beyond, _OUTSIDE)
