"""What makes a network accurate at few timesteps, beyond thresholds: found on the spikes that it really emits."""

from snn_toolbox_tf.corrections.automatic import (
    FEWEST_SAMPLES,
    Recipe,
    Samples,
    Trial,
    best_of,
    largest_number_to_round,
    recipes_for,
    tried,
)
from snn_toolbox_tf.corrections.delays import settled_from, wait_with_biases
from snn_toolbox_tf.corrections.stages import is_feasible
from snn_toolbox_tf.corrections.steps import CORRECTIONS
from snn_toolbox_tf.corrections.write import write_settings, write_weights

__all__ = [
    "CORRECTIONS",
    "FEWEST_SAMPLES",
    "Recipe",
    "Samples",
    "Trial",
    "best_of",
    "is_feasible",
    "largest_number_to_round",
    "recipes_for",
    "settled_from",
    "tried",
    "wait_with_biases",
    "write_settings",
    "write_weights",
]
