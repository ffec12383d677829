"""`energy_curve`: accuracy against energy and operations, over the number of timesteps."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from snn_toolbox_tf.costs.energy import Energy, energy, energy_of
from snn_toolbox_tf.costs.hardware import Hardware, hardware_of
from snn_toolbox_tf.costs.text import joules, times
from snn_toolbox_tf.foundation.journal import Journal, as_journal
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.report.text import aligned, number, percent, quantity
from snn_toolbox_tf.simulation.workload import Workload
from snn_toolbox_tf.studies.labels import ann_accuracy
from snn_toolbox_tf.studies.networks import NetworkOrConversion, network_for, several_timesteps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class EnergyCurve:
    """Accuracy, operations and energy of a spiking network for several numbers of timesteps.

    Attributes:
        timesteps: The numbers of timesteps.
        accuracy: Share of samples that are classified correctly, for each of them.
        energies: What the network and its baselines spend, for each of them.
        ann_accuracy: The source's accuracy, or None if it is not known.
    """

    timesteps: tuple[int, ...]
    accuracy: tuple[float, ...]
    energies: tuple[Energy, ...]
    ann_accuracy: float | None

    @property
    def operations(self) -> tuple[float, ...]:
        """Additions and MACs of the spiking network for a sample, for each number of timesteps."""
        return tuple(
            sum(synapse.synaptic_operations + synapse.multiply_accumulates for synapse in found.workload.synapses)
            for found in self.energies
        )

    def cheapest(self, loss: float = 0.01) -> int | None:
        """Returns the smallest number of timesteps with at most so much less accuracy than the source; None without one.

        Args:
            loss: Share of samples, 0.01 for one percentage point.
        """
        if self.ann_accuracy is None:
            return None
        near = [
            steps
            for steps, accuracy in zip(self.timesteps, self.accuracy, strict=True)
            if accuracy >= self.ann_accuracy - loss - 1e-9
        ]
        return min(near, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as plain data; energies in pJ."""
        return {
            "timesteps": list(self.timesteps),
            "accuracy": list(self.accuracy),
            "ann_accuracy": self.ann_accuracy,
            "operations": list(self.operations),
            "energies": [found.as_dict() for found in self.energies],
        }

    def __str__(self) -> str:
        """Returns a table with a row per T, and the verdict for the smallest that loses at most one point, or the last."""
        names = [f"of {baseline.name}" for baseline in self.energies[0].baselines[:-1]]
        rows = [
            [
                str(steps),
                percent(accuracy),
                number(found.workload.spikes_per_synapse, 3),
                quantity(operations),
                joules(found.energy),
                *(times(found.ratio(baseline)) for baseline in found.baselines),
            ]
            for steps, accuracy, operations, found in zip(
                self.timesteps, self.accuracy, self.operations, self.energies, strict=True
            )
        ]
        columns = (
            "T",
            "accuracy",
            "spikes/synapse",
            "operations",
            "energy",
            *names,
            "of ANN, as many bits",
        )
        first = self.energies[0]
        ann = "\n".join(f"{one.name}: {joules(one.energy)}" for one in first.baselines[:-1])
        source = "" if self.ann_accuracy is None else f"\naccuracy of the ANN: {percent(self.ann_accuracy)}"
        steps = self.cheapest() or self.timesteps[-1]
        verdict = self.energies[self.timesteps.index(steps)].verdict
        table = aligned(columns, rows, texts=0)
        return f"{first.hardware.name}, {first.scope}\n\n{table}\n\n{ann}{source}\n\nT = {steps}: {verdict}"

    def plot(self) -> "Figure":
        """Draws accuracy against operations and against energy, with the ANN's points."""
        # Only drawing imports matplotlib.
        from snn_toolbox_tf.studies.figures import accuracy_against_cost

        return accuracy_against_cost(self)


def energy_curve(
    model_snn: NetworkOrConversion,
    x: Any,
    y: Any,
    timesteps: Sequence[int] = (4, 8, 16, 32, 64),
    hardware: str | Hardware | Mapping[str, Any] = "45nm",
    *,
    model: Any = None,
    memory: bool = False,
    zero_skipping: bool = False,
    journal: Journal | None = None,
    **simulation: Any,
) -> EnergyCurve:
    """Simulates a network for several numbers of timesteps, and says what accuracy costs.

    Args:
        model_snn: The spiking network, which is run for each number of timesteps; or a function that returns the network
            converted for so many.
        x: Test data, as for `simulate`.
        y: Labels, see `SimulationResult.accuracy`.
        timesteps: Numbers of timesteps.
        hardware: See `energy`.
        model: The source model, for its accuracy.
        memory: See `energy`.
        zero_skipping: See `energy`.
        journal: Keeps what is finished, by number of timesteps, see `Journal`. Where a function converts, it is up to you to
            use a journal of its own for what depends on that.
        **simulation: Further arguments of `SpikingModel.simulate`.

    Returns:
        An `EnergyCurve`: `print` shows it as a table, `plot()` draws it.

    Raises:
        TypeError: If `model_snn` is neither a spiking network nor a function that returns one.
        ValueError: If there are no numbers of timesteps, the network has several outputs, and as `simulate` and `energy`.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> y = model.predict(x, verbose=0).argmax(1)
        >>> convert = lambda timesteps: snn.convert_keras(model, x, timesteps=timesteps)
        >>> curve = snn.energy_curve(convert, x, y, timesteps=[4, 16], model=model)
        >>> curve.ann_accuracy, curve.operations[1] > curve.operations[0]
        (1.0, True)
    """
    numbers = several_timesteps(timesteps)
    journal = as_journal(journal)
    journal.identify(
        study="energy",
        model=model,
        model_snn=model_snn if isinstance(model_snn, SpikingModel) else None,
        x=x,
        y=y,
        simulation=simulation,
    )
    # Unknown hardware is told before the first run.
    hardware_of(hardware)

    def point(steps: int) -> dict[str, Any]:
        network = network_for(model_snn, steps)
        if len(network.network.graph.readouts) != 1:
            raise ValueError(
                "An energy curve needs a network with one output, of classes. "
                f"Received: {len(network.network.graph.readouts)} outputs"
            )
        result = network.simulate(x, timesteps=steps, outputs="last", **simulation)
        workload = energy(result, hardware).workload
        return {"accuracy": float(result.accuracy(y)[-1]), "workload": workload.as_dict()}

    points = [journal.point(f"T = {steps}", functools.partial(point, steps)) for steps in numbers]
    energies = [
        energy_of(Workload.from_dict(one["workload"]), hardware, memory=memory, zero_skipping=zero_skipping)
        for one in points
    ]
    source = None if model is None else journal.point("source", lambda: {"accuracy": ann_accuracy(model, x, y)})
    accuracies = tuple(one["accuracy"] for one in points)
    return EnergyCurve(numbers, accuracies, tuple(energies), None if source is None else source["accuracy"])
