"""`SpikingModel`: a `keras.Model` that spikes."""

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

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
from snn_toolbox_tf.model.evaluated_model import EvaluatedModel
from snn_toolbox_tf.model.file_seal import description_digest
from snn_toolbox_tf.model.saved_model import Endpoint, export_saved_model
from snn_toolbox_tf.model.saving import (
    check_compilation,
    check_layer_classes,
    check_layer_configurations,
    check_target,
    model_from_description,
    refuse_hdf5,
)
from snn_toolbox_tf.model.simulated_model import SimulatedModel
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.network.input_data import by_input_name, check_static_shapes
from snn_toolbox_tf.simulation.event_plan import ENGINES
from snn_toolbox_tf.simulation.inputs import INPUT_MODES, InputOptions
from snn_toolbox_tf.simulation.runner import Runner
from snn_toolbox_tf.simulation.schedules import check_schedule, neurons_of

DEFAULT_TIMESTEPS = 32


@keras.saving.register_keras_serializable(package="SnnToolbox")
class SpikingModel(SimulatedModel):
    """A spiking neural network made by `convert_keras`.

    It is a `keras.Model`: `predict` and `evaluate` run it for `timesteps` timesteps and give the decoded outputs, `save` and
    `keras.saving.load_model` keep it, `summary` shows its layers. `simulate` gives everything else that happened.

    Weights that are changed in a layer (`layer.kernel.assign`) are put on a grid when the model is used next. A direct call,
    `model_snn(x)`, does not look for them, and `step` does at the first timestep only.

    The decoded output after t timesteps is the output nonlinearity of (readout current summed over t timesteps / t); with
    `readout_start`, the first timesteps are left out of both.

    Args:
        graph: The network, a `Graph` or its configuration.
        timesteps: T of `predict`, `evaluate` and, unless told otherwise, `simulate`.
        input: "analog" (constant current), "poisson" (spikes drawn at each timestep) or "frames" (the data has a frame per
            timestep, `[samples, timesteps, ...]`; `predict` then runs through all of them).
        seed: Seed of the Poisson draws.
        block_length: K, the number of timesteps that each synapse handles at once; None chooses it by batch size and
            caches. Spikes do not depend on it.
        engine: What runs synapses that read spikes alone: "dense", their Keras layers; "event", native kernels that work
            only where there are spikes; "auto", what is faster. Spikes do not depend on it.
        schedule: "step", or "layer_synchronous": each population integrates all timesteps before it fires. Exact, with a
            latency of T timesteps per layer.
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
        engine: str = "auto",
        schedule: str = "step",
        conversion: ConversionRecord | dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        # Whatever Keras's global dtype policy says: spikes on a grid need float32.
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        if not isinstance(graph, Graph):
            graph = graph_from_config(graph)
            check_layer_classes(graph)
        self._network = Network(graph)
        self._network.keep_weights_in_layers()
        self._network_layers = self._network.all_layers
        self._timesteps = check_timesteps(timesteps)
        if block_length is not None:
            check_positive_integer(block_length, "block_length")
        check_one_of(engine, ENGINES, "engine")
        check_schedule(schedule, neurons_of(self._network.graph), input)
        input_options = InputOptions(check_one_of(input, INPUT_MODES, "input"), check_seed(seed))
        if not isinstance(conversion, ConversionRecord):
            conversion = ConversionRecord.from_dict(conversion or {})
        self.output_names = [readout.name for readout in self._network.graph.readouts]
        # XLA's CPU version of the step is slow, and it refuses custom operations.
        self.supports_jit = False
        self.prepare(Runner(self._network, input_options, block_length, schedule, engine), conversion)
        self.built = True

    @property
    def network(self) -> Network:
        """The network's graph and layers."""
        return self._network

    @property
    def runner(self) -> Runner:
        """What runs the network."""
        return self._runner

    @property
    def input_options(self) -> InputOptions:
        """How input is encoded."""
        return self._runner.input_options

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

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Saves the model as a `.keras` file, see `keras.Model.save`; an existing one is replaced once the new one is whole.

        Raises:
            ValueError: For another file type, which could not hold the network; and if what the model is compiled with, or
                a layer of yours, cannot be written to a file.
            FileExistsError: If the file exists and `overwrite` is False.
            IsADirectoryError: If it is a folder that holds something else.
            OSError: If the disk is full, and likewise; the file that was there stays.
        """
        check_target(filepath, overwrite=overwrite, zipped=zipped)
        check_compilation(self)
        check_layer_configurations(self._network.graph)
        with self.settled(), replacing_path(filepath) as written:
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
        with self.settled():
            export_saved_model(
                filepath,
                self,
                Endpoint(
                    lambda *inputs: self.run(inputs[0] if len(inputs) == 1 else list(inputs)),
                    self.input_signature(),
                ),
                verbose=bool(verbose),
            )

    def graph_on_grid(self) -> Graph:
        """Returns a copy of the network's graph, with its weights as they are on their grid."""
        self._settle()
        with self._fine_tuning.held_on_grid():
            return self._network.graph_with_weights()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "SpikingModel":
        """Returns the model that `get_config` described.

        Raises:
            ValueError: If the description was changed by hand, is damaged, or is another version's.
        """
        model = model_from_description(cls, config)
        model._described_by = description_digest(config)
        return model

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
            "engine": self._runner.engine,
            "schedule": self._runner.schedule,
            "conversion": self.conversion.as_dict(),
            "name": self.name,
        }

    def input_signature(self) -> list[tf.TensorSpec]:
        """Returns what a function of the inputs takes, in their order, with names that signatures may have."""
        frames = (None,) if self.input_options.mode == "frames" else ()
        nodes = inputs_of(self._network.graph)
        return [
            tf.TensorSpec((None, *frames, *node.shape), tf.float32, name=name)
            for name, node in zip(argument_names(node.name for node in nodes), nodes, strict=True)
        ]

    def thresholds(self) -> dict[str, np.ndarray]:
        """Returns theta per population, in units of the source's activations."""
        return dict(self.conversion.thresholds)


def check_spiking_model(value: Any, argument: str = "model_snn") -> SpikingModel:
    """Returns a spiking network, or raises an error.

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(value, EvaluatedModel) and not isinstance(value, SpikingModel):
        raise TypeError(
            f"{type(value).__name__} '{value.name}' is in latency code, of which there is `save` alone. Expected "
            f"`{argument}` to be a SpikingModel: convert with code='rate'."
        )
    if not isinstance(value, SpikingModel):
        raise TypeError(
            f"Expected `{argument}` to be a SpikingModel, which `convert_keras` makes of a Keras model. "
            f"Received: {type(value).__name__}"
        )
    return value
