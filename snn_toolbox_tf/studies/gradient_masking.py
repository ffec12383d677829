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
from snn_toolbox_tf.studies.robustness_result import Attack, Outcome, Sign, Target, find

#: An attack counts as weaker if it is by more than so many standard errors: there are many comparisons.
STANDARD_ERRORS = 3.0
#: Share of the samples that were right at first: so many may withstand an attack without bounds, or have no gradient.
TOLERATED = 0.05


def signs_of_masking(outcomes: Sequence[Outcome], unbounded: Sequence[Outcome]) -> tuple[int, tuple[Sign, ...]]:
    """Looks for signs that gradients are masked.

    Args:
        outcomes: What attacks have done, with clean inputs among them.
        unbounded: What PGD has done to targets with their own gradient and without a bound.

    Returns:
        The number of checks, and what they have found, one sign for each target and kind.
    """
    checks, found = 0, list[Sign]()
    for target in dict.fromkeys(outcome.target for outcome in outcomes):
        mine = [one for one in outcomes if one.target == target]
        for words, pairs in _comparisons(target, mine):
            checks += len(pairs)
            weaker = [str(pair) for pair in pairs if pair.is_weaker]
            found += [Sign(target, f"{words} ({'; '.join(weaker)}).")] if weaker else []
        shares = [*_left_without_bound(target, mine, unbounded), *_without_gradient(target, mine)]
        checks += len(shares)
        found += [Sign(target, words) for share, words in shares if share > TOLERATED]
    return checks, tuple(found)


def _left_without_bound(
    target: Target, outcomes: list[Outcome], unbounded: Sequence[Outcome]
) -> Iterator[tuple[float, str]]:
    """Yields which share of what was right withstands attacks without a bound, in a number and in words."""
    (clean,) = (one.correct for one in outcomes if one.attack.kind == "clean")
    for outcome in (one for one in unbounded if one.target == target):
        share = float((outcome.correct & clean).sum() / max(int(clean.sum()), 1))
        yield share, f"PGD that may go anywhere in the valid range leaves {percent(share, 1)} of what was right."


def _without_gradient(target: Target, outcomes: list[Outcome]) -> Iterator[tuple[float, str]]:
    """Yields the share of samples whose gradient leads nowhere, in a number and in words, if there was FGSM."""
    own = [one for one in outcomes if (one.attack.kind, one.attack.gradient) == ("fgsm", target.white_box)]
    if own:
        # It is the same for all sizes, but for those too small for float32.
        share = min(one.unmoved for one in own)
        yield (
            share,
            f"the gradient of the loss is 0 for {percent(share, 1)} of the samples, which FGSM leaves as they are.",
        )


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
        left = f"{attack.name} at epsilon {attack.epsilon:.4g} leaves {percent(self.expected.accuracy, 1)}"
        at = f" at epsilon {other.epsilon:.4g}" if other.epsilon != attack.epsilon else ""
        at += f" at T = {other.timesteps}" if other.timesteps not in (None, attack.timesteps) else ""
        return f"{left}, {other.name}{at} {percent(self.other.accuracy, 1)}"


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
