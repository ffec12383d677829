"""What a study of robustness was asked for, checked before any long work."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_positive_integer, check_seed, is_number
from snn_toolbox_tf.model import SpikingModel, check_spiking_model
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.network.input_data import as_arrays, is_stream
from snn_toolbox_tf.ops.surrogate import SURROGATE_GRADIENTS
from snn_toolbox_tf.studies.attacks import NORMS, Ball
from snn_toolbox_tf.studies.loss_gradients import why_without_surrogate
from snn_toolbox_tf.studies.networks import several_timesteps
from snn_toolbox_tf.tasks import task_of
from snn_toolbox_tf.tasks.classes import class_labels

ATTACKS = ("fgsm", "pgd")
GRADIENTS = ("ann", "snn")
INPUTS = ("analog", "poisson")


@dataclasses.dataclass(frozen=True)
class RobustnessRequest:
    """The options of a study, see `robustness`."""

    epsilons: tuple[float, ...]
    norm: str
    timesteps: tuple[int, ...]
    inputs: tuple[str, ...]
    attacks: tuple[str, ...]
    gradients: tuple[str, ...]
    steps: int
    step_size: float | None
    surrogate_gradient: str
    seed: int
    batch_size: int


def checked_request(
    *,
    epsilons: Any,
    norm: Any,
    timesteps: Any,
    inputs: Any,
    attacks: Any,
    gradients: Any,
    steps: Any,
    step_size: Any,
    surrogate_gradient: Any,
    seed: Any,
    batch_size: Any,
    model_snn: Any,
) -> RobustnessRequest:
    """Returns the options of a study, or raises an error.

    Raises:
        TypeError: If there is no spiking network.
        ValueError: If an option is not usable.
    """
    if isinstance(model_snn, keras.Model) or not callable(model_snn):
        network = check_spiking_model(model_snn)
        timesteps = (network.timesteps,) if timesteps is None else timesteps
    elif timesteps is None:
        raise ValueError(
            "A function that converts needs numbers of timesteps to convert for, for example timesteps=[8, 32]. "
            "Received: timesteps=None"
        )
    if step_size is not None and not (is_number(step_size) and step_size > 0):
        raise ValueError(
            "Expected `step_size` to be a positive number, the part of epsilon that a step of PGD takes. "
            f"Received: step_size={step_size!r}"
        )
    return RobustnessRequest(
        epsilons=_checked_epsilons(epsilons),
        norm=check_one_of(norm, NORMS, "norm"),
        timesteps=several_timesteps(timesteps),
        inputs=_some_of(inputs, INPUTS, "inputs"),
        attacks=_some_of(attacks, ATTACKS, "attacks"),
        gradients=_some_of(gradients, GRADIENTS, "gradients"),
        steps=check_positive_integer(steps, "steps"),
        step_size=None if step_size is None else float(step_size),
        surrogate_gradient=check_one_of(surrogate_gradient, SURROGATE_GRADIENTS, "surrogate_gradient"),
        seed=check_seed(seed),
        batch_size=check_positive_integer(batch_size, "batch_size"),
    )


def checked_samples(
    network: SpikingModel, x: Any, y: Any, bounds: Any, request: RobustnessRequest
) -> tuple[np.ndarray, np.ndarray, Ball]:
    """Returns samples, labels, and the ball of size 0 with the valid range, or raises an error.

    Raises:
        ValueError: If the network cannot be attacked, or the data does not fit.
    """
    graph = network.network.graph
    nodes = inputs_of(graph)
    if network.input_options.mode == "frames":
        raise ValueError(
            f"SpikingModel '{network.name}' reads frames, which are not attacked. Expected a network for analog or Poisson "
            "input: convert with input='analog'."
        )
    kinds = [task_of(graph, readout).kind for readout in graph.readouts]
    if len(nodes) != 1 or kinds != ["classes"]:
        outputs = [f"{one.name} ({kind})" for one, kind in zip(graph.readouts, kinds, strict=True)]
        raise ValueError(
            "Attacks need a network with one input and one output, of classes. Received: inputs "
            f"{[node.name for node in nodes]}, outputs {outputs}"
        )
    reason = why_without_surrogate(network)
    if "snn" in request.gradients and reason:
        raise ValueError(
            f"SpikingModel '{network.name}' has no surrogate gradient, because {reason}. Attack it with gradients=['ann'], "
            "or convert with schedule='step' and signed_spikes=False."
        )
    if is_stream(x):
        raise ValueError(f"Expected `x` to be an array, which is attacked several times. Received: {type(x).__name__}")
    samples = np.asarray(as_arrays(x, graph, argument="x")[nodes[0].name], np.float32)
    labels = class_labels(y, len(samples), graph.output_shape(graph.readouts[0])[-1])
    return samples, labels, _valid(samples, bounds, request.norm)


def _valid(samples: np.ndarray, bounds: Any, norm: str) -> Ball:
    shape = samples.shape[1:]
    try:
        low, high = (np.asarray(bound, np.float32) for bound in bounds)
        usable = bool((low < high).all()) and np.broadcast_shapes(low.shape, high.shape, shape) == shape
    except (TypeError, ValueError):
        usable = False
    if not usable:
        raise ValueError(
            "Expected `bounds` to be the smallest and the largest valid value of the input, numbers or arrays that "
            f"broadcast against a sample of shape {shape}, for example (0, 1). Received: bounds={bounds!r}"
        )
    outside = (samples < low) | (samples > high)
    if outside.any():
        place = int(np.argwhere(outside)[0][0])
        raise ValueError(
            f"`x` holds values outside of `bounds`, first in sample {place}: from {samples.min():.6g} to "
            f"{samples.max():.6g}. Expected values within bounds={bounds!r}: pass the range that inputs have, in units of "
            "`x`."
        )
    return Ball(norm, 0.0, low, high)


def _checked_epsilons(epsilons: Any) -> tuple[float, ...]:
    usable = isinstance(epsilons, Iterable) and not isinstance(epsilons, (str, bytes))
    values = list(epsilons) if usable else []
    if not values or not all(is_number(value) and value >= 0 for value in values) or max(values) == 0:
        raise ValueError(
            "Expected `epsilons` to be several sizes of perturbations, positive numbers in units of `x`, for example "
            f"[0.01, 0.05, 0.1]. Received: epsilons={epsilons!r}"
        )
    # Clean accuracy is always among the results.
    return tuple(sorted({float(value) for value in values} - {0.0}))


def _some_of(chosen: Any, allowed: Sequence[str], argument: str) -> tuple[str, ...]:
    if isinstance(chosen, str) or not isinstance(chosen, Iterable) or not (names := list(chosen)):
        raise ValueError(
            f"Expected `{argument}` to be a list of any of {tuple(allowed)}. Received: {argument}={chosen!r}"
        )
    return tuple(dict.fromkeys(check_one_of(name, allowed, argument) for name in names))
