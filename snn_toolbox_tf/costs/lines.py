"""Lines of an energy balance: what is counted, how often, and what it costs."""

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class EnergyLine:
    """One kind of operation of a network.

    Attributes:
        name: What is counted.
        count: How often, for a sample.
        energy: What all of them cost, in pJ.
        grows: With what it grows: "once" (it does not), "timesteps", or "spikes".
    """

    name: str
    count: float
    energy: float
    grows: str


def total(lines: Iterable[EnergyLine], *kinds: str) -> float:
    """Returns the energy of all lines, or of those that grow with some of `kinds`, in pJ."""
    return sum(line.energy for line in lines if not kinds or line.grows in kinds)


class Balance:
    """Adds up lines by name.

    Lines without any count are left out.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], tuple[float, float]] = {}

    def add(self, name: str, count: float, each: float, grows: str) -> None:
        """Adds so many operations of `each` pJ to a line."""
        counted, energy = self._lines.get((name, grows), (0.0, 0.0))
        self._lines[name, grows] = counted + count, energy + count * each

    def lines(self) -> tuple[EnergyLine, ...]:
        """Returns the lines, in the order in which they were begun."""
        return tuple(
            EnergyLine(name, count, energy, grows) for (name, grows), (count, energy) in self._lines.items() if count
        )
