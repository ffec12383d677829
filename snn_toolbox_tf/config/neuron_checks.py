"""What the settings of neurons say together, and together with other sections."""

from typing import TYPE_CHECKING

from snn_toolbox_tf.config.cell import LEAKY, Cell
from snn_toolbox_tf.config.section import ConfigurationError

if TYPE_CHECKING:
    from snn_toolbox_tf.config.settings import Settings


def check_neurons(settings: "Settings") -> None:
    """Checks the settings of neurons.

    Raises:
        ConfigurationError: If they contradict each other, or what other sections ask for.
    """
    _check_membrane(settings.cell)
    _check_schedule(settings)
    _check_signed_spikes(settings.cell)
    _check_burst(settings.cell)
    given = ", ".join(f"{key} = {value}" for key, value in settings.cell.beyond_plain.items())
    if given and settings.normalization.calibration == "gradient":
        raise ConfigurationError(
            "[normalization] calibration = gradient is for integrate-and-fire neurons. "
            f"Received: [cell] {given}. Set calibration = automatic, or leave these keys out."
        )
    if given and settings.conversion.spike_code == "latency":
        raise ConfigurationError(
            "[conversion] spike_code = latency has neurons of its own, which spike once. "
            f"Received: [cell] {given}. Set spike_code = rate, or leave these keys out."
        )


def _check_membrane(cell: Cell) -> None:
    if cell.leaks and cell.tau_m is None:
        raise ConfigurationError(
            f"[cell] neuron = {cell.neuron} needs tau_m, its membrane time constant. "
            "Expected a positive number of ms, or inf. Received: no tau_m."
        )
    for key, given in (("tau_m", cell.tau_m is not None), ("v_rest", cell.v_rest != 0)):
        if given and not cell.leaks:
            raise ConfigurationError(
                f"[cell] {key} = {getattr(cell, key):g}: this is for neurons that leak. Received: neuron = {cell.neuron}. "
                f"Set neuron = {LEAKY}, or leave {key} out."
            )
    if cell.v_reset and cell.reset != "zero":
        raise ConfigurationError(
            f"[cell] v_reset = {cell.v_reset:g} is what a hard reset sets the potential to. Received: reset = {cell.reset}. "
            "Set reset = zero, or leave v_reset out."
        )


def _check_schedule(settings: "Settings") -> None:
    if settings.simulation.schedule != "layer_synchronous":
        return
    cell = settings.cell
    if cell.reset != "subtract":
        raise ConfigurationError("[simulation] schedule = layer_synchronous needs [cell] reset = subtract.")
    if cell.beyond_plain:
        given = ", ".join(f"{key} = {value}" for key, value in cell.beyond_plain.items())
        raise ConfigurationError(
            "[simulation] schedule = layer_synchronous needs neurons that integrate all timesteps before they fire, and "
            f"lose nothing. Received: [cell] {given}. Set schedule = step, or leave these keys out."
        )


def _check_signed_spikes(cell: Cell) -> None:
    if cell.signed_spikes and cell.beyond_the_membrane:
        given = ", ".join(f"{key} = {value}" for key, value in cell.beyond_the_membrane.items())
        raise ConfigurationError(
            "[cell] signed_spikes = True: neurons that take spikes back have none of these. "
            f"Received: {given}. Set signed_spikes = False, or leave these keys out."
        )


def _check_burst(cell: Cell) -> None:
    hard = {"reset": cell.reset} if cell.reset != "subtract" else {}
    others = {**hard, "tau_ref": cell.tau_ref, "adaptation": cell.adaptation}
    given = ", ".join(f"{key} = {value}" for key, value in others.items() if value)
    if cell.burst > 1 and given:
        raise ConfigurationError(
            f"[cell] burst = {cell.burst}: several spikes in a timestep need a soft reset, and have no refractory period or "
            f"adapting threshold between them. Received: {given}. Set burst = 1, or leave these keys out."
        )
