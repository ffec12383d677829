"""What measures are called, and how they are shown."""

import dataclasses

import numpy as np

from snn_toolbox_tf.report.record import OutputRecord
from snn_toolbox_tf.report.text import fixed, number, percent


@dataclasses.dataclass(frozen=True)
class Measure:
    """A measure of an output that is no classes.

    Attributes:
        title: Its name, as the first word of a line.
        kind: How it is written: "share" in percent, "score" with decimals, "error" with significant digits.
    """

    title: str
    kind: str

    def text(self, value: float | None) -> str:
        """Returns a value of it as text."""
        if self.kind == "share":
            return percent(value)
        return fixed(value, 4) if self.kind == "score" else number(value, 4)

    @property
    def lower(self) -> str:
        """Its name within a line."""
        return self.title if self.title.startswith(("R²", "IoU")) else self.title[0].lower() + self.title[1:]


MEASURES = {
    "mean_iou": Measure("Mean IoU", "share"),
    "pixel_accuracy": Measure("Pixel accuracy", "share"),
    "mean_box_iou": Measure("Mean IoU of boxes", "share"),
    "r2": Measure("R²", "score"),
    "r2_to_ann": Measure("R² against the ANN", "score"),
    "root_mean_square_error": Measure("Root mean square error", "error"),
    "mean_absolute_error": Measure("Mean absolute error", "error"),
    "iou": Measure("IoU", "share"),
}


def score_of(output: OutputRecord) -> str | None:
    """Returns the name of the measure that stands for an output: the first one that it has; None of classes."""
    return next((name for name in MEASURES if name in output.measures), None)


def score_over_time(output: OutputRecord) -> tuple[np.ndarray, float] | None:
    """Returns what says how right the SNN is, over time, and what the ANN has; None if that is not known.

    It is the accuracy of classes, and the score of anything else; without targets, R² against the ANN, which has 1.
    """
    if output.accuracy is not None and output.ann_accuracy is not None:
        return output.accuracy, output.ann_accuracy
    score = score_of(output)
    ann = 1.0 if score == "r2_to_ann" else output.ann_measures.get(score or "")
    return None if score is None or ann is None else (output.measures[score], ann)
