"""`Robustness`: what attacks leave of the accuracy of a source and of its spiking network."""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from snn_toolbox_tf.report.text import MISSING, aligned, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: With fewer samples, comparisons tell little: b of them against none are beyond three standard errors from 10 on.
FEW_SAMPLES, FEWEST_DIFFERENT = 100, 10


@dataclasses.dataclass(frozen=True)
class Target:
    """What is attacked.

    Attributes:
        timesteps: T of the spiking network; None: the source.
        input: How the spiking network reads its input, "analog" or "poisson"; None: the source.
    """

    timesteps: int | None = None
    input: str | None = None

    @property
    def is_source(self) -> bool:
        """Whether it is the source."""
        return self.timesteps is None

    @property
    def white_box(self) -> str:
        """Whose gradient is its own, "ann" or "snn"."""
        return "ann" if self.is_source else "snn"

    def __str__(self) -> str:
        """Returns the target in words."""
        if self.is_source:
            return "ANN"
        return f"SNN, T = {self.timesteps}, {'Poisson' if self.input == 'poisson' else self.input} input"


@dataclasses.dataclass(frozen=True)
class Attack:
    """How inputs were perturbed.

    Attributes:
        kind: "clean", "noise", "fgsm" or "pgd".
        gradient: Whose gradient was followed: "ann", "snn" or, without one, "".
        epsilon: Size, in units of the input; 0 of clean inputs.
        timesteps: T of the spiking network whose gradient was followed, or None.
    """

    kind: str
    gradient: str = ""
    epsilon: float = 0.0
    timesteps: int | None = None

    @property
    def name(self) -> str:
        """Kind and gradient, as columns are called."""
        if not self.gradient:
            return self.kind
        return f"{self.kind.upper()} ({self.gradient.upper()})"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an attack has done to a target.

    Attributes:
        target: What was attacked.
        attack: How.
        correct: Whether each sample was classified correctly, bool `[samples]`.
        unmoved: Share of samples that the attack has left as they were: it found no gradient, or one that leads out of the
            valid range.
        absorbed: Share of the others for which no output of the spiking network has changed by a bit; None for the source,
            for clean inputs, and if there are no others.
    """

    target: Target
    attack: Attack
    correct: np.ndarray
    unmoved: float = 0.0
    absorbed: float | None = None

    @property
    def accuracy(self) -> float:
        """Share of samples that were classified correctly."""
        return float(self.correct.mean())


@dataclasses.dataclass(frozen=True)
class Sign:
    """A sign that gradients are masked.

    Attributes:
        target: What masks them.
        text: What was found, in words.
    """

    target: Target
    text: str

    def __str__(self) -> str:
        """Returns both."""
        return f"{self.target}: {self.text}"


@dataclasses.dataclass(frozen=True)
class Robustness:
    """Accuracy of a source and its spiking network under attack, and whether that accuracy is to be believed.

    Attributes:
        norm: "linf" or "l2".
        epsilons: Sizes of perturbations, in units of the input.
        outcomes: What each attack has done to each target.
        unbounded: What PGD does with the target's own gradient when it may go anywhere.
        checks: How many comparisons were made to find signs of gradient masking.
        signs: What they have found.
    """

    norm: str
    epsilons: tuple[float, ...]
    outcomes: tuple[Outcome, ...]
    unbounded: tuple[Outcome, ...]
    checks: int
    signs: tuple[Sign, ...]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.outcomes[0].correct)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What was attacked: the source, then the spiking network by timesteps and input."""
        return tuple(dict.fromkeys(outcome.target for outcome in self.outcomes))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Signs that gradients are masked, in words."""
        return tuple(map(str, self.signs))

    @property
    def verdict(self) -> str:
        """Whether gradients are masked, in words."""
        few = ""
        if self.samples < FEW_SAMPLES:
            few = (
                f" With {self.samples} samples they find little: an attack counts as weaker if {FEWEST_DIFFERENT} samples "
                "or more withstand it alone."
            )
        if not self.signs:
            return f"No sign of gradient masking in {self.checks} checks.{few}"
        whose = "; ".join(dict.fromkeys(str(sign.target) for sign in self.signs))
        return (
            f"Signs of gradient masking, in {self.checks} checks, by: {whose}. What is right under attack there may owe it "
            "to gradients that lead nowhere; a better attack may leave less."
        )

    def of(self, target: Target, epsilon: float) -> list[Outcome]:
        """Returns what attacks of one size have done to a target; of size 0, its clean accuracy."""
        return [one for one in self.outcomes if one.target == target and one.attack.epsilon == epsilon]

    def accuracy(self, target: Target, kind: str = "clean", gradient: str = "", epsilon: float = 0.0) -> float:
        """Returns the accuracy that an attack has left.

        Args:
            target: What was attacked: `Target()` for the source, `Target(8, "analog")` for the spiking network.
            kind: "clean", "noise", "fgsm", "pgd", or "strongest": right under each of them.
            gradient: Whose gradient was followed, "ann" or "snn".
            epsilon: Size.

        Raises:
            KeyError: If there was no such attack. Of several, on the source through networks of several T, the least counts.
        """
        outcomes = [*self.of(target, 0.0), *self.of(target, epsilon)]
        if kind == "strongest" and outcomes:
            return float(np.all([one.correct for one in outcomes], axis=0).mean())
        wanted = [one.accuracy for one in outcomes if _matches(one.attack, kind, gradient, epsilon)]
        if not wanted:
            raise KeyError(
                f"There was no attack kind={kind!r}, gradient={gradient!r}, epsilon={epsilon!r} on {target}. "
                f"Epsilons: {list(self.epsilons)}; targets: {[str(one) for one in self.targets]}"
            )
        return min(wanted)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return {
            "norm": self.norm,
            "epsilons": list(self.epsilons),
            "samples": self.samples,
            "outcomes": [_as_dict(one) for one in self.outcomes],
            "unbounded": [_as_dict(one) for one in self.unbounded],
            "checks": self.checks,
            "warnings": list(self.warnings),
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        """Returns accuracies and absorbed shares as two tables, and the verdict."""
        names = self.attack_names
        accuracy, absorbed = [], []
        for target in self.targets:
            for epsilon in self.epsilons:
                # Through networks of several T, the source is attacked several times.
                by_strength = sorted(self.of(target, epsilon), key=lambda one: -one.accuracy)
                found = {one.attack.name: one for one in by_strength}
                start = [str(target), f"{epsilon:.4g}"]
                cells = [percent(found[name].accuracy, 1) if name in found else MISSING for name in names]
                clean, worst = self.accuracy(target), self.accuracy(target, "strongest", epsilon=epsilon)
                accuracy.append([*start, percent(clean, 1), *cells, percent(worst, 1)])
                if not target.is_source:
                    cells = [percent(found[name].absorbed, 1) if name in found else MISSING for name in names]
                    absorbed.append([*start, *cells])
        where = f"{self.samples} samples, perturbations of {'at most ' if self.norm == 'linf' else 'length '}epsilon"
        return "\n\n".join(
            [
                f"Accuracy: {where} ({self.norm})",
                aligned(("target", "epsilon", "clean", *names, "strongest"), accuracy, texts=1),
                "Absorbed: share of perturbations that change no output",
                aligned(("target", "epsilon", *names), absorbed, texts=1),
                "\n".join([self.verdict, *(f"- {warning}" for warning in self.warnings)]),
            ]
        )

    @property
    def attack_names(self) -> list[str]:
        """The names of the attacks, as columns are called."""
        return list(dict.fromkeys(one.attack.name for one in self.outcomes if one.attack.kind != "clean"))

    def plot(self) -> "Figure":
        """Draws accuracy against epsilon, with a panel for each number of timesteps and way of reading the input."""
        # Only drawing imports matplotlib.
        from snn_toolbox_tf.studies.robustness_figure import accuracy_against_epsilon

        return accuracy_against_epsilon(self)


def find(outcomes: Iterable[Outcome], target: Target, attack: Attack) -> Outcome | None:
    """Returns what an attack has done to a target, or None if it was not made."""
    return next((one for one in outcomes if (one.target, one.attack) == (target, attack)), None)


def _matches(attack: Attack, kind: str, gradient: str, epsilon: float) -> bool:
    return (attack.kind, attack.gradient, attack.epsilon) == (kind, gradient, epsilon)


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "target": dataclasses.asdict(outcome.target),
        "attack": dataclasses.asdict(outcome.attack),
        "accuracy": outcome.accuracy,
        "absorbed": outcome.absorbed,
        "unmoved": outcome.unmoved,
    }
