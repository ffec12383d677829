"""`GradientCalibration`: how a spiking network learns from its source."""

import dataclasses

from snn_toolbox_tf.foundation.argument_checks import check_positive_integer, is_number

#: Below so many samples a network would learn them by heart.
FEWEST_SAMPLES = 64


def check_samples(count: int) -> None:
    """Raises a ValueError if there are too few samples to learn from."""
    if count < FEWEST_SAMPLES:
        raise ValueError(
            f"Calibration by gradient needs {FEWEST_SAMPLES} calibration samples at least, a quarter of which is held out, "
            f"better a thousand. Received: {count}. Pass more, or take calibration='automatic'."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientCalibration:
    """Calibration by gradient: the spiking network learns from its source, on calibration data without labels.

    It starts from what calibration has found without gradients, is compared with the source on samples that are held out
    after each pass, and ends as the best of these states, which is never worse than the first.

    Args:
        epochs: Passes through the samples, at most.
        train_weights: Whether weights learn, or only thresholds, initial potentials and biases.
        batch_size: Samples per step.
        learning_rate: Change of a weight in one step, relative to the size of its layer's weights; found by trial if None.
        samples: How many calibration samples are used at most, those that are held out included.
        verbose: Whether progress is shown.

    Raises:
        ValueError: If one is not usable.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((64, 4), "float32")
        >>> learning = snn.GradientCalibration(epochs=1, train_weights=False, learning_rate=1e-3)
        >>> model_snn = snn.convert_keras(model, x, timesteps=4, calibration=learning)
        >>> model_snn.conversion.epochs, model_snn.conversion.agreement >= model_snn.conversion.agreement_before
        (1, True)
    """

    epochs: int = 8
    train_weights: bool = True
    batch_size: int = 32
    learning_rate: float | None = None
    samples: int = 5000
    verbose: bool = False

    def __post_init__(self) -> None:
        check_positive_integer(self.epochs, "epochs")
        check_positive_integer(self.batch_size, "batch_size")
        check_positive_integer(self.samples, "samples")
        if self.samples < FEWEST_SAMPLES:
            raise ValueError(
                f"Expected `samples` to be {FEWEST_SAMPLES} at least, a quarter of which is held out. "
                f"Received: samples={self.samples!r}"
            )
        for name in ("train_weights", "verbose"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"Expected `{name}` to be True or False. Received: {name}={getattr(self, name)!r}")
        if self.learning_rate is not None and not (is_number(self.learning_rate) and 0 < self.learning_rate <= 1):
            raise ValueError(
                "Expected `learning_rate` to be in (0, 1], relative to the size of the weights, or None to have it found. "
                f"Received: learning_rate={self.learning_rate!r}"
            )
