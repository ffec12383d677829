"""`SimulatedModel`: a spiking model in time: how many timesteps it runs, what happens in them, and one after the other."""

import numbers
import warnings
from typing import Any

from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_start, check_timesteps
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.model.persistent_model import PersistentModel
from snn_toolbox_tf.simulation.engine_report import EngineReport, engine_report
from snn_toolbox_tf.simulation.event_plan import ENGINES
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.simulation.simulate import simulate


class SimulatedModel(PersistentModel):
    """A `PersistentModel` that is run for a number of timesteps."""

    _timesteps: int

    @property
    def timesteps(self) -> int:
        """T, the number of timesteps of `predict` and `evaluate`."""
        return self._timesteps

    @timesteps.setter
    def timesteps(self, value: int) -> None:
        self._refuse_in_training("timesteps")
        self._timesteps = check_timesteps(value)
        self._warn_of_other_timesteps(value, "all")
        self._forget_keras_functions()

    @property
    def windows(self) -> int:
        """The number of windows of T timesteps that a run takes one after the other; they are simulated side by side.

        Step by step it is 1, or as many as a sequence has steps if there are recurrent layers (more where a layer waits for
        the last step of another one). Layer-synchronously, each population on the way adds one.
        """
        return self._runner.windows(self._runner.schedule)

    @property
    def latency(self) -> int:
        """Timesteps from the first input to the last output: all windows, of T timesteps each."""
        return self.windows * self._timesteps

    @property
    def readout_start(self) -> int:
        """The number of timesteps whose current the readout leaves out, because the network settles meanwhile.

        After t > `readout_start` timesteps the decoded output is the output nonlinearity of the readout current averaged
        over the last t - `readout_start` of them; before, over all. The timesteps that are left out count in T. It is part
        of the network: `save` and `export` keep it.
        """
        return max(readout.start for readout in self._runner.network.graph.readouts)

    @readout_start.setter
    def readout_start(self, value: int) -> None:
        self._refuse_in_training("readout_start")
        start = check_start(value, "readout_start")
        for readout in self._runner.network.graph.readouts:
            readout.start = start
        self._runner.reset_state()
        self._trace_anew()

    @property
    def population_starts(self) -> dict[str, int]:
        """The number of timesteps in which each population only integrates, of those that wait for their input to settle.

        `convert_keras(population_starts=...)` sets it. It is part of the network: `save` and `export` keep it.
        """
        populations = self._runner.network.graph.of_type(Population)
        return {node.name: node.start for node in populations if node.start}

    @property
    def draws_spikes(self) -> bool:
        """Whether spikes are drawn at random, of Poisson input or by a spiking softmax: by seed and index of the sample."""
        drawn = any(readout.spiking_softmax for readout in self._runner.network.graph.readouts)
        return drawn or self._runner.input_options.mode == "poisson"

    @property
    def engine(self) -> str:
        """What runs synapses that read spikes alone: "auto", "dense" or "event"; it changes nothing but speed."""
        return self._runner.engine

    @engine.setter
    def engine(self, value: str) -> None:
        self._refuse_in_training("engine")
        self._runner.engine = check_one_of(value, ENGINES, "engine")
        self._trace_anew()

    def engine_report(self) -> EngineReport:
        """Returns where each layer runs, and why; printed, it is a table.

        Returns:
            An `EngineReport`, whose entries have `name`, `layer`, `runs` and `why`.

        Example:
            >>> import keras, numpy as np, snn_toolbox_tf as snn
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3)])
            >>> model_snn = snn.convert_keras(model, np.random.default_rng(0).random((10, 4), "float32"))
            >>> model_snn.engine_report()["a"].why
            'reads the input, not spikes'
        """
        return engine_report(self._runner.network, self.engine, self._runner.schedule)

    def _refuse_in_training(self, name: str) -> None:
        if self._fine_tuning.active:
            raise RuntimeError(
                f"SpikingModel '{self.name}' is being trained at {self._timesteps} timesteps. "
                f"Set `{name}` before or after."
            )

    def simulate(
        self,
        x: Any,
        timesteps: int | None = None,
        batch_size: int = 32,
        record: Any = (),
        outputs: Any = "all",
        **options: Any,
    ) -> SimulationResult:
        """Runs the network and returns what happened.

        Args:
            x: Arrays in the structure of the source's inputs, `[samples, ...]` (`[samples, timesteps, ...]` for frames), or
                batches of them: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator.
            timesteps: T; the model's own if None.
            batch_size: Samples that run at once, at most. Large networks run fewer, so that their tensors stay in the
                caches; results do not depend on it.
            record: What to keep: any of "spikes", "membrane_potential" (both for every timestep), "spike_counts" (per
                sample); or a dict that names populations, `{"spikes": ["conv1_relu"]}`.
            outputs: Which decoded outputs to keep: "all" timesteps, the "last", or a list of numbers of timesteps.
            **options: `input` ("analog", "poisson" or "frames"; the model's own by default), `seed` (of Poisson input),
                `block_length` (K), `schedule` ("step", or "layer_synchronous": each population first integrates all
                timesteps, then fires; the model's own by default), `early_exit` (an `EarlyExit`: samples leave the batch
                when they are sure of their class, see `SimulationResult.exit_timesteps`), `sample_indices` (one per sample,
                for Poisson draws; their positions by default), `memory_limit` (bytes for the arrays of the result, 2 GiB by
                default; None: no limit), `verbose` (1 shows a progress bar).

        Returns:
            A `SimulationResult`.

        Raises:
            TypeError: If data is not numeric or an option is unknown.
            ValueError: If data, a number or a name is not usable.
            MemoryError: If the result would exceed `memory_limit`; raised before the simulation.

        Example:
            >>> import keras, numpy as np, snn_toolbox_tf as snn
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3)])
            >>> x = np.random.default_rng(0).random((10, 4), "float32")
            >>> model_snn = snn.convert_keras(model, x)
            >>> result = model_snn.simulate(x, timesteps=16, record=["spikes"])
            >>> result.outputs.shape, result.spikes["a_relu"].shape
            ((16, 10, 3), (16, 10, 8))
        """
        self._warn_of_other_timesteps(timesteps, outputs)
        with self.settled():
            return simulate(
                self._runner,
                x,
                default_timesteps=self._timesteps,
                timesteps=timesteps,
                batch_size=batch_size,
                record=record,
                outputs=outputs,
                **options,
            )

    def _warn_of_other_timesteps(self, timesteps: Any, outputs: Any) -> None:
        made_for = self.conversion.calibrated_timesteps
        if timesteps is None:
            # Without it, a run is as long as its last output.
            numbered = isinstance(outputs, (list, tuple, range)) and all(
                isinstance(t, numbers.Integral) for t in outputs
            )
            timesteps = max(outputs, default=self._timesteps) if numbered else self._timesteps
        if not isinstance(timesteps, numbers.Integral):
            return
        if made_for is not None and timesteps != made_for:
            warnings.warn(
                f"Thresholds and corrections of SpikingModel '{self.name}' were made for {made_for} timesteps, and it is "
                f"run for {timesteps}: another number may cost accuracy. Convert with timesteps={timesteps}.",
                stacklevel=3,
            )
        silent = [name for name, start in self.population_starts.items() if timesteps <= start]
        if silent:
            warnings.warn(
                f"In {timesteps} timesteps, populations {silent} of SpikingModel '{self.name}' do not fire: they wait for "
                f"more, see `population_starts`. Run it for more than {max(self.population_starts.values())} timesteps.",
                stacklevel=3,
            )

    def step(self, frame: Any) -> Any:
        """Runs one timestep and keeps the state: streaming.

        Args:
            frame: The input of this timestep, in the structure of the source's inputs, `[batch, ...]`. It is real-valued; a
                model with Poisson input draws its spikes from it.

        Returns:
            The decoded output so far, float32 `[batch, ...]`.

        Raises:
            ValueError: If the batch size differs from that of the state that is kept; call `reset_state()` first.
        """
        if not self._runner.is_streaming:
            self._settle()
        with self._fine_tuning.held_on_grid():
            return self._runner.step(frame)

    def reset_state(self) -> None:
        """Forgets the state that `step` keeps; the next `step` starts from the initial state."""
        self._runner.reset_state()
