"""The one place that decides what an output stands for: from what is stated, its targets, its shape and its decoder."""

import dataclasses
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.graph import TASKS, Graph, Readout

#: Stands for a task that is to be decided.
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Task:
    """What an output stands for.

    Attributes:
        kind: "classes" (one class a sample), "regression" (real numbers), "segmentation" (a class per position) or "boxes"
            (left, top, right, bottom).
        reason: Why, in words.
    """

    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}, because {self.reason}"


def task_of(graph: Graph, readout: Readout, targets: Any = None, stated: str = AUTO) -> Task:
    """Decides what an output of a network stands for; see `decide`.

    Args:
        graph: The network.
        readout: The output.
        targets: What it should be, `[samples, ...]`; None if that is not known.
        stated: A kind, or "auto".
    """
    shape, activation = graph.output_shape(readout), last_activation(readout)
    return decide(readout.name, shape, activation, targets=targets, stated=stated, inferred=readout.task)


def known_tasks(graph: Graph) -> list[str]:
    """Returns what outputs stand for as far as that is certain without targets; "" where it is not."""
    return [readout.task or _certain(graph, readout) for readout in graph.readouts]


def _certain(graph: Graph, readout: Readout) -> str:
    """A softmax of several axes is a segmentation; vectors have a rule of their own."""
    shape = graph.output_shape(readout)
    return "segmentation" if len(shape) > 1 and shape[-1] > 1 and last_activation(readout) == "softmax" else ""


def decide(
    name: str,
    shape: tuple[int, ...],
    activation: str = "",
    *,
    targets: Any = None,
    stated: str = AUTO,
    inferred: str = "",
) -> Task:
    """Decides what an output stands for: by what is stated, else by its targets, else by what its conversion knew.

    Args:
        name: Name of the output.
        shape: Its shape, without the batch axis.
        activation: Name of the last function that it goes through: "softmax", "sigmoid", ... or "".
        targets: What it should be, `[samples, ...]`; None if that is not known.
        stated: A kind, or "auto".
        inferred: The kind that was stated when the network was converted, or that its source's loss stands for; or "".

    Raises:
        ValueError: If a stated kind does not go with the shape, or the targets are no targets of such an output.
    """
    if stated != AUTO:
        return Task(check_task(stated, name, shape), "it is stated")
    if targets is not None:
        found = _by_targets(name, shape, activation, np.asarray(targets))
        # Boxes are real numbers as well: what was known of them before says more than they do.
        return Task("boxes", "it was converted as such") if (found.kind, inferred) == ("regression", "boxes") else found
    if inferred:
        return Task(check_task(inferred, name, shape), "its conversion or its loss says so")
    return _by_activation(shape, activation)


def check_task(kind: Any, name: str, shape: tuple[int, ...]) -> str:
    """Returns a kind that an output of this shape can be, or raises a ValueError."""
    check_one_of(kind, TASKS, "task")
    expected = {
        "classes": (len(shape) == 1, "one axis, [classes]"),
        "segmentation": (len(shape) > 1, "positions and classes, such as [rows, columns, classes]"),
        "boxes": (len(shape) > 0 and shape[-1] == 4, "4 numbers per box, [4] or [boxes, 4]: left, top, right, bottom"),
    }
    fits, words = expected.get(kind, (True, ""))
    if not fits:
        raise ValueError(
            f"Output '{name}' cannot be {kind}: that needs {words}. Received an output of shape {list(shape)}. "
            "State another task, or auto."
        )
    return str(kind)


def last_activation(readout: Readout) -> str:
    """Returns the name of the function that an output goes through last, such as "softmax"; "" if there is none."""
    if not readout.decoder:
        return ""
    last = readout.decoder[-1]
    if last.class_name == "Softmax":
        return "softmax" if last.config.get("axis", -1) == -1 else ""
    return str(last.config.get("activation") or "")


def is_regression_target(array: np.ndarray, shape: tuple[int, ...], activation: str = "") -> bool:
    """Whether these are numbers in the shape of the outputs, `[samples, ...]`, and neither class indices nor one-hot."""
    if array.dtype.kind not in "fiu" or array.size != int(np.prod(shape)) or len(array) != shape[0]:
        return False
    values = array.reshape(shape)
    binary = bool(np.isin(values, (0, 1)).all())
    if array.dtype.kind != "f" and shape[-1] == 1 and activation == "sigmoid":
        # Whole numbers that a sigmoid cannot give are labels in error.
        return False
    return not binary or (shape[-1] > 1 and not bool((values.sum(axis=-1) == 1).all()))


def _by_targets(name: str, shape: tuple[int, ...], activation: str, targets: np.ndarray) -> Task:
    samples = len(targets) if targets.ndim else 0
    if is_regression_target(targets, (samples, *shape), activation):
        return Task("regression", "its targets are numbers in the shape of the output")
    if len(shape) == 1:
        return Task("classes", "its targets are class labels")
    if targets.dtype.kind in "fiub" and _is_mask(targets, samples, shape):
        return Task("segmentation", "its targets are a class per position")
    classes, positions = shape[-1], list(shape[:-1])
    raise ValueError(
        f"Targets of output '{name}' do not fit its shape {list(shape)}. Expected numbers [samples, {_sizes(shape)}], or "
        f"class indices from 0 to {max(classes, 2) - 1} [samples, {_sizes(positions)}]. Received shape: "
        f"{list(targets.shape)}, dtype {targets.dtype}, values {_range(targets)}"
    )


def _is_mask(targets: np.ndarray, samples: int, shape: tuple[int, ...]) -> bool:
    """Whether these are class indices per position, or one-hot."""
    if targets.shape == (samples, *shape) and shape[-1] > 1:
        return True
    if targets.shape not in ((samples, *shape[:-1]), (samples, *shape[:-1], 1)) or not targets.size:
        return False
    whole = targets.dtype.kind != "f" or bool((targets == np.rint(targets)).all())
    return whole and targets.min() >= 0 and targets.max() < max(shape[-1], 2)


def _by_activation(shape: tuple[int, ...], activation: str) -> Task:
    units = shape[-1] if shape else 1
    if activation == "softmax" and units > 1:
        kind = "classes" if len(shape) == 1 else "segmentation"
        return Task(kind, "it is a softmax")
    if len(shape) == 1 and units == 1:
        sigmoid = activation == "sigmoid"
        return Task("classes", "it is a sigmoid") if sigmoid else Task("regression", "it is one number, and no sigmoid")
    if len(shape) == 1:
        return Task("classes", "it may hold logits, and nothing says otherwise")
    return Task("regression", "it has several axes, and is no softmax")


def _sizes(shape: Any) -> str:
    return ", ".join(map(str, shape))


def _range(values: np.ndarray) -> str:
    if not values.size or values.dtype.kind not in "fiub":
        return "none"
    return f"from {values.min():g} to {values.max():g}" if values.dtype.kind != "b" else "of truth"
