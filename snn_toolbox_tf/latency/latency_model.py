"""`LatencyModel`: a `keras.Model` whose neurons spike at most once, earlier for larger values."""

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.foundation.argument_checks import check_positive_integer
from snn_toolbox_tf.foundation.atomic_files import replacing_path
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.graph.file_format import graph_from_config, graph_to_config
from snn_toolbox_tf.latency.event_network import EventNetwork
from snn_toolbox_tf.latency.measured import MeasuredEvents
from snn_toolbox_tf.latency.record import LatencyRecord
from snn_toolbox_tf.latency.refused import RefusedInLatencyCode
from snn_toolbox_tf.latency.result import LatencyResult
from snn_toolbox_tf.latency.windows import Windows
from snn_toolbox_tf.layers import SpikingNeurons
from snn_toolbox_tf.model.evaluated_model import EvaluatedModel, prepared
from snn_toolbox_tf.model.file_seal import FileSeal, check_seal, description_digest, write_seal
from snn_toolbox_tf.model.saving import (
    check_compilation,
    check_layer_classes,
    check_layer_configurations,
    check_target,
    model_from_description,
    refuse_hdf5,
)
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.network.input_data import InputData, by_input_name, check_static_shapes


@keras.saving.register_keras_serializable(package="SnnToolbox")
class LatencyModel(RefusedInLatencyCode, EvaluatedModel):
    """A spiking network in latency code, made by `convert_keras(model, x, code="latency")`.

    It is a `keras.Model`: `predict` and `evaluate` give the decoded outputs, `save` and `keras.saving.load_model` keep it.
    `simulate` gives spike times, numbers of spikes and operations, and how much was clipped. It is not trained: train its
    source, and convert that again.

    Args:
        graph: The network, a `Graph` or its configuration.
        conversion: How it was made, a `LatencyRecord` or its `summary`: code and ranges are part of the network.
        name: Name of the model.

    Attributes:
        conversion: The record of the conversion.
    """

    _described_by: np.ndarray | None = None

    def __init__(
        self,
        graph: Graph | dict[str, Any],
        *,
        conversion: LatencyRecord | dict[str, Any],
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, trainable=False, **{"dtype": "float32", **kwargs})
        if not isinstance(graph, Graph):
            graph = graph_from_config(graph)
            check_layer_classes(graph)
        if not isinstance(conversion, LatencyRecord):
            conversion = LatencyRecord.from_dict(conversion)
        self.conversion = conversion
        code = conversion.code
        self._network = Network(graph, dtype=code.dtype)
        self._network.keep_weights_in_layers()
        # Populations are neurons in time, not layers of it.
        self._network_layers = [one for one in self._network.all_layers if not isinstance(one, SpikingNeurons)]
        self._events = EventNetwork(self._network, code, conversion.ranges, frozenset(conversion.signed_inputs))
        self._measured: MeasuredEvents | None = None
        self.output_names = [readout.name for readout in graph.readouts]
        self.supports_jit = False
        object.__setattr__(self, "_file_seal", FileSeal(self._write_seal, self._check_seal))
        self.built = True

    @property
    def network(self) -> Network:
        """The network's graph and layers."""
        return self._network

    @property
    def events(self) -> EventNetwork:
        """What runs the network on event times."""
        return self._events

    @property
    def measured(self) -> MeasuredEvents:
        """What runs the network and counts; made when it is first used."""
        if self._measured is None:
            self._measured = MeasuredEvents(self._events, self.decode)
        return self._measured

    @property
    def ann_multiply_accumulates(self) -> float:
        """Multiply-accumulates of the same layers in the ANN, per sample."""
        return self.measured.operations.ann_multiply_accumulates

    @property
    def windows(self) -> Windows:
        """The windows of populations and inputs, in the units of `simulate`'s spike times."""
        return self._events.clock

    @property
    def timesteps_per_window(self) -> int | None:
        """S, or None in continuous time."""
        return self.conversion.code.steps

    @property
    def latency(self) -> float:
        """Time from the first window's beginning to the outputs, in the units of `windows`."""
        return self.windows.end

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the decoded outputs, `[batch, ...]`, for inputs in the structure of the source's."""
        parts = by_input_name(inputs, self._network.graph, "inputs")
        check_static_shapes(parts, self._network.graph, frames=False)
        finite = {
            name: tf.debugging.assert_all_finite(
                tf.cast(tensor, tf.float32), f"Input '{name}' holds NaN or infinite values."
            )
            for name, tensor in parts.items()
        }
        return self.decode(self._events.run(finite).values)

    def decode(self, values: dict[str, Any]) -> Any:
        """Returns the outputs in the source's structure, of the potentials of the nodes that they read."""
        return self._network.decode([values[readout.node] for readout in self._network.graph.readouts])

    def simulate(self, x: Any, batch_size: int = 32, record: Any = (), verbose: int = 0) -> LatencyResult:
        """Runs the network and returns what happened.

        Args:
            x: Arrays in the structure of the source's inputs, `[samples, ...]`, or batches of them: a `tf.data.Dataset`, a
                `keras.utils.PyDataset`, a generator.
            batch_size: Samples that run at once, at most.
            record: Names of populations (and inputs) whose spike times are kept, or "all".
            verbose: 1 shows a progress bar.

        Returns:
            A `LatencyResult`.

        Raises:
            TypeError: If data is not numeric.
            ValueError: If data or a name is not usable.

        Example:
            >>> import keras, numpy as np, snn_toolbox_tf as snn
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3)])
            >>> x = np.random.default_rng(0).random((10, 4), "float32")
            >>> model_snn = snn.convert_keras(model, x, code="latency", timesteps_per_window=16)
            >>> result = model_snn.simulate(x, record=["a_relu"])
            >>> result.outputs.shape, result.spike_times["a_relu"].shape, result.latency
            ((10, 3), (10, 8), 32.0)
        """
        check_positive_integer(batch_size, "batch_size")
        recorded = self._recorded(record)
        data = InputData(x, self._network.graph, argument="x")
        bar = keras.utils.Progbar(data.count, verbose=1) if verbose else None
        parts = []
        for batch in data.batches(batch_size):
            parts.append(self.measured.run(batch, recorded))
            if bar is not None:
                bar.add(parts[-1].samples)
        return LatencyResult.join(parts)

    def _recorded(self, record: Any) -> tuple[str, ...]:
        known = self._events.spiking
        if isinstance(record, str) and record == "all":
            return tuple(known)
        names = [record] if isinstance(record, str) else list(record)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"`record` names {unknown}, which do not spike. Expected 'all', or names of {known}. "
                f"Received: record={record!r}"
            )
        return tuple(names)

    def _prepared(self, x: Any) -> Any:
        return prepared(x, self._network.graph)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Saves the model as a `.keras` file, see `keras.Model.save`; an existing one is replaced once the new one is whole.

        Raises:
            ValueError: For another file type; and if what the model is compiled with cannot be written to a file.
            FileExistsError: If the file exists and `overwrite` is False.
            IsADirectoryError: If it is a folder that holds something else.
        """
        check_target(filepath, overwrite=overwrite, zipped=zipped)
        check_compilation(self)
        check_layer_configurations(self._network.graph)
        with replacing_path(filepath) as written:
            super().save(os.fspath(written), zipped=zipped, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; weights are saved by the layers."""
        refuse_hdf5(self.name)
        return {
            "graph": graph_to_config(self._network.graph),
            "conversion": self.conversion.summary,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "LatencyModel":
        """Returns the model that `get_config` described.

        Raises:
            ValueError: If the description was changed by hand, is damaged, or is another version's.
        """
        model = model_from_description(cls, config)
        model._described_by = description_digest(config)
        return model

    def _write_seal(self, store: Any) -> None:
        write_seal(store, self)

    def _check_seal(self, store: Any) -> None:
        described_by, self._described_by = self._described_by, None
        check_seal(store, self, described_by, missing=False)
