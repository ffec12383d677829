"""What a run adds up of outputs that are no classes, and what follows from it."""

import numpy as np

from snn_toolbox_tf.experiment.evaluation import Evaluation
from snn_toolbox_tf.report.record import ShownOutputs
from snn_toolbox_tf.tasks import by_unit, measures, sums_of
from snn_toolbox_tf.tasks.classes import decisions
from snn_toolbox_tf.tasks.regression import error_sums, r2_by_unit, spread_of_sums

#: So many samples are shown: as points of a scatter plot, and as images.
_SCATTERED, _PICTURED = 2000, 6
#: Numbers of so many samples are kept at most.
_MOST_NUMBERS = 2**18


def add_task_sums(
    batch: Evaluation,
    name: str,
    kind: str,
    snn: np.ndarray,
    ann: np.ndarray,
    targets: np.ndarray | None,
    *,
    start: int,
) -> None:
    """Adds what is known of one output on a batch of samples.

    Args:
        batch: The batch's evaluation.
        name: The output.
        kind: What it stands for, and no classes.
        snn: Decoded outputs of the SNN, `[timesteps, samples, ...]`.
        ann: Outputs of the ANN, `[samples, ...]`.
        targets: The targets of these samples, or None.
        start: Position of the batch's first sample.
    """
    last, source = snn[-1], ann
    if kind == "segmentation":
        decided, expected = decisions(snn), decisions(ann)
        # Whole positions are counted, and divided by their number only at the end.
        batch.add(f"alike/{name}", (decided == expected).sum(axis=tuple(range(1, decided.ndim))))
        batch.add(f"positions/{name}", expected.size)
        last, source = (array.astype(np.int16) for array in (decided[-1], expected))
    else:
        batch.add(f"gap/{name}", error_sums(snn, ann)["squared"])
        rows = ann.reshape(-1, ann.shape[-1]).astype(np.float64)
        batch.add(f"ann_total/{name}", rows.sum(axis=0))
        batch.add(f"ann_square/{name}", np.square(rows).sum(axis=0))
    kept = max(0, _shown_samples(kind, last.shape[1:]) - start)
    batch.kept |= {f"snn/{name}": last[:kept], f"ann/{name}": source[:kept]}
    if targets is not None:
        for whose, outputs in (("snn", snn), ("ann", ann)):
            for quantity, value in sums_of(kind, outputs, targets).items():
                batch.add(f"{whose}_{quantity}/{name}", value)


def _shown_samples(kind: str, shape: tuple[int, ...]) -> int:
    if kind == "segmentation" or len(shape) > 2:
        return _PICTURED
    return min(_SCATTERED, max(_PICTURED, _MOST_NUMBERS // max(int(np.prod(shape)), 1)))


def measures_over_time(
    name: str, kind: str, evaluation: Evaluation, targets: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Returns measures of the SNN's output by name, float64 `[timesteps]`; against the ANN's where there are no targets."""
    if targets is not None:
        return measures(kind, _sums(evaluation, "snn", name), targets)
    if kind == "segmentation":
        return {}
    sums = evaluation.sums
    gap, total, square = (sums[f"{quantity}/{name}"] for quantity in ("gap", "ann_total", "ann_square"))
    count = round(evaluation.done * evaluation.kept[f"ann/{name}"][0].size / len(total))
    return {"r2_to_ann": r2_by_unit(gap, spread_of_sums(total, square, count), count).mean(axis=-1)}


def measures_of_ann(name: str, kind: str, evaluation: Evaluation, targets: np.ndarray | None) -> dict[str, float]:
    """Returns measures of the ANN's output by name; nothing without targets."""
    if targets is None:
        return {}
    return {key: float(value) for key, value in measures(kind, _sums(evaluation, "ann", name), targets).items()}


def measures_by_unit(name: str, kind: str, evaluation: Evaluation, targets: np.ndarray | None) -> dict[str, np.ndarray]:
    """Returns the measures of each number (of a segmentation, each class) after the last timestep, "snn_" and "ann_"."""
    if targets is None:
        return {}
    last = {quantity: value[-1] for quantity, value in _sums(evaluation, "snn", name).items()}
    found = {f"snn_{key}": value for key, value in by_unit(kind, last, targets).items()}
    ann = _sums(evaluation, "ann", name)
    return found | {f"ann_{key}": value for key, value in by_unit(kind, ann, targets).items()}


def pixel_agreement(name: str, evaluation: Evaluation) -> np.ndarray | None:
    """Returns the share of positions at which the SNN decides as the ANN does, float64 `[timesteps]`; None of numbers."""
    alike = evaluation.sums.get(f"alike/{name}")
    return None if alike is None else alike / evaluation.sums[f"positions/{name}"]


def shown_outputs(
    name: str, kind: str, evaluation: Evaluation, targets: np.ndarray | None, images: list[np.ndarray]
) -> ShownOutputs | None:
    """Returns what figures show of the first samples.

    Args:
        name: The output.
        kind: What it stands for.
        evaluation: Sums over all samples.
        targets: Targets of all samples, or None.
        images: The first samples as images, if they can be shown as such.
    """
    snn, ann = (evaluation.kept.get(f"{whose}/{name}") for whose in ("snn", "ann"))
    if snn is None or ann is None or not len(snn):
        return None
    return ShownOutputs(kind, snn, ann, None if targets is None else targets[: len(snn)], images[:_PICTURED])


def _sums(evaluation: Evaluation, whose: str, name: str) -> dict[str, np.ndarray]:
    start = f"{whose}_"
    # The name of an output may hold slashes.
    found = {key.partition("/")[0]: value for key, value in evaluation.sums.items() if key.partition("/")[2] == name}
    return {key.removeprefix(start): value for key, value in found.items() if key.startswith(start)}
