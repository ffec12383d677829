"""`energy`: what a simulated network would spend on hardware, beside the ANN that it was made of."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from snn_toolbox_tf.costs.ann import Baseline, baselines
from snn_toolbox_tf.costs.hardware import Hardware, hardware_of
from snn_toolbox_tf.costs.lines import EnergyLine, total
from snn_toolbox_tf.costs.spiking_network import spiking_lines
from snn_toolbox_tf.costs.text import joules, times
from snn_toolbox_tf.costs.verdict import verdict_of
from snn_toolbox_tf.report.text import aligned, number, percent, quantity
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.simulation.workload import Workload

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Energy:
    """What a spiking network and its source spend on a sample.

    Attributes:
        hardware: What runs the spiking network.
        memory: Whether accesses to memory are counted.
        zero_skipping: Whether the ANN does not multiply zeros.
        lines: What the spiking network spends.
        baselines: What the ANN spends, in several number formats, at 45 nm.
        workload: What was counted.
    """

    hardware: Hardware
    memory: bool
    zero_skipping: bool
    lines: tuple[EnergyLine, ...]
    baselines: tuple[Baseline, ...]
    workload: Workload

    @property
    def energy(self) -> float:
        """Energy of the spiking network for a sample, in pJ."""
        return total(self.lines)

    @property
    def scope(self) -> str:
        """What is counted, in words."""
        if self.hardware.memory_apart:
            return "with memory" if self.memory else "operations only"
        return "all-in figures of a chip"

    def ratio(self, baseline: Baseline) -> float:
        """Returns the energy of the spiking network as a multiple of the ANN's."""
        return self.energy / baseline.energy if baseline.energy else math.nan

    def break_even_timesteps(self, baseline: Baseline) -> float:
        """Returns up to how many timesteps the spiking network spends no more, at these firing rates; 0 if it never does."""
        once = total(self.lines, "once")
        growing = self.energy - once
        if not growing:
            return math.inf
        return max(0.0, (baseline.energy - once) / growing) * self.workload.timesteps

    def break_even_spikes(self, baseline: Baseline) -> float:
        """Returns up to how many spikes a synapse it spends no more, for as many timesteps; 0 if it never does."""
        events = total(self.lines, "spikes")
        if not events:
            return math.inf
        rest = self.energy - events
        return max(0.0, (baseline.energy - rest) / events) * self.workload.spikes_per_synapse

    @property
    def verdict(self) -> str:
        """Whether the spiking network pays, in words."""
        return verdict_of(self)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data; energies in pJ, and None for a limit that there is not."""

        def finite(value: float) -> float | None:
            return value if math.isfinite(value) else None

        return {
            "hardware": dataclasses.asdict(self.hardware),
            "memory": self.memory,
            "zero_skipping": self.zero_skipping,
            "energy": self.energy,
            "timesteps": self.workload.timesteps,
            "spikes_per_synapse": finite(self.workload.spikes_per_synapse),
            "lines": [dataclasses.asdict(line) for line in self.lines],
            "baselines": [
                {
                    "name": baseline.name,
                    "energy": baseline.energy,
                    "ratio": finite(self.ratio(baseline)),
                    "break_even_timesteps": finite(self.break_even_timesteps(baseline)),
                    "break_even_spikes_per_synapse": finite(self.break_even_spikes(baseline)),
                    "lines": [dataclasses.asdict(line) for line in baseline.lines],
                }
                for baseline in self.baselines
            ],
            "verdict": self.verdict,
        }

    def line_rows(self) -> list[list[str]]:
        """Returns what the spiking network does, as text: name, count, energy and share, the largest first."""
        return [
            [line.name, quantity(line.count), joules(line.energy), percent(line.energy / self.energy, 1)]
            for line in sorted(self.lines, key=lambda line: -line.energy)
        ]

    def baseline_rows(self) -> list[list[str]]:
        """Returns the baselines as text: name, energy, ratio, break-even timesteps and spikes a synapse."""
        return [
            [
                baseline.name,
                joules(baseline.energy),
                times(self.ratio(baseline)),
                number(self.break_even_timesteps(baseline), 3),
                number(self.break_even_spikes(baseline), 3),
            ]
            for baseline in self.baselines
        ]

    def __str__(self) -> str:
        """Returns tables of what was counted and of the baselines, and the verdict."""
        spent = aligned(("spiking network", "per sample", "energy", "share"), self.line_rows(), texts=1)
        columns = ("baseline", "energy", "SNN", "break-even T", "break-even spikes/synapse")
        what = f"{self.hardware.name}, {self.scope} ({self.hardware.source})"
        skipping = "\nThe ANN skips zeros." if self.zero_skipping else ""
        return f"{what}\n\n{spent}\n\n{aligned(columns, self.baseline_rows(), texts=1)}{skipping}\n\n{self.verdict}"

    def plot(self) -> "Figure":
        """Draws the spiking network and its baselines as bars, divided into their lines."""
        # Only drawing imports matplotlib.
        from snn_toolbox_tf.costs.figure import bars

        return bars(self)


def energy(
    result: SimulationResult,
    hardware: str | Hardware | Mapping[str, Any] = "45nm",
    *,
    memory: bool = False,
    zero_skipping: bool = False,
) -> Energy:
    """Estimates the energy of a simulated network, from the operations that were counted, beside that of the ANN.

    A spiking network spends the sum over all spikes of fan-out times the energy of a synaptic event, and besides that its
    neurons' updates, biases and what real-valued input multiplies. The ANN is there in FP32, in INT8, and with activations
    of ceil(log2(T + 1)) bits, which say as much as T timesteps (Yan et al. 2024, "Reconsidering the energy efficiency of
    spiking neural networks", arXiv 2409.08290).

    It is a model, not a measurement: no figure here includes a clock, leakage or a network on chip.

    Args:
        result: What `simulate` gave.
        hardware: "45nm" (FP32), "45nm-fp16", "45nm-int8" (Horowitz 2014), "loihi", "spinnaker", "spinnaker2", a dict of
            energies in pJ with the names of `costs.Hardware`'s arguments, or such an object.
        memory: Whether accesses to memory and addresses are counted, for hardware whose figures leave them out
            (Lemaire et al. 2022, "An analytical estimation of spiking neural networks energy efficiency").
        zero_skipping: Whether the ANN does not multiply inputs that are 0.

    Returns:
        An `Energy`: `print` shows what is counted, baselines and a verdict; `plot()` draws it.

    Raises:
        TypeError: If `result` or `hardware` is something else.
        ValueError: If the hardware is unknown, its figures contain memory already, or the result is from a file of an
            earlier version, without a workload.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> found = snn.energy(snn.convert_keras(model, x).simulate(x, timesteps=8), hardware="loihi")
        >>> [line.name for line in found.lines]
        ['synaptic events', 'MACs of the input, by a host', 'neuron updates']
    """
    if not isinstance(result, SimulationResult):
        raise TypeError(f"Expected `result` to be what `simulate` gave. Received: {type(result).__name__}")
    if result.workload is None:
        raise ValueError("This result does not say what was counted: an earlier version wrote it. Simulate again.")
    return energy_of(result.workload, hardware, memory=memory, zero_skipping=zero_skipping)


def energy_of(
    workload: Workload,
    hardware: str | Hardware | Mapping[str, Any] = "45nm",
    *,
    memory: bool = False,
    zero_skipping: bool = False,
) -> Energy:
    """As `energy`, from a workload."""
    used = hardware_of(hardware)
    if memory and not used.memory_apart:
        raise ValueError(
            f"The figures of hardware '{used.name}' contain its memory. Expected `memory=False`, or hardware such as '45nm' "
            "whose figures leave it out. Received: memory=True"
        )
    return Energy(
        used,
        memory,
        zero_skipping,
        spiking_lines(workload, used, memory=memory),
        baselines(workload, memory=memory, zero_skipping=zero_skipping),
        workload,
    )
