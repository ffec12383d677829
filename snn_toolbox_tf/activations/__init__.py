"""Nonlinearities of the source: what populations can stand for, and what may only stand at an output."""

from snn_toolbox_tf.activations.kinds import (
    ACTIVATION_LAYERS,
    CUSTOM_FUNCTION,
    is_output_nonlinearity,
    refusal_of,
)
from snn_toolbox_tf.activations.rectifiers import FUNCTIONS, TRAINED_RECTIFIERS, Piece, Rectifier, rectifier_of

__all__ = [
    "ACTIVATION_LAYERS",
    "CUSTOM_FUNCTION",
    "FUNCTIONS",
    "TRAINED_RECTIFIERS",
    "Piece",
    "Rectifier",
    "is_output_nonlinearity",
    "rectifier_of",
    "refusal_of",
]
