"""The sections of the settings that say where thresholds come from, and how the network learns."""

import dataclasses

from snn_toolbox_tf.config import lists, values
from snn_toolbox_tf.config.section import Section, setting

#: Named here once more, because the command line answers before what does them is imported; a test holds both together.
THRESHOLD_RULES = ("percentile", "maximum", "mean_square_error", "local_threshold_balancing")
CORRECTIONS = (
    *("shift", "biases", "thresholds", "initial_potentials", "neuron_potentials", "weights", "gains", "timed_biases"),
)


@dataclasses.dataclass(frozen=True)
class Normalization(Section):
    """Thresholds: found, unless a rule, corrections, percentile, per_channel, v_thresh, v0 or population_starts is given."""

    threshold_rule: str | None = setting(
        None,
        values.optional(values.choice(values.same(*THRESHOLD_RULES))),
        "How thresholds follow from the activations that x_norm.npz causes.",
        "conversion",
    )
    corrections: tuple[str, ...] = setting(
        (),
        lists.sequence(CORRECTIONS, "corrections in the order in which they are made"),
        "What is corrected then, on the spikes that x_norm.npz causes.",
        "conversion",
    )
    calibration: str = setting(
        "automatic",
        values.choice(values.same("automatic", "gradient")),
        "gradient: after it, the network learns from its source, on x_norm.npz without labels, as [gradient_calibration] "
        "says. It takes minutes.",
        "conversion",
    )
    percentile: float | None = setting(
        None,
        values.optional(values.number(0, 100, open_low=True)),
        "theta is this percentile of the positive activations.",
        "conversion",
    )
    per_channel: bool | None = setting(
        None,
        values.optional(values.boolean()),
        "One threshold per channel; False: one per population.",
        "conversion",
    )
    num_samples: int | None = setting(
        None, values.integer(1, optional=True), "Number of samples of x_norm.npz to use; all if empty.", "calibration"
    )


@dataclasses.dataclass(frozen=True)
class GradientCalibration(Section):
    """How the network learns from its source, with [normalization] calibration = gradient."""

    epochs: int | None = setting(
        None, values.integer(1, optional=True), "Passes through the samples, at most; 8 if empty.", "conversion"
    )
    train_weights: bool | None = setting(
        None,
        values.optional(values.boolean()),
        "False: only thresholds, initial potentials and biases learn; weights, too, if empty.",
        "conversion",
    )
    learning_rate: float | None = setting(
        None,
        values.optional(values.number(0, 1, open_low=True)),
        "Change of a weight in one step, relative to the size of its layer's weights; found by trial if empty.",
        "conversion",
    )
    learning_samples: int | None = setting(
        None,
        values.integer(64, optional=True),
        "Number of samples of x_norm.npz to use, at most, a quarter of which is held out; 5000 if empty.",
        "conversion",
    )
    learning_batch_size: int | None = setting(
        None, values.integer(1, optional=True), "Samples per step of learning; 32 if empty.", "conversion"
    )
