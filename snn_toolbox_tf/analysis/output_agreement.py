"""How far the outputs of a spiking network agree with its source's, in terms of what they stand for."""

import numpy as np

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.report.text import fixed, number, percent
from snn_toolbox_tf.tasks import task_of
from snn_toolbox_tf.tasks.boxes import box_overlap
from snn_toolbox_tf.tasks.classes import decisions
from snn_toolbox_tf.tasks.regression import error_sums, r2_by_unit, spread_of_sums


class OutputAgreement:
    """Adds up, batch by batch, how far one output agrees with the ANN's.

    Args:
        kind: What the output stands for, one of `snn_toolbox_tf.tasks.TASKS`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._sums: dict[str, np.ndarray] = {}
        self._count = 0  # decisions, or values of each number

    def add(self, snn: np.ndarray, ann: np.ndarray) -> None:
        """Adds the outputs of a batch, `[samples, ...]`."""
        self._count += ann.size // ann.shape[-1]
        if self.kind in ("classes", "segmentation"):
            self._add(alike=(decisions(snn) == decisions(ann)).sum())
            return
        rows = ann.reshape(-1, ann.shape[-1]).astype(np.float64)
        self._add(**error_sums(snn, ann), total=rows.sum(axis=0), square=np.square(rows).sum(axis=0))
        if self.kind == "boxes":
            self._add(overlap=box_overlap(snn, ann).sum())

    def _add(self, **sums: np.ndarray) -> None:
        for name, value in sums.items():
            self._sums[name] = self._sums.get(name, 0.0) + np.asarray(value, np.float64)

    def summary(self) -> dict[str, float]:
        """Returns the measures: the ANN's outputs are what the SNN's should be.

        Of classes "agreement", of a segmentation "pixel_agreement": the share of equal decisions. Of numbers "r2_to_ann" and
        "root_mean_square_error"; of boxes "mean_box_iou" as well.
        """
        if not self._count:
            return {}
        if self.kind in ("classes", "segmentation"):
            name = "agreement" if self.kind == "classes" else "pixel_agreement"
            return {name: float(self._sums["alike"] / self._count)}
        squared = self._sums["squared"]
        around_mean = spread_of_sums(self._sums["total"], self._sums["square"], self._count)
        found = {
            "r2_to_ann": float(r2_by_unit(squared, around_mean, self._count).mean()),
            "root_mean_square_error": float(np.sqrt(squared.mean() / self._count)),
        }
        if self.kind == "boxes":
            found = {"mean_box_iou": float(self._sums["overlap"] / self._count), **found}
        return found


def output_agreements(graph: Graph) -> dict[str, OutputAgreement]:
    """Returns an empty agreement for each output of a network, by name."""
    return {readout.name: OutputAgreement(task_of(graph, readout).kind) for readout in graph.readouts}


def agreement_text(measures: dict[str, float]) -> str:
    """Returns the measures of an output as part of a line."""
    words = {
        "agreement": lambda value: f"{percent(value)} of the decisions are the ANN's",
        "pixel_agreement": lambda value: f"{percent(value)} of the pixels are decided as by the ANN",
        "mean_box_iou": lambda value: f"mean IoU with the ANN's boxes {percent(value)}",
        "r2_to_ann": lambda value: f"R² against the ANN {fixed(value, 4)}",
        "root_mean_square_error": lambda value: f"root mean square error against the ANN {number(value, 4)}",
    }
    return ", ".join(words[name](value) for name, value in measures.items())
