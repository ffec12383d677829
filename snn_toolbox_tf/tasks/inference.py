"""What is known of outputs without any targets: what the user states, or the source's loss says."""

import re
from collections.abc import Mapping
from typing import Any

import keras

from snn_toolbox_tf.foundation.argument_checks import check_one_of, did_you_mean
from snn_toolbox_tf.graph import TASKS, Graph
from snn_toolbox_tf.tasks.kinds import AUTO, check_task, last_activation

#: Losses by what they are for, in small letters without underscores; a crossentropy is for classes.
_OF_NUMBERS = (
    *("meansquarederror", "meanabsoluteerror", "meanabsolutepercentageerror", "meansquaredlogarithmicerror"),
    *("huber", "logcosh", "mse", "mae", "mape", "msle"),
)

#: Accuracy by its name or class, and no other word with these letters.
_ACCURACY = re.compile(r"(?<![a-z])acc(?![a-z])|accuracy", re.IGNORECASE)


def state_tasks(graph: Graph, stated: Any = AUTO, source: keras.Model | None = None) -> None:
    """Notes in the readouts of a graph what their outputs stand for, where that is known without targets.

    Args:
        graph: The network; its readouts are changed.
        stated: One of `TASKS` for all outputs, "auto", or these by name of an output.
        source: The source. A compiled loss for real numbers, without a metric of accuracy, makes a regression of an output
            that is no softmax; a crossentropy makes a segmentation of one with several
            axes and channels.

    Raises:
        ValueError: If there is no such task or output, or an output of this shape cannot be that.
    """
    by_name, losses = stated_by_name(graph, stated), _losses(graph, source)
    for readout in graph.readouts:
        shape, wanted = graph.output_shape(readout), by_name.get(readout.name, AUTO)
        if wanted != AUTO:
            readout.task = check_task(wanted, readout.name, shape)
        elif not readout.task:
            readout.task = _by_loss(losses.get(readout.name, ""), shape, last_activation(readout))


def stated_by_name(graph: Graph, stated: Any) -> dict[str, str]:
    """Returns what is stated by name of an output layer; see `state_tasks`."""
    if isinstance(stated, str):
        check_one_of(stated, (AUTO, *TASKS), "task")
        return {readout.name: stated for readout in graph.readouts}
    if not isinstance(stated, Mapping):
        raise TypeError(f"Expected `task` to be one of {(AUTO, *TASKS)}, or these by output. Received: task={stated!r}")
    names = output_names(graph)
    for name, kind in stated.items():
        if name not in names:
            raise ValueError(
                f"`task` names {name!r}, which is no output of model '{graph.name}'. Expected names of {sorted(names)}."
                f"{did_you_mean(name, names)}"
            )
        check_one_of(kind, (AUTO, *TASKS), "task")
    return {names[name]: kind for name, kind in stated.items()}


def output_names(graph: Graph) -> dict[str, str]:
    """Returns the names of output layers by themselves, and by the keys of a dict of outputs."""
    names = {readout.name: readout.name for readout in graph.readouts}
    structure = graph.output_structure
    # The keys of the model's own outputs may stand for the names of its output layers.
    return names | (structure if _is_flat(structure) else {})


def _is_flat(structure: Any) -> bool:
    return isinstance(structure, dict) and all(isinstance(name, str) for name in structure.values())


def _by_loss(loss: str, shape: tuple[int, ...], activation: str) -> str:
    if loss == "numbers" and activation != "softmax":
        return "regression"
    # Of one channel it may as well be an image that is reconstructed: a mask of two classes has to be stated.
    return "segmentation" if loss == "classes" and len(shape) > 1 and shape[-1] > 1 else ""


def _losses(graph: Graph, source: keras.Model | None) -> dict[str, str]:
    """Returns by output what its loss is for, "numbers" or "classes", where that can be told."""
    loss = getattr(source, "loss", None)
    if loss is None:
        return {}
    metrics = _metrics(source)
    found = {}
    for place, readout in enumerate(graph.readouts):
        names = (readout.name, *(key for key, name in output_names(graph).items() if name == readout.name))
        kind = _purpose(_entry(loss, names, place))
        # Classifiers are trained with squared errors, too; what is measured tells.
        # Of one output, all metrics in a list are its own.
        measured = [_entry(given, names, place) for given in metrics] if len(graph.readouts) > 1 else metrics
        if kind == "numbers" and _ACCURACY.search(repr(measured)):
            continue
        found[readout.name] = kind
    return found


def _metrics(source: Any) -> list[Any]:
    try:
        compiled = source.get_compile_config() or {}
    except (TypeError, ValueError, AttributeError):
        return []
    return [compiled[name] for name in ("metrics", "weighted_metrics") if compiled.get(name)]


def _entry(given: Any, names: tuple[str, ...], place: int) -> Any:
    """Returns what a loss or a list of metrics has for one output; all of it, where that does not tell them apart."""
    if isinstance(given, Mapping) and "class_name" not in given:
        return next((given[name] for name in names if name in given), None)
    if isinstance(given, (list, tuple)) and place < len(given) and len(given) > 1:
        return given[place]
    return given


def _purpose(loss: Any) -> str:
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        (loss,) = loss
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    plain = name.lower().replace("_", "")
    if plain in _OF_NUMBERS:
        return "numbers"
    return "classes" if plain.endswith(("crossentropy", "hinge")) else ""
