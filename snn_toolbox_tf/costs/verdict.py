"""Whether a spiking network pays, in words."""

import math
from typing import TYPE_CHECKING

from snn_toolbox_tf.costs.ann import Baseline
from snn_toolbox_tf.costs.text import joules, times
from snn_toolbox_tf.report.text import number

if TYPE_CHECKING:
    from snn_toolbox_tf.costs.energy import Energy

#: Below how many spikes a synapse integrate-and-fire networks can pay, by the implementation of the ANN: Dampfhoffer et al.
#: 2023, "Are SNNs really more energy-efficient than ANNs?".
PAYS_BELOW = (0.15, 1.38)


def verdict_of(found: "Energy") -> str:
    """Returns what a sample takes, whether that pays against each baseline, when it would, and a published bound."""
    lost = [baseline for baseline in found.baselines if found.ratio(baseline) > 1]
    won = [baseline for baseline in found.baselines if baseline not in lost]
    sentences = [f"On {found.hardware.name}, a sample takes {joules(found.energy)}: {_ratios(found)}."]
    if not lost:
        sentences.append("It pays against all of them.")
    elif not won:
        sentences.append("It pays against none of them.")
    else:
        sentences.append(f"It pays against the {_listed(won)}, and not against the {_listed(lost)}.")
    if lost:
        sentences.append(_limit(found, max(lost, key=lambda baseline: baseline.energy)))
    spent = found.workload.spikes_per_synapse
    if math.isfinite(spent):
        low, high = PAYS_BELOW
        sentences.append(
            f"A synapse carries {number(spent, 3)} spikes; Dampfhoffer et al. (2023) find that integrate-and-fire networks "
            f"must stay below {low} to {high}, by how the ANN is implemented."
        )
    return " ".join(sentences)


def _ratios(found: "Energy") -> str:
    return ", ".join(f"{times(found.ratio(baseline))} the {baseline.name}" for baseline in found.baselines)


def _listed(baselines: list[Baseline]) -> str:
    return " and the ".join(baseline.name for baseline in baselines)


def _limit(found: "Energy", baseline: Baseline) -> str:
    """Under what circumstances it would pay."""
    spikes, steps = found.break_even_spikes(baseline), math.floor(found.break_even_timesteps(baseline))
    ways = []
    if steps >= 1:
        ways.append(f"up to {steps} timestep{'s' if steps > 1 else ''} at these firing rates")
    if spikes > 0:
        ways.append(f"up to {number(spikes, 2)} spikes a synapse in {found.workload.timesteps:.4g} timesteps")
    if not ways:
        if found.break_even_timesteps(baseline) > 0:
            return f"Against the {baseline.name} it never would: a single timestep at these firing rates costs more."
        return f"Against the {baseline.name} it never would: what depends neither on spikes nor on time costs more already."
    return f"Against the {baseline.name} it would pay with {', or '.join(ways)}."
