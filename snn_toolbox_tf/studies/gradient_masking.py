"""Signs that gradients are masked: that attacks fail because they find no way, and not because there is none.

After Athalye, Carlini & Wagner, "Obfuscated gradients give a false sense of security: circumventing defenses to adversarial
examples" (2018, arXiv 1802.00420), section 3.1: one step must not be better than many, black-box attacks not better than
white-box ones, unbounded attacks must always succeed, random search must not find what gradients do not, and larger
perturbations must not do less.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

from snn_toolbox_tf.report.text import percent
from snn_toolbox_tf.studies.robustness_result import Attack, Outcome, Target, find

#: An attack counts as weaker if it is by more than so many standard errors: there are many comparisons.
STANDARD_ERRORS = 3.0
#: Share of the samples that were right at first: so many may withstand an attack without bounds, or have no gradient.
TOLERATED = 0.05


def signs_of_masking(outcomes: Sequence[Outcome], unbounded: Sequence[Outcome]) -> tuple[int, tuple[str, ...]]:
    """Looks for signs that gradients are masked.

    Args:
        outcomes: What attacks have done, with clean inputs among them.
        unbounded: What PGD has done to targets with their own gradient and without a bound.

    Returns:
        The number of checks, and what they have found, a sentence for each target and kind of sign.
    """
    checks, found = 0, list[str]()
    for target in dict.fromkeys(outcome.target for outcome in outcomes):
        mine = [one for one in outcomes if one.target == target]
        for words, pairs in _comparisons(target, mine):
            checks += len(pairs)
            weaker = [pair for pair in pairs if pair.is_weaker]
            if weaker:
                found.append(f"{target}: {words} ({'; '.join(map(str, weaker))}).")
        (clean,) = (one for one in mine if one.attack.kind == "clean")
        for outcome in (one for one in unbounded if one.target == target):
            checks += 1
            left = float((outcome.correct & clean.correct).sum() / max(int(clean.correct.sum()), 1))
            if left > TOLERATED:
                found.append(
                    f"{target}: PGD that may go anywhere in the valid range leaves {percent(left, 1)} of what was right; "
                    "expected next to none."
                )
        lost = [one for one in mine if one.attack.kind == "fgsm" and one.attack.gradient == target.white_box]
        checks += bool(lost)
        if lost and max(one.unmoved for one in lost) > TOLERATED:
            share = percent(max(one.unmoved for one in lost), 1)
            found.append(
                f"{target}: the gradient of the loss is 0 for {share} of the samples, which cannot be attacked."
            )
    return checks, tuple(found)


@dataclasses.dataclass(frozen=True)
class _Comparison:
    """An attack that should be at least as strong as another one, on the same samples."""

    expected: Outcome
    other: Outcome

    @property
    def is_weaker(self) -> bool:
        """Whether it is not, beyond chance: of samples that withstand one of the two only, half would withstand either.

        With b and c such samples the standard error of b - c is sqrt(b + c) (McNemar 1947).
        """
        withstand = int((self.expected.correct & ~self.other.correct).sum())
        fall = int((~self.expected.correct & self.other.correct).sum())
        return withstand - fall > STANDARD_ERRORS * math.sqrt(withstand + fall)

    def __str__(self) -> str:
        """Returns what is left under each."""
        attack, other = self.expected.attack, self.other.attack
        where = f"epsilon {attack.epsilon:.4g}"
        if other.epsilon != attack.epsilon:
            where += f" after {other.epsilon:.4g}"
        return (
            f"{attack.name} at {where}: {percent(self.expected.accuracy, 1)} against {percent(self.other.accuracy, 1)}"
        )


def _comparisons(target: Target, outcomes: list[Outcome]) -> Iterator[tuple[str, list[_Comparison]]]:
    """Yields what a weaker attack would be a sign of, and pairs to compare."""
    own = target.white_box
    white = [one for one in outcomes if one.attack.gradient == own]

    def against(
        others: Callable[[Attack], list[Attack]], kinds: tuple[str, ...] = ("fgsm", "pgd")
    ) -> list[_Comparison]:
        pairs = []
        for one in white:
            if one.attack.kind in kinds:
                found = [find(outcomes, target, other) for other in others(one.attack)]
                pairs += [_Comparison(one, other) for other in found if other is not None]
        return pairs

    made_at = sorted({one.attack.timesteps for one in outcomes if one.attack.timesteps}) if target.is_source else [None]
    foreign = "snn" if target.is_source else "ann"
    yield (
        "attacks with its own gradient are weaker than those transferred from the other network",
        against(lambda a: [Attack(a.kind, foreign, a.epsilon, steps) for steps in made_at]),
    )
    yield (
        "attacks with its own gradient are weaker than noise of the same size",
        against(lambda a: [Attack("noise", "", a.epsilon)]),
    )
    yield (
        "PGD is weaker than the single step of FGSM",
        against(lambda a: [dataclasses.replace(a, kind="fgsm")], kinds=("pgd",)),
    )
    sizes = sorted({one.attack.epsilon for one in white})
    smaller = dict(zip(sizes[1:], sizes, strict=False))
    yield (
        "PGD does less with larger perturbations",
        against(
            lambda a: [dataclasses.replace(a, epsilon=smaller[a.epsilon])] if a.epsilon in smaller else [], ("pgd",)
        ),
    )
