"""How right outputs are, by task: sums over samples that can be added up, and what follows from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.tasks.boxes import box_overlap
from snn_toolbox_tf.tasks.classes import decisions
from snn_toolbox_tf.tasks.kinds import AUTO, decide
from snn_toolbox_tf.tasks.regression import error_sums, r2_by_unit, spread
from snn_toolbox_tf.tasks.segmentation import intersection_over_union, mean_of_classes, pixel_sums
from snn_toolbox_tf.tasks.targets import checked_targets


def sums_of(kind: str, outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Returns sums over samples, float64, from which `measures` follow.

    Args:
        kind: "regression", "boxes" or "segmentation".
        outputs: Outputs `[..., samples, *shape]`, with any axes in front.
        targets: Targets of these samples, as `checked_targets` gives them.
    """
    if kind == "segmentation":
        return pixel_sums(decisions(outputs), targets, max(outputs.shape[-1], 2))
    sums = error_sums(outputs, targets)
    if kind == "boxes":
        axes = tuple(range(outputs.ndim - targets.ndim, outputs.ndim - 1))
        sums["overlap"] = box_overlap(outputs, targets).sum(axis=axes)
    return sums


def measures(kind: str, sums: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, np.ndarray]:
    """Returns how right outputs are, by name: float64 `[...]`.

    Args:
        kind: As for `sums_of`.
        sums: What that gave, added up over all samples.
        targets: Targets of all samples.

    Returns:
        Of numbers "r2" (the mean over units), "root_mean_square_error" and "mean_absolute_error" (over all numbers); of
        boxes also "mean_box_iou"; of a segmentation "mean_iou" (over the classes that occur) and "pixel_accuracy".
    """
    if kind == "segmentation":
        overlap = intersection_over_union(sums["both"], sums["decided"], sums["true"])
        accuracy = sums["both"].sum(axis=-1) / sums["true"].sum(axis=-1)
        return {"mean_iou": mean_of_classes(overlap), "pixel_accuracy": accuracy}
    found = {
        "r2": by_unit(kind, sums, targets)["r2"].mean(axis=-1),
        "root_mean_square_error": np.sqrt(sums["squared"].sum(axis=-1) / targets.size),
        "mean_absolute_error": sums["absolute"].sum(axis=-1) / targets.size,
    }
    boxes = {"mean_box_iou": sums["overlap"] / (targets.size // 4)} if kind == "boxes" else {}
    return {**boxes, **found}


def by_unit(kind: str, sums: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the same for each number of an output, or each class of a segmentation: float64 `[..., units]`.

    Of outputs with several axes the last one is that of the units, and every position counts as a sample.
    """
    if kind == "segmentation":
        return {"iou": intersection_over_union(sums["both"], sums["decided"], sums["true"])}
    count = targets.size // targets.shape[-1]
    return {
        "r2": r2_by_unit(sums["squared"], spread(targets), count),
        "root_mean_square_error": np.sqrt(sums["squared"] / count),
        "mean_absolute_error": sums["absolute"] / count,
    }


def check_and_measure(outputs: np.ndarray, y: Any, task: str = AUTO, name: str = "outputs") -> dict[str, np.ndarray]:
    """Returns how right outputs are, after each timestep.

    Args:
        outputs: Outputs `[timesteps, samples, *shape]`.
        y: Their targets.
        task: "auto", or what they are.
        name: What an error calls them.

    Raises:
        ValueError: If the targets do not fit, or they are class labels, which have an accuracy.
    """
    samples, shape = outputs.shape[1], outputs.shape[2:]
    kind = decide(name, shape, targets=y, stated=task).kind
    if kind == "classes":
        raise ValueError(f"Targets of '{name}' are class labels. Use `accuracy`, or state another task.")
    targets = checked_targets(kind, y, samples, shape, name)
    return measures(kind, sums_of(kind, outputs, targets), targets)
