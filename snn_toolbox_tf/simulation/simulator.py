"""`Simulator`: a network ready to run, with its traced time loops and the state of a stream."""

from typing import Any

import tensorflow as tf

from snn_toolbox_tf import data as data_module
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.simulation import block, loop
from snn_toolbox_tf.simulation.block import BlockOptions
from snn_toolbox_tf.simulation.loop import InputOptions


class Simulator:
    """Runs a network. A plain object, so that Keras neither tracks nor saves what it holds.

    Args:
        network: The spiking network.
        input_options: How input is encoded unless told otherwise.
        block_length: K, unless told otherwise.
    """

    def __init__(self, network: Network, input_options: InputOptions, block_length: int) -> None:
        self.network = network
        self.input_options = input_options
        self.block_length = block_length
        self._traced: dict[Any, Any] = {}
        self._state: Any = None
        self._batch_size: int | None = None

    def run_all(self, inputs: dict[str, tf.Tensor], timesteps: int) -> Any:
        """Runs from the initial state; returns the decoded outputs after the last timestep.

        In mode "frames" all frames are run through, whatever `timesteps` says.
        """
        first = next(iter(inputs.values()))
        steps = tf.shape(first)[1] if self.input_options.mode == "frames" else timesteps
        options = BlockOptions()
        segment = loop.advance(
            self.network,
            inputs,
            block.initial_state(self.network, tf.shape(first)[0], options),
            steps,
            block_length=min(self.block_length, timesteps),
            input_options=self.input_options,
            options=options,
        )
        return segment.outputs

    def step(self, frame: Any) -> Any:
        """Runs one timestep from the state that the last call left; see `SpikingModel.step`."""
        arrays = data_module.as_arrays(frame, self.network.graph, argument="frame")
        batch_size = len(next(iter(arrays.values())))
        if self._state is None:
            self._state = block.initial_state(self.network, tf.constant(batch_size), BlockOptions())
            self._batch_size = batch_size
        elif batch_size != self._batch_size:
            raise ValueError(
                f"`step` keeps the state of {self._batch_size} samples. Received a frame with {batch_size} "
                "samples. Call `reset_state()` before another batch size."
            )
        inputs = {name: tf.constant(array, tf.float32) for name, array in arrays.items()}
        options = self.input_options
        if options.mode != "poisson":
            options = InputOptions("frames")
            inputs = {name: value[:, tf.newaxis] for name, value in inputs.items()}
        advance = self.traced_advance(1, options, BlockOptions())
        self._state, outputs, _ = advance(inputs, self._state, tf.constant(1), tf.range(batch_size, dtype=tf.int64))
        return outputs

    def reset_state(self) -> None:
        """Forgets the state that `step` keeps."""
        self._state = None
        self._batch_size = None

    def traced_advance(self, block_length: int, input_options: InputOptions, options: BlockOptions) -> Any:
        """Returns `loop.advance` with these options as a traced function, for any batch size and number of timesteps.

        Its arguments are the inputs by name, the state, the number of timesteps and the samples' global indices; it returns
        the state, the decoded outputs and the recorded tensors.
        """
        key = (block_length, input_options, options)
        if key not in self._traced:
            state = block.initial_state(self.network, tf.constant(1), options)
            frames = (None,) if input_options.mode == "frames" else ()
            signature = [
                {node.name: tf.TensorSpec((None, *frames, *node.shape)) for node in inputs_of(self.network.graph)},
                tf.nest.map_structure(_batch_free_spec, state),
                tf.TensorSpec((), tf.int32),
                tf.TensorSpec((None,), tf.int64),
            ]

            def advance(inputs: Any, state: Any, steps: tf.Tensor, sample_index: tf.Tensor) -> Any:
                segment = loop.advance(
                    self.network,
                    inputs,
                    state,
                    steps,
                    block_length=block_length,
                    input_options=input_options,
                    options=options,
                    sample_index=sample_index,
                )
                return segment.state, segment.outputs, segment.recorded

            traced = tf.function(advance, input_signature=signature, autograph=False)
            # A concrete function: TensorFlow warns of retracing when many models each trace theirs.
            self._traced[key] = traced.get_concrete_function()
        return self._traced[key]


def _batch_free_spec(tensor: tf.Tensor) -> tf.TensorSpec:
    shape = tensor.shape if tensor.shape.rank == 0 else [None, *tensor.shape[1:]]
    return tf.TensorSpec(shape, tensor.dtype)
