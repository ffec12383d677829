"""What a served network can be asked: its signatures, as functions of tensors whose first axis is the batch."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from snn_toolbox_tf.analysis.closed_form import ClosedForm
from snn_toolbox_tf.foundation.names import argument_names
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.model.saved_model import Endpoint
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.simulation.early_exit import EarlyExit
from snn_toolbox_tf.simulation.measured_run import MeasuredRun
from snn_toolbox_tf.simulation.streams import PACKED_DTYPE

#: What outputs besides the decoded ones are called.
TIMESTEPS, OPERATIONS, MULTIPLIED, STATE = "timesteps", "synaptic_operations", "multiply_accumulates", "state"
SPIKES = "spikes_{}"
SAMPLE_INDEX = "sample_index"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a served network shall be able to answer.

    Attributes:
        timesteps: T of `serving_default`, and behind it further ones, each of which gets a signature.
        early_exit: When samples have their answer before; None: never.
        closed_form: Whether there is a signature that computes the layer-synchronous run in one pass.
    """

    timesteps: tuple[int, ...]
    early_exit: EarlyExit | None = None
    closed_form: bool = False


class ServedNetwork:
    """A network as functions of tensors.

    Args:
        model_snn: The network; its weights are on their grid.
        asked: What it shall be able to answer.

    Attributes:
        input_names: Names of the inputs in signatures, in order.
        output_names: Names of the decoded outputs, in order.
        spike_names: Name of the output that holds each population's number of spikes, by population.
    """

    def __init__(self, model_snn: SpikingModel, asked: Asked) -> None:
        self._model, self._asked = model_snn, asked
        self._inputs = model_snn.input_signature()
        graph = model_snn.network.graph
        self._names = keras.tree.flatten(graph.input_structure)
        self.input_names = [spec.name for spec in self._inputs]
        self._draws = model_snn.draws_spikes
        reserved = [TIMESTEPS, OPERATIONS, MULTIPLIED, STATE]
        outputs = [readout.name for readout in graph.readouts]
        self.output_names = argument_names([*reserved, *outputs])[len(reserved) :]
        self._measured = {
            timesteps: MeasuredRun(model_snn.runner, timesteps, asked.early_exit) for timesteps in asked.timesteps
        }
        counted = self._measured[asked.timesteps[0]].counted
        taken = [*reserved, *self.output_names]
        spikes = argument_names([*taken, *(SPIKES.format(name) for name in counted)])[len(taken) :]
        self.spike_names = dict(zip(counted, spikes, strict=True))
        self._closed_form = ClosedForm(model_snn) if asked.closed_form else None

    @property
    def holders(self) -> list[keras.layers.Layer]:
        """What holds the variables of the functions."""
        return [self._model, *(self._closed_form.layers if self._closed_form else [])]

    def endpoints(self) -> dict[str, Endpoint]:
        """Returns all signatures by name."""
        first, *_ = self._asked.timesteps
        found = {
            "serving_default": Endpoint(self._decoded_after(first), self._arguments()),
            "rates": Endpoint(self._rates, self._arguments()),
        }
        if len(self._asked.timesteps) > 1:
            for timesteps in self._asked.timesteps:
                found[f"timesteps_{timesteps}"] = Endpoint(self._decoded_after(timesteps), self._arguments())
        if self._closed_form is not None:
            found["closed_form"] = Endpoint(self._in_closed_form, self._inputs)
        if self._model.runner.schedule == "step":
            found |= self._streaming()
        return found

    def _arguments(self) -> list[tf.TensorSpec]:
        """What a whole run takes: where spikes are drawn, also the index by which they are."""
        *_, name = argument_names([*self.input_names, SAMPLE_INDEX])
        return [*self._inputs, *([tf.TensorSpec([None], tf.int64, name=name)] if self._draws else [])]

    def _split(self, tensors: Sequence[tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        """Returns the inputs of a whole run by name, and the index of each sample."""
        count = len(self._names)
        return self._by_name(tensors[:count]), tensors[count] if self._draws else None

    def _by_name(self, tensors: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(zip(self._names, tensors, strict=True))

    def _outputs(self, outputs: Any) -> dict[str, tf.Tensor]:
        return dict(zip(self.output_names, keras.tree.flatten(outputs), strict=True))

    def _decoded_after(self, timesteps: int) -> Any:
        def decoded(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            if self._asked.early_exit is None:
                given, sample_index = self._split(inputs)
                return self._outputs(self._model.runner.run_all(given, timesteps, sample_index))
            measured = self._measured[timesteps](*self._split(inputs))
            return {**self._outputs(measured.outputs), TIMESTEPS: measured.timesteps}

        return decoded

    def _rates(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        measured = self._measured[self._asked.timesteps[0]](*self._split(inputs))
        return {
            **self._outputs(measured.outputs),
            TIMESTEPS: measured.timesteps,
            OPERATIONS: measured.synaptic_operations,
            MULTIPLIED: measured.multiply_accumulates,
            **{self.spike_names[name]: spikes for name, spikes in measured.spikes.items()},
        }

    def _in_closed_form(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        if self._closed_form is None:
            raise TypeError("The closed form was not asked for.")
        return self._outputs(self._closed_form.of_tensors(self._by_name(inputs), self._asked.timesteps[0])[1])

    def _streaming(self) -> dict[str, Endpoint]:
        streams = self._model.runner.streams()
        frames = [
            tf.TensorSpec([None, *node.shape], tf.float32, name=name)
            for name, node in zip(self.input_names, inputs_of(self._model.network.graph), strict=True)
        ]
        *_, state_name = argument_names([*self.input_names, STATE])
        state = tf.TensorSpec([None, streams.size], PACKED_DTYPE, name=state_name)

        def initial_state(sample_index: tf.Tensor) -> dict[str, tf.Tensor]:
            return {STATE: streams.initial_state(sample_index)}

        def step(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            *inputs, packed = tensors
            outputs, after = streams.step(self._by_name(inputs), packed)
            return {**self._outputs(outputs), STATE: after}

        return {
            "initial_state": Endpoint(initial_state, [tf.TensorSpec([None], tf.int64, name=SAMPLE_INDEX)]),
            "step": Endpoint(step, [*frames, state]),
        }
