"""`robustness`: what adversarial attacks leave of the accuracy of a source and of its spiking network."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.analysis.activations import AnnOutputs, ann_outputs_of, check_source_and_network
from snn_toolbox_tf.foundation.journal import Journal, as_journal
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.network.input_data import in_batches
from snn_toolbox_tf.studies.attacks import Ball, LossGradient, fgsm, noise, pgd, whole_range
from snn_toolbox_tf.studies.gradient_masking import signs_of_masking
from snn_toolbox_tf.studies.loss_gradients import source_gradient, surrogate_gradient
from snn_toolbox_tf.studies.networks import NetworkOrConversion, network_for
from snn_toolbox_tf.studies.robustness_request import RobustnessRequest, checked_request, checked_samples
from snn_toolbox_tf.studies.robustness_result import Attack, Outcome, Robustness, Target
from snn_toolbox_tf.tasks.classes import correct


def robustness(
    model: keras.Model,
    model_snn: NetworkOrConversion,
    x: Any,
    y: Any,
    epsilons: Sequence[float] = (0.01, 0.02, 0.05, 0.1),
    *,
    norm: str = "linf",
    timesteps: Sequence[int] | None = None,
    inputs: Sequence[str] = ("analog", "poisson"),
    attacks: Sequence[str] = ("fgsm", "pgd"),
    gradients: Sequence[str] = ("ann", "snn"),
    bounds: tuple[Any, Any] = (0.0, 1.0),
    steps: int = 10,
    step_size: float | None = None,
    surrogate_gradient: str = "arctan",
    seed: int = 0,
    batch_size: int = 32,
    journal: Journal | None = None,
) -> Robustness:
    """Attacks a source and its spiking network, with noise and with gradients of both, and looks for masked gradients.

    Attacks are untargeted: they raise the cross entropy of the true class. They are made with the gradient of the source,
    and with the surrogate gradient of the spiking network for each number of timesteps; both networks are given what comes
    out. Poisson spikes have no gradient: networks with such input are attacked with the gradient for analog input, which is
    what the spikes have as their mean, and are then given spikes of one seed.

    Args:
        model: The source model.
        model_snn: What `convert_keras` made of it, for all numbers of timesteps; or a function that returns the network
            converted for so many.
        x: Test data, an array `[samples, ...]` within `bounds`.
        y: Labels, class indices or one-hot.
        epsilons: Sizes of perturbations, in units of `x`.
        norm: "linf": no element moves by more than epsilon; "l2": the vector of all moves is no longer than epsilon.
        timesteps: Numbers of timesteps; None: the network's own.
        inputs: How the spiking network reads its input: any of "analog" and "poisson".
        attacks: Any of "fgsm" (Goodfellow et al. 2015) and "pgd" (Madry et al. 2018). Noise of the same size always is among
            them.
        gradients: Whose gradients are followed: any of "ann" and "snn".
        bounds: Smallest and largest valid value of the input: numbers, or arrays that broadcast against a sample.
        steps: Number of steps of PGD.
        step_size: Size of a step of PGD, in units of epsilon; None: 2.5 / steps.
        surrogate_gradient: What stands in for the derivative of a spike, as in `SpikingModel.fit`.
        seed: Of noise, of the starts of PGD, and of Poisson input.
        batch_size: Samples at once. For gradients of the spiking network, all their timesteps are held in memory.
        journal: Keeps finished points, see `Journal`.

    Returns:
        A `Robustness`: `print` shows it as tables with a verdict, `plot()` draws it.

    Raises:
        TypeError: If `model` is no source, or `model_snn` neither a spiking network in rate code nor a function that returns
            one.
        ValueError: If an option or the data are not usable, or the network has several inputs or outputs, no classes, or no
            surrogate gradient where that is asked for.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> y = model.predict(x, verbose=0).argmax(1)
        >>> model_snn = snn.convert_keras(model, x, timesteps=8)
        >>> found = snn.robustness(model, model_snn, x, y, epsilons=[0.05, 0.5], inputs=["analog"])
        >>> ann = found.targets[0]
        >>> found.accuracy(ann), found.accuracy(ann, "pgd", "ann", epsilon=0.5) < found.accuracy(ann, "noise", epsilon=0.5)
        (1.0, True)
    """
    request = checked_request(
        epsilons=epsilons,
        norm=norm,
        timesteps=timesteps,
        inputs=inputs,
        attacks=attacks,
        gradients=gradients,
        steps=steps,
        step_size=step_size,
        surrogate_gradient=surrogate_gradient,
        seed=seed,
        batch_size=batch_size,
        model_snn=model_snn,
    )
    networks = dict[int, SpikingModel]()
    for number in request.timesteps:
        network = network_for(model_snn, number)
        check_source_and_network(model, network)
        samples, labels, ball = checked_samples(network, x, y, bounds, request)
        networks[number] = network
    journal = as_journal(journal)
    journal.identify(
        study="robustness",
        model=model,
        networks={str(number): network for number, network in networks.items()},
        x=samples,
        y=labels,
        bounds=[ball.low, ball.high],
        # Sizes, attacks and inputs are named by their points: a journal serves a study with more of them as well.
        options=[request.norm, request.steps, request.step_size, request.surrogate_gradient, request.seed],
    )
    study = _Study(model, networks, samples, labels, ball, request)
    outcomes = [outcome for attack in study.attacks() for outcome in study.outcomes(attack, journal)]
    everywhere = whole_range(request.norm, ball.low, ball.high, samples.shape[1:])
    unbounded = [
        outcome
        for attack in study.with_gradients("pgd", everywhere)
        for outcome in study.outcomes(attack, journal)
        if outcome.target.white_box == attack.gradient
    ]
    return Robustness(
        request.norm, request.epsilons, tuple(outcomes), tuple(unbounded), *signs_of_masking(outcomes, unbounded)
    )


class _Study:
    """What is attacked, and with what; clean outputs and gradients are computed when the first point needs them."""

    def __init__(
        self,
        model: keras.Model,
        networks: dict[int, SpikingModel],
        x: np.ndarray,
        labels: np.ndarray,
        ball: Ball,
        request: RobustnessRequest,
    ) -> None:
        self._model, self._networks, self._request = model, networks, request
        self._x, self._labels, self._ball = x, labels, ball
        self._targets = [Target(), *(Target(number, input) for number in networks for input in request.inputs)]
        # What is computed once.
        self._ann = functools.cache(self._ann_outputs)
        self._gradient = functools.cache(self._made_gradient)
        self._clean_outputs = functools.cache(lambda target: self._outputs(target, self._x))

    def attacks(self) -> Iterator[Attack]:
        """Yields clean inputs, and all attacks."""
        yield Attack("clean")
        for epsilon in self._request.epsilons:
            yield Attack("noise", epsilon=epsilon)
            for kind in self._request.attacks:
                yield from self.with_gradients(kind, epsilon)

    def with_gradients(self, kind: str, epsilon: float) -> Iterator[Attack]:
        """Yields attacks of a kind and size, with each of the gradients."""
        for gradient in self._request.gradients:
            for number in self._networks if gradient == "snn" else (None,):
                yield Attack(kind, gradient, epsilon, number)

    def outcomes(self, attack: Attack, journal: Journal) -> list[Outcome]:
        """Returns what an attack does to its targets; with a gradient of one T, to the source and the network of that T."""
        targets = [one for one in self._targets if one.is_source or attack.timesteps in (None, one.timesteps)]
        at = f" at T = {attack.timesteps}" if attack.timesteps else ""
        size = f", epsilon {attack.epsilon!r} ({self._ball.norm})" if attack.epsilon else ""
        where = ", ".join(dict.fromkeys(str(one) for one in targets))
        point = journal.point(
            f"{attack.name}{at}{size}, on {where}", lambda: {"outcomes": self._computed(attack, targets)}
        )
        return [
            Outcome(target, attack, _as_bools(held["correct"]), held["unmoved"], held["absorbed"])
            for target, held in zip(targets, point["outcomes"], strict=True)
        ]

    def _computed(self, attack: Attack, targets: list[Target]) -> list[dict[str, Any]]:
        moved = self._perturbed(attack)
        changed = (moved != self._x).reshape(len(moved), -1).any(axis=1)
        found = []
        for target in targets:
            outputs, absorbed = self._outputs(target, moved), None
            if not target.is_source and changed.any():
                same = (outputs == self._clean_outputs(target)).all(axis=1)
                absorbed = float(same[changed].mean())
            right = correct(outputs, self._labels)
            found.append(
                {
                    "correct": "".join("1" if one else "0" for one in right),
                    "unmoved": 0.0 if attack.kind == "clean" else float(1 - changed.mean()),
                    "absorbed": absorbed,
                }
            )
        return found

    def _perturbed(self, attack: Attack) -> np.ndarray:
        request, ball = self._request, self._ball.of_size(attack.epsilon)
        if attack.kind == "clean":
            return self._x
        if attack.kind == "noise":
            return noise(self._x, ball, request.seed)
        gradient = self._gradient(attack.gradient, attack.timesteps)
        if attack.kind == "fgsm":
            return fgsm(gradient, self._x, self._labels, ball)
        return pgd(
            gradient,
            self._x,
            self._labels,
            ball,
            steps=request.steps,
            step_size=request.step_size,
            seed=request.seed,
        )

    def _outputs(self, target: Target, x: np.ndarray) -> np.ndarray:
        """Returns a target's outputs, `[samples, classes]`."""
        size = self._request.batch_size
        if target.timesteps is None or target.input is None:
            (name,) = (node.name for node in inputs_of(self._any_network.network.graph))
            return np.concatenate([self._ann()(batch)[0] for batch in in_batches({name: x}, size)])
        result = self._networks[target.timesteps].simulate(
            x, target.timesteps, size, outputs="last", input=target.input, seed=self._request.seed
        )
        return np.asarray(keras.tree.flatten(result.outputs)[0][-1])

    def _made_gradient(self, of: str, timesteps: int | None) -> LossGradient:
        request = self._request
        if timesteps is None:
            return source_gradient(self._model, self._any_network.network.graph, request.batch_size)
        network = self._networks[timesteps]
        with network.settled():
            return surrogate_gradient(network, timesteps, request.surrogate_gradient, request.batch_size)

    def _ann_outputs(self) -> AnnOutputs:
        return ann_outputs_of(self._model, self._any_network, frames=False)

    @property
    def _any_network(self) -> SpikingModel:
        return next(iter(self._networks.values()))


def _as_bools(correct: str) -> np.ndarray:
    return np.array([letter == "1" for letter in correct])
