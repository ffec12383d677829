"""`EarlyExit`: when a sample's output is sure enough to be its answer, and when each sample of a run would have been."""

import dataclasses
import numbers
from typing import Any, NamedTuple

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_positive_integer, check_timesteps
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.tasks.classes import decisions

CRITERIA = ("probability", "margin")
#: From "at once" to one in 16,384, evenly in bits of doubt: what lies between matters where networks are nearly sure.
CONFIDENCES = 1.0 - 2.0 ** -np.arange(0.0, 14.25, 0.25)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyExit:
    """When a sample has an answer, and need not be simulated any longer.

    Args:
        confidence: How sure the output must be, in [0, 1].
        criterion: What is compared with it: the "probability" of the most probable class, or its "margin" before the
            second. Of logits, probabilities are the softmax.
        min_timesteps: No sample answers in fewer timesteps.
        patience: The number of looks in a row at which the output must be sure, of the same class.
        every: The outputs are looked at after every so many timesteps. Between looks a network runs in larger blocks.

    Raises:
        ValueError: For a number out of its range, or an unknown criterion.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
        >>> x = np.random.default_rng(0).random((10, 4), "float32")
        >>> model_snn = snn.convert_keras(model, x, timesteps=16)
        >>> result = model_snn.simulate(x, outputs="last", early_exit=snn.EarlyExit(confidence=0.5, min_timesteps=4))
        >>> result.exit_timesteps.shape, 4 <= result.mean_timesteps <= 16
        ((10,), True)
    """

    confidence: float = 0.9
    criterion: str = "probability"
    min_timesteps: int = 1
    patience: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.confidence, bool) or not isinstance(self.confidence, numbers.Real):
            raise ValueError(f"Expected a `confidence` to be a number from 0 to 1. Received: {self.confidence!r}")
        check_confidences(self.confidence)
        check_one_of(self.criterion, CRITERIA, "criterion")
        check_timesteps(self.min_timesteps, "min_timesteps")
        check_positive_integer(self.patience, "patience")
        check_positive_integer(self.every, "every")

    def looks_at(self, timestep: int) -> bool:
        """Whether the outputs are looked at after so many timesteps."""
        return timestep >= self.min_timesteps and timestep % self.every == 0

    def confidences(self, outputs: np.ndarray, *, from_logits: bool) -> np.ndarray:
        """Returns how sure outputs `[..., classes]` are by the criterion, float64 `[...]`."""
        probabilities = outputs.astype(np.float64)
        if probabilities.shape[-1] == 1:
            probabilities = np.concatenate([1.0 - probabilities, probabilities], axis=-1)
        elif from_logits:
            exponentials = np.exp(probabilities - probabilities.max(axis=-1, keepdims=True))
            probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
        if self.criterion == "probability":
            return probabilities.max(axis=-1)
        second, first = np.moveaxis(np.partition(probabilities, -2, axis=-1)[..., -2:], -1, 0)
        return first - second

    def exits(self, outputs: np.ndarray, timesteps: np.ndarray, *, from_logits: bool, confidences: Any) -> np.ndarray:
        """Returns where each sample of a whole run would have answered, had it been asked for these confidences.

        Args:
            outputs: Decoded outputs, `[points, samples, classes]`.
            timesteps: The numbers of timesteps after which they are, `[points]`.
            from_logits: Whether they are logits.
            confidences: The confidences, `[confidences]`.

        Returns:
            Places among the points, int64 `[confidences, samples]`; the last one for samples that are never sure.
        """
        sure, chosen = self.confidences(outputs, from_logits=from_logits), decisions(outputs)
        watch = Watch(self, outputs.shape[1], confidences)
        places = np.full((len(confidences), outputs.shape[1]), len(timesteps) - 1)
        waiting = np.ones(places.shape, bool)
        for place, timestep in enumerate(timesteps.tolist()):
            if self.looks_at(timestep):
                answers = waiting & watch.look(sure[place], chosen[place])
                places[answers], waiting = place, waiting & ~answers
        return places


class Watch:
    """Looks at outputs, one look after the other, and says which are answers.

    Args:
        rule: When they are.
        samples: Number of samples.
        confidences: Several confidences in place of the rule's own, `[confidences]`.
    """

    def __init__(self, rule: EarlyExit, samples: int, confidences: Any = None) -> None:
        self._rule = rule
        self._least = np.reshape(rule.confidence if confidences is None else confidences, (-1, 1))
        self._streaks = np.zeros((len(self._least), samples), np.int64)
        self._last = np.full(samples, -1)

    def look(self, confidence: np.ndarray, decision: np.ndarray) -> np.ndarray:
        """Returns which samples have an answer, bool `[confidences, samples]`.

        Args:
            confidence: How sure the output of each sample is, `[samples]`.
            decision: The class that it stands for, likewise.
        """
        unchanged = np.where(decision == self._last, self._streaks, 0)
        self._streaks = np.where(confidence >= self._least, unchanged + 1, 0)
        self._last = decision
        return self._streaks >= self._rule.patience

    def keep(self, samples: np.ndarray) -> None:
        """Goes on with some of the samples, by a mask or their places."""
        self._streaks, self._last = self._streaks[:, samples], self._last[samples]


class AccuracyLatencyCurve(NamedTuple):
    """Accuracy against mean timesteps, over the confidence at which samples answer.

    Attributes:
        confidences: The confidences, float64 `[confidences]`.
        mean_timesteps: Timesteps until the answer, the mean over all samples, likewise.
        accuracy: Fraction of right answers, likewise.
    """

    confidences: np.ndarray
    mean_timesteps: np.ndarray
    accuracy: np.ndarray


def check_confidences(value: Any) -> np.ndarray:
    """Returns one or several confidences as a float64 vector, or raises an error."""
    try:
        values = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if isinstance(value, bool) or values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"Expected a `confidence` to be a number from 0 to 1. Received: {value!r}")
    return values


def holds_logits(graph: Graph) -> bool | None:
    """Returns whether a network's output is logits of classes, or their probabilities (False); None if it is neither."""
    if len(graph.readouts) != 1 or len(graph.output_shape(graph.readouts[0])) != 1:
        return None
    if graph.readouts[0].task not in ("", "classes"):
        return None
    (units,), decoder = graph.output_shape(graph.readouts[0]), graph.readouts[0].decoder
    if not decoder:
        return True if units > 1 else None
    last = decoder[-1]
    function = "softmax" if last.class_name == "Softmax" else last.config.get("activation")
    return False if function == ("softmax" if units > 1 else "sigmoid") else None


def check_early_exit(value: Any, graph: Graph, *, schedule: str, recorded: Any) -> EarlyExit | None:
    """Returns a rule that can be followed, or raises an error; see `SpikingModel.simulate`."""
    if value is None:
        return None
    if not isinstance(value, EarlyExit):
        raise TypeError(f"Expected `early_exit` to be `snn_toolbox_tf.EarlyExit(...)`. Received: {value!r}")
    other = [readout for readout in graph.readouts if readout.task not in ("", "classes")]
    if other:
        raise ValueError(
            f"Early exit needs classes to be sure of. Output '{other[0].name}' is {other[0].task}, as was stated or as its "
            "loss says: leave `early_exit` out, or convert with task='classes' if it holds classes."
        )
    if holds_logits(graph) is None:
        outputs = {readout.name: graph.output_shape(readout) for readout in graph.readouts}
        raise ValueError(
            "Early exit needs one output of class probabilities, softmax [classes] or sigmoid [1], or of logits [classes]. "
            f"Received outputs of shape: {outputs}"
        )
    if schedule == "layer_synchronous":
        raise ValueError("In a layer-synchronous run there is no early exit: its answer is there at the end.")
    if recorded:
        raise ValueError(
            "A run with early exit ends at another timestep for each sample, and keeps nothing for every timestep. Record "
            f"'spike_counts', or leave `early_exit` out. Received: record={sorted({kind for kind, _ in recorded})}"
        )
    return value
