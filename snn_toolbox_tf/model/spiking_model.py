"""`SpikingModel`: a `keras.Model` that spikes."""

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.export.saved_model import export_saved_model
from snn_toolbox_tf.foundation.argument_checks import (
    check_one_of,
    check_positive_integer,
    check_seed,
    check_timesteps,
)
from snn_toolbox_tf.foundation.atomic_files import replacing_path
from snn_toolbox_tf.foundation.names import argument_names
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.graph.file_format import graph_from_config, graph_to_config
from snn_toolbox_tf.grid import reproducibility_exceptions
from snn_toolbox_tf.model.conversion_record import ConversionRecord
from snn_toolbox_tf.model.saving import check_target, model_from_description, refuse_hdf5
from snn_toolbox_tf.model.trainable_model import TrainableModel
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.network.input_data import by_input_name, check_static_shapes
from snn_toolbox_tf.simulation.inputs import INPUT_MODES, InputOptions
from snn_toolbox_tf.simulation.result import SimulationResult
from snn_toolbox_tf.simulation.runner import Runner
from snn_toolbox_tf.simulation.simulate import simulate

DEFAULT_TIMESTEPS = 32


@keras.saving.register_keras_serializable(package="SnnToolbox")
class SpikingModel(TrainableModel):
    """A spiking neural network made by `convert_keras`.

    It is a `keras.Model`: `predict` and `evaluate` run it for `timesteps` timesteps and give the decoded outputs, `save` and
    `keras.saving.load_model` keep it, `summary` shows its layers. `simulate` gives everything else that happened.

    Weights that are changed in a layer (`layer.kernel.assign`) are put on a grid when the model is used next. A direct call,
    `model_snn(x)`, does not look for them, and `step` does at the first timestep only.

    The decoded output after t timesteps is the output nonlinearity of (readout current summed over t timesteps / t).

    Args:
        graph: The network, a `Graph` or its configuration.
        timesteps: T of `predict`, `evaluate` and, unless told otherwise, `simulate`.
        input: "analog" (constant current), "poisson" (spikes drawn at each timestep) or "frames" (the data has a frame per
            timestep, `[samples, timesteps, ...]`; `predict` then runs through all of them).
        seed: Seed of the Poisson draws.
        block_length: K, the number of timesteps that each synapse handles at once; None chooses it by batch size and
            caches. Spikes do not depend on it.
        conversion: How the model was made, a `ConversionRecord` or its `as_dict()`.
        name: Name of the model.

    Attributes:
        conversion: The record of the conversion: settings, thresholds and measured errors.
    """

    def __init__(
        self,
        graph: Graph | dict[str, Any],
        *,
        timesteps: int = DEFAULT_TIMESTEPS,
        input: str = "analog",
        seed: int = 0,
        block_length: int | None = None,
        conversion: ConversionRecord | dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        # Whatever Keras's global dtype policy says: spikes on a grid need float32.
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        self._network = Network(graph if isinstance(graph, Graph) else graph_from_config(graph))
        self._network.keep_weights_in_layers()
        self._network_layers = [
            *self._network.layers.values(),
            *(layer for decoder in self._network.decoders for layer in decoder),
        ]
        self._timesteps = check_timesteps(timesteps)
        if block_length is not None:
            check_positive_integer(block_length, "block_length")
        input_options = InputOptions(check_one_of(input, INPUT_MODES, "input"), check_seed(seed))
        if not isinstance(conversion, ConversionRecord):
            conversion = ConversionRecord.from_dict(conversion or {})
        self.output_names = [readout.name for readout in self._network.graph.readouts]
        # XLA's CPU version of the step is slow, and it refuses custom operations.
        self.supports_jit = False
        self.prepare(Runner(self._network, input_options, block_length), conversion)
        self.built = True

    @property
    def network(self) -> Network:
        """The network's graph and layers."""
        return self._network

    @property
    def input_options(self) -> InputOptions:
        """How input is encoded."""
        return self._runner.input_options

    @property
    def timesteps(self) -> int:
        """T, the number of timesteps of `predict` and `evaluate`."""
        return self._timesteps

    @timesteps.setter
    def timesteps(self, value: int) -> None:
        if self._fine_tuning.active:
            raise RuntimeError(
                f"SpikingModel '{self.name}' is being trained at {self._timesteps} timesteps. "
                "Set `timesteps` before or after."
            )
        self._timesteps = check_timesteps(value)
        self._forget_keras_functions()

    @property
    def reproducibility_exceptions(self) -> list[str]:
        """What is not promised to be bit-equal over batch size and block length, in words; usually nothing.

        The promise is for spikes and readout currents. Behind a softmax or another nonlinearity, outputs are computed in
        float64 and rounded to float32: one in hundreds of millions may still differ in its last bit.
        """
        return [*self.conversion.platform_exceptions, *reproducibility_exceptions(self._network.graph)]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Runs T timesteps from the initial state; returns the decoded outputs.

        Args:
            inputs: In the structure of the source's inputs, `[batch, ...]`.
            training: Whether the outputs have a (surrogate) gradient; keeps all timesteps in memory.

        Returns:
            The decoded outputs, `[batch, ...]`.
        """
        if training:
            return self._fine_tuning.run(self._checked(inputs), self._timesteps)
        if self._fine_tuning.active:
            with self._fine_tuning.on_grid():
                return self.run(inputs)
        finite = {
            name: tf.debugging.assert_all_finite(tensor, f"Input '{name}' holds NaN or infinite values.")
            for name, tensor in self._checked(inputs).items()
        }
        return self._forward(finite, self._timesteps)

    def run(self, inputs: Any) -> Any:
        """Does what a call does, traced anew each time, for the active implementation of `ops`."""
        return self._runner.run_all(self._checked(inputs), self._timesteps)

    def _checked(self, inputs: Any) -> dict[str, tf.Tensor]:
        parts = by_input_name(inputs, self._network.graph, "inputs")
        check_static_shapes(parts, self._network.graph, frames=self.input_options.mode == "frames")
        return {name: tf.cast(tensor, tf.float32) for name, tensor in parts.items()}

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
                `block_length` (K), `schedule` ("step" or "layer_synchronous": each population first integrates all
                timesteps, then fires), `sample_indices` (one per sample, for Poisson draws; their positions by default),
                `memory_limit` (bytes for the arrays of the result, 2 GiB by default; None: no limit), `verbose` (1 shows a
                progress bar).

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
        self._settle()
        with self._fine_tuning.held_on_grid():
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

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Saves the model as a `.keras` file, see `keras.Model.save`; an existing one is replaced once the new one is whole.

        Raises:
            ValueError: For another file type, which could not hold the network.
            FileExistsError: If the file exists and `overwrite` is False.
            IsADirectoryError: If it is a folder that holds something else.
        """
        check_target(filepath, overwrite=overwrite)
        self._settle()
        with self._fine_tuning.held_on_grid(), replacing_path(filepath) as written:
            super().save(os.fspath(written), zipped=zipped, **kwargs)

    def export(self, filepath: Any, format: str = "tf_saved_model", verbose: bool | None = None, **kwargs: Any) -> None:
        """Writes a SavedModel of stock TensorFlow operations with a free batch dimension.

        It needs neither this package nor Keras to run. Its signature `serving_default` takes the source's inputs and runs
        `timesteps` timesteps.

        Args:
            filepath: Folder to write. An existing SavedModel there is replaced once the new one is complete.
            format: "tf_saved_model".
            verbose: Whether to print the signature.
            **kwargs: None is accepted.

        Raises:
            ValueError: For another format, an unknown option, or a folder that holds something else.
        """
        if format != "tf_saved_model" or kwargs:
            raise ValueError(
                "A SpikingModel exports to format='tf_saved_model', without further options. "
                f"Received: format={format!r}, {sorted(kwargs)}"
            )
        self._settle()
        with self._fine_tuning.held_on_grid():
            export_saved_model(
                filepath,
                self,
                lambda *inputs: self.run(inputs[0] if len(inputs) == 1 else list(inputs)),
                self._serving_signature(),
                verbose=bool(verbose),
            )

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "SpikingModel":
        """Returns the model that `get_config` described.

        Raises:
            ValueError: If the description was changed by hand, is damaged, or is another version's.
        """
        return model_from_description(cls, config)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; weights are saved by the layers.

        Raises:
            ValueError: If Keras asks for them to write a file that cannot hold the network.
        """
        refuse_hdf5(self.name)
        return {
            "graph": graph_to_config(self._network.graph),
            "timesteps": self._timesteps,
            "input": self.input_options.mode,
            "seed": self.input_options.seed,
            "block_length": self._runner.block_length,
            "conversion": self.conversion.as_dict(),
            "name": self.name,
        }

    def _serving_signature(self) -> list[tf.TensorSpec]:
        frames = (None,) if self.input_options.mode == "frames" else ()
        nodes = inputs_of(self._network.graph)
        return [
            tf.TensorSpec((None, *frames, *node.shape), tf.float32, name=name)
            for name, node in zip(argument_names(node.name for node in nodes), nodes, strict=True)
        ]

    def thresholds(self) -> dict[str, np.ndarray]:
        """Returns theta per population, in units of the source's activations."""
        return dict(self.conversion.thresholds)
