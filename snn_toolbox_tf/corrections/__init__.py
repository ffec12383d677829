"""What makes a network accurate at few timesteps, beyond thresholds: found on the spikes that it really emits."""

from snn_toolbox_tf.corrections.automatic import RECIPES, Recipe, Trial, best_of, held_out_of, samples_to_walk, tried
from snn_toolbox_tf.corrections.steps import CORRECTIONS
from snn_toolbox_tf.corrections.write import write_settings

__all__ = [
    "CORRECTIONS",
    "RECIPES",
    "Recipe",
    "Trial",
    "best_of",
    "held_out_of",
    "samples_to_walk",
    "tried",
    "write_settings",
]
