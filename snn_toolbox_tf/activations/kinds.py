"""Nonlinear layers and functions: which there are, which may stand at an output, and which are refused inside."""

from snn_toolbox_tf.activations.rectifiers import TRAINED_RECTIFIERS, rectifier_of
from snn_toolbox_tf.graph import LayerSpec, Refusal

#: Layers that are a nonlinearity and nothing else.
ACTIVATION_LAYERS = ("Activation", "ReLU", "Softmax", "LeakyReLU", "PReLU", "ELU")

#: Activation functions that jump.
_JUMPING_FUNCTIONS = ("hard_shrink", "threshold")

#: How the name of a function begins that is none of Keras's.
CUSTOM_FUNCTION = "custom function"

_NOT_RELU = Refusal(
    "a spiking population stands for ReLU and other piecewise linear rectifiers only",
    "retrain with ReLU; a model's output may have any function of `keras.activations`",
)
_JUMPS = Refusal(
    "it jumps at its threshold, and no integrate-and-fire population's rate converges to a jump",
    "use a ReLU with threshold=0, with a bias in front of it",
)


def is_output_nonlinearity(layer: LayerSpec) -> bool:
    """Whether an activation layer may be applied to a decoded readout: it has no weights, and its function is Keras's."""
    if layer.class_name == "Activation":
        # Keras's layer passes its function no parameters.
        return not layer.config["activation"].startswith(CUSTOM_FUNCTION) and "lambd" not in layer.config
    return layer.class_name not in ("PReLU", *TRAINED_RECTIFIERS)


def refusal_of(layer: LayerSpec) -> Refusal | None:
    """Returns why no populations can stand for an activation layer, or None if they can."""
    if rectifier_of(layer) is not None:
        return None
    jumps = layer.config.get("threshold") or layer.config.get("activation", "").endswith(_JUMPING_FUNCTIONS)
    return _JUMPS if jumps else _NOT_RELU
