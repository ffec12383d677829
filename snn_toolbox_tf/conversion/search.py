"""The search for a way to calibrate, and for the smallest number of timesteps."""

import dataclasses
from collections.abc import Callable

from snn_toolbox_tf import corrections
from snn_toolbox_tf.calibration import ActivationStatistics
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.corrections import Recipe, Samples, Trial
from snn_toolbox_tf.foundation.telling import Tell
from snn_toolbox_tf.foundation.warning import warn_user
from snn_toolbox_tf.graph import Graph, Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.simulation.inputs import InputOptions

#: The number of timesteps that is found is not larger; nor is it finer than this part of the next power of two.
LARGEST_TIMESTEPS, _RESOLUTION = 256, 8


@dataclasses.dataclass(frozen=True)
class Found:
    """What came of a search.

    Attributes:
        timesteps: T.
        tried: The trials, one per recipe, by number of timesteps.
    """

    timesteps: int
    tried: dict[int, list[Trial]]

    @property
    def chosen(self) -> Trial | None:
        """The trial that agrees most with the source in T timesteps; None if nothing was tried."""
        return corrections.best_of(self.tried[self.timesteps])


@dataclasses.dataclass(frozen=True)
class Search:
    """Tries what the options leave open.

    Attributes:
        network: The network with its source's weights.
        statistics: Of its activations.
        options: Of the conversion.
        set_thresholds: Gives the populations the thresholds of a recipe, for a number of timesteps.
        tell: Is told of every number of timesteps that is tried, where it is to be found.
        reference: What gives the activations that populations are compared with, if it is not the network itself.
        joined: Names of populations that share their threshold with others.
    """

    network: Network
    statistics: ActivationStatistics
    options: ConversionOptions
    set_thresholds: Callable[[Recipe, int], object]
    tell: Tell
    reference: Network | None = None
    joined: frozenset[str] = frozenset()

    def run(self) -> Found:
        """Tries all that is to be tried, for the number of timesteps that is given or for as many as are needed."""
        if self.options.timesteps == "auto":
            return self._smallest_timesteps()
        timesteps = self.options.used_timesteps
        return Found(timesteps, {timesteps: self._trials(timesteps)})

    def _trials(self, timesteps: int) -> list[Trial]:
        """Tries all that is to be tried for a number of timesteps; nothing, if thresholds by the options are all."""
        options = self.options
        choose = options.automatic or options.timesteps == "auto"
        if not (choose or options.recipe.corrections) or not to_be_found(self.network.graph):
            return []
        if not corrections.is_feasible(self.network.graph, timesteps):
            if options.recipe.corrections:
                raise ValueError(
                    f"Corrections of model '{self.network.graph.name}' need a tensor of more than half a gigabyte for one "
                    f"sample in {timesteps} timesteps. Use fewer timesteps, or no corrections. Received: "
                    f"corrections={list(options.recipe.corrections)}"
                )
            # The rule alone, which needs no more memory than the source.
            return []
        recipes = self._recipes()
        samples = Samples.drawn(
            self.statistics.reservoir,
            self.network,
            timesteps,
            compare=choose,
            fit_weights=any(recipe.fits_weights for recipe in recipes),
            unseen=options.bits is not None,
        )
        if choose and samples.held_out is None:
            warn_user(
                f"Received {self.statistics.samples} calibration samples of model '{self.network.graph.name}'. Expected at "
                f"least {corrections.FEWEST_SAMPLES}, better a few hundred, on which ways to calibrate can be compared. "
                "Thresholds are percentiles.",
            )
            return []
        input_options = InputOptions(options.input, options.seed)
        trials = []
        for recipe in recipes:
            self.set_thresholds(recipe, timesteps)
            same = corrections.tried(
                self.network,
                samples,
                recipe,
                timesteps,
                input_options,
                options.schedule,
                reference=self.reference,
                joined=self.joined,
            )
            best = corrections.best_of(same)
            trials += [] if best is None else [best]
        return trials

    def _recipes(self) -> tuple[Recipe, ...]:
        if not self.options.automatic:
            return (self.options.recipe,)
        gradient = self.options.gradient
        fit_weights = gradient is not None and gradient.train_weights
        populations = self.network.graph.of_type(Population)
        fit_gains = not all(self.options.neuron_of(node.name).integrates_perfectly for node in populations)
        return corrections.recipes_for(
            len(self.statistics.reservoir),
            fit_weights=fit_weights,
            fit_gains=fit_gains,
            one_threshold=self.options.bits is not None,
        )

    def _smallest_timesteps(self) -> Found:
        """Finds the smallest T with which decisions agree to within the tolerance: doubles it, then halves the interval.

        Agreement rises with T but for noise, so that what is found is the smallest T for which it was seen, not a proof.
        """
        wanted = 1.0 - self.options.used_tolerance
        found: dict[int, list[Trial]] = {}

        def suffices(timesteps: int) -> bool:
            found[timesteps] = self._trials(timesteps)
            best = corrections.best_of(found[timesteps])
            self.tell(f"{timesteps} timesteps: {best}")
            return best is not None and best.agreement is not None and best.agreement.decisions >= wanted

        high = 4
        while not suffices(high):
            if not found[high]:
                raise ValueError(
                    "`timesteps='auto'` compares decisions on calibration samples that are held out. Expected at least "
                    f"{corrections.FEWEST_SAMPLES} samples, thresholds that are to be found, and tensors that fit into "
                    f"memory. Received: {self.statistics.samples} samples, model '{self.network.graph.name}', and "
                    f"{high} timesteps that did not do."
                )
            if high >= LARGEST_TIMESTEPS:
                warn_user(
                    f"Model '{self.network.graph.name}' does not reach an agreement of {wanted:g} with {high} timesteps, "
                    "which are taken. Give a larger `tolerance`, or more typical calibration data.",
                )
                return Found(high, found)
            high *= 2
        low = high // 2 if high > 4 else 0
        while high - low > max(1, high // _RESOLUTION):
            middle = (low + high) // 2
            low, high = (low, middle) if suffices(middle) else (middle, high)
        return Found(high, found)


def to_be_found(graph: Graph) -> set[str]:
    """Names of the populations whose thresholds the source does not bring; windows have the one that they share."""
    return {node.shared_name for node in graph.of_type(Population) if node.trained_threshold is None}
