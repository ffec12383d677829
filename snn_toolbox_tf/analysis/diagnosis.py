"""Where a network that fails is lost, and what to try next: from what was measured on it, and from nothing else."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from snn_toolbox_tf.analysis.fidelity import Fidelity, PopulationFidelity
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.model.conversion_record import ConversionRecord
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.report.text import number, percent

#: Inputs whose largest values differ by more than this factor are scaled differently.
OTHER_SCALE = 4.0
#: Fewer calibration samples than these are few.
FEW_SAMPLES = 32
#: Half of the default threshold is the least that rounds more to the nearest rate than down.
_ROUNDS_DOWN = 0.25
_MOST_NAMES = 3


class OtherScale(NamedTuple):
    """An input that is scaled in another way than in the calibration data: its name, and the largest values of both."""

    name: str
    tested: float
    calibrated: float

    def __str__(self) -> str:
        return (
            f"The largest test input for '{self.name}' is {self.tested:.3g}, that of the calibration data "
            f"{self.calibrated:.3g}: they are scaled differently. Preprocess both as in training."
        )


def other_scales(model_snn: SpikingModel, largest_inputs: Mapping[str, float]) -> Iterator[OtherScale]:
    """Yields the inputs that are scaled in another way than in the calibration data.

    Args:
        model_snn: The spiking network; it knows the largest input of its calibration data.
        largest_inputs: The largest absolute test value by input name.
    """
    if not model_snn.conversion.calibration_samples:
        return
    for node in inputs_of(model_snn.network.graph):
        found = OtherScale(node.name, largest_inputs[node.name], node.magnitude)
        if found.tested > OTHER_SCALE * found.calibrated or OTHER_SCALE * found.tested < found.calibrated:
            yield found


def diagnose(fidelity: Fidelity, model_snn: SpikingModel, simulation: Mapping[str, Any]) -> Fidelity:
    """Returns a measurement with its diagnosis: the population at which most is lost, why, and the next thing to try.

    An error in front is passed on to everything behind it. So the population is the first of those that add at least half
    as much, by themselves, as the one that adds most.

    Args:
        fidelity: What was measured.
        model_snn: The network.
        simulation: How it was simulated.
    """
    adding = [row for row in fidelity.populations if row.added > 0]
    if not adding:
        return fidelity
    most = max(row.added for row in adding)
    first, *others = [row for row in adding if row.added >= most / 2]
    facts = _Facts(fidelity, model_snn.conversion, list(other_scales(model_snn, fidelity.largest_inputs)), simulation)
    finding, advice = _CAUSES[first.cause](first, facts)
    text = (
        f"Most is lost at population '{first.name}'{_likewise(others)}, which adds an error of {percent(first.added, 0)} to "
        f"that of its input: {finding}. Next: {advice}."
    )
    return dataclasses.replace(fidelity, diagnosis=text)


def _likewise(others: list[PopulationFidelity]) -> str:
    """Names the populations that add similar errors, not all of them in a deep network."""
    if not others:
        return ""
    named = ", ".join(repr(row.name) for row in others[:_MOST_NAMES])
    more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
    return f" (and by similar amounts at {named}{more})"


class _Facts(NamedTuple):
    """What is known of a network besides the row of a population."""

    fidelity: Fidelity
    conversion: ConversionRecord
    scales: list[OtherScale]
    simulation: Mapping[str, Any]

    def calibration(self, *, too_small: bool) -> str | None:
        """Returns what is wrong with the calibration data, if it is scaled too small (or too large) or hardly there."""
        for scale in self.scales:
            if (scale.tested > scale.calibrated) == too_small:
                return (
                    f"prepare the calibration data like the test data (largest value of input '{scale.name}': "
                    f"{scale.calibrated:.3g} in calibration, {scale.tested:.3g} here), and convert again"
                )
        if not self.conversion.calibration_samples:
            return "convert with calibration data (x_norm.npz); these thresholds were estimated without any"
        return None


def _clipping(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    made = facts.conversion
    finding = (
        f"its thresholds are too low, {percent(row.clipped, 1)} of the ANN's activations are above them, the largest by a "
        f"factor of {number(row.largest, 3)}"
    )
    calibration = facts.calibration(too_small=True)
    if calibration:
        return finding, calibration
    if made.threshold_scale is not None and made.threshold_scale < 1:
        return finding, f"threshold_scale=1 (v_thresh in a configuration), which is {made.threshold_scale:g}"
    if made.threshold_rule == "percentile" and made.percentile is not None and made.percentile < 99.9:
        return finding, f"percentile=99.9, which is {made.percentile:g}"
    if 0 < made.calibration_samples < FEW_SAMPLES:
        return finding, f"more calibration data; there were {made.calibration_samples} samples"
    if made.threshold_rule == "custom":
        return finding, "give this population higher thresholds: they come from a threshold rule of your own"
    return finding, (
        "calibrate with samples like these. Thresholds that clip none of them are "
        f"threshold_scale={number(row.largest, 3)} (v_thresh), at the price of coarser rates"
    )


def _quantisation(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    made, timesteps = facts.conversion, facts.fidelity.timesteps
    if row.largest * OTHER_SCALE < 1:
        finding = f"its thresholds are too high, its largest activation is {number(row.largest, 2)} of its threshold"
        calibration = facts.calibration(too_small=False)
        if calibration:
            return finding, calibration
        if made.threshold_scale is not None and made.threshold_scale > 1:
            return finding, f"threshold_scale=1 (v_thresh in a configuration), which is {made.threshold_scale:g}"
        if made.threshold_rule == "percentile" and made.percentile is not None and made.percentile > 99.9:
            return finding, f"percentile=99.9, which is {made.percentile:g}: one outlier decides"
        return finding, "calibrate with samples like these"
    finding = (
        f"its thresholds fit (the largest activation is {number(row.largest, 2)} of its threshold), but {timesteps} "
        f"timesteps are too few for its activations, as rates are multiples of 1/{timesteps}"
    )
    rounding = ""
    if made.v0 is not None and made.v0 < _ROUNDS_DOWN:
        rounding = f", and v0=0.5, which rounds rates to nearest and not down (v0 is {made.v0:g})"
    return finding, f"{_more_timesteps(facts)}{rounding}"


def _unevenness(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    finding = "spikes arrive unevenly, and a neuron cannot take back those that it has fired too early"
    errors, even = facts.fidelity.output_error, facts.fidelity.output_synchronous
    advice = _more_timesteps(facts)
    if facts.simulation["schedule"] == "step" and all(even[name] < 0.5 * error for name, error in errors.items()):
        left = ", ".join(f"{number(even[name], 2)} in place of {number(errors[name], 2)}" for name in errors)
        advice += f"; or schedule='layer_synchronous', which on these samples leaves an error of the output of {left}"
    return finding, advice


def _reset(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    return (
        "a hard reset throws away what exceeds the threshold at every spike, and more timesteps do not bring it back",
        "reset='subtract' (soft reset), which keeps it for the next spike",
    )


def _leak(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    return (
        "its neurons leak, so that currents which come slowly are forgotten",
        "neurons without leak, or with a larger time constant",
    )


def _refractory_period(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    return (
        "its neurons rest after each spike, which limits their rate and delays or loses what comes meanwhile",
        "neurons with a shorter refractory period, or refractory_input='integrated', which loses nothing",
    )


def _synaptic_filter(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    return (
        "its synaptic filters pass currents on late, and the last of them not at all",
        f"{_more_timesteps(facts)}, a shorter tau_s, or a later `readout_start`",
    )


def _adaptation(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    return (
        "each spike raises its thresholds, so that rates grow less than their input",
        "a smaller `adaptation`, or thresholds that return faster (`tau_a`)",
    )


def _neuron(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    return (
        "plain integrate-and-fire neurons would not lose it",
        "plain neurons, or for each parameter of these neurons a value nearer to none",
    )


def _noise(row: PopulationFidelity, facts: _Facts) -> tuple[str, str]:
    return (
        f"it reads Poisson spikes, whose rates are noisy after {facts.fidelity.timesteps} timesteps",
        f"analog input, or {_more_timesteps(facts)}",
    )


def _more_timesteps(facts: _Facts) -> str:
    timesteps = facts.fidelity.timesteps
    return f"more timesteps, for example {4 * timesteps} (now {timesteps})"


_CAUSES: dict[str, Callable[[PopulationFidelity, _Facts], tuple[str, str]]] = {
    "clipping": _clipping,
    "quantisation": _quantisation,
    "unevenness": _unevenness,
    "reset": _reset,
    "leak": _leak,
    "refractory period": _refractory_period,
    "synaptic filter": _synaptic_filter,
    "adaptation": _adaptation,
    "neuron": _neuron,
    "noise": _noise,
}
