"""`Simulator`: a network ready to run, with its traced time loops and the state of a stream."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from snn_toolbox_tf import data as data_module
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.simulation import block, loop
from snn_toolbox_tf.simulation.block import BlockOptions
from snn_toolbox_tf.simulation.blocking import Blocking, choose_blocking
from snn_toolbox_tf.simulation.loop import InputOptions
from snn_toolbox_tf.simulation.operations import OperationCounter


class Simulator:
    """Runs a network. A plain object, so that Keras neither tracks nor saves what it holds.

    Args:
        network: The spiking network.
        input_options: How input is encoded unless told otherwise.
        block_length: K, unless told otherwise; None: chosen by `choose_blocking`.
    """

    def __init__(self, network: Network, input_options: InputOptions, block_length: int | None) -> None:
        self.network = network
        self.input_options = input_options
        self.block_length = block_length
        self._traced: dict[Any, Any] = {}
        self._counters: dict[str, OperationCounter] = {}
        self._state: Any = None
        self._batch_size: int | None = None

    def blocking(self, segments: Sequence[int], batch_size: int | None, block_length: int | None = None) -> Blocking:
        """Returns how much runs at once; `block_length` takes precedence over the simulator's own."""
        return choose_blocking(
            self.network.graph,
            segments=segments,
            batch_size=batch_size,
            block_length=block_length or self.block_length,
        )

    def operation_counter(self, input_mode: str) -> OperationCounter:
        """Returns what counts operations; its fan-outs are found once, as they do not depend on weights."""
        if input_mode not in self._counters:
            self._counters[input_mode] = OperationCounter(self.network, input_mode)
        return self._counters[input_mode]

    def run_all(self, inputs: dict[str, tf.Tensor], timesteps: int) -> Any:
        """Runs from the initial state; returns the decoded outputs after the last timestep.

        In mode "frames" all frames are run through, whatever `timesteps` says. A batch larger than the micro-batch is run in
        parts.
        """
        first = next(iter(inputs.values()))
        frames = first.shape[1] if self.input_options.mode == "frames" else None
        blocking = self.blocking([frames or timesteps], first.shape[0])
        if first.shape[0] is not None and first.shape[0] <= blocking.micro_batch:
            totals = self._run_part(inputs, tf.constant(0), timesteps, blocking)
        else:
            totals = self._run_in_parts(inputs, timesteps, blocking)
        steps = tf.shape(first)[1] if self.input_options.mode == "frames" else timesteps
        return self.network.decode([total / tf.cast(steps, tf.float64) for total in totals])

    def _run_in_parts(self, inputs: dict[str, tf.Tensor], timesteps: int, blocking: Blocking) -> list[tf.Tensor]:
        count, size = tf.shape(next(iter(inputs.values())))[0], blocking.micro_batch
        # At least one part, so that an empty batch has outputs of the right shape.
        parts = tf.maximum((count + size - 1) // size, 1)
        graph = self.network.graph
        arrays = tuple(
            tf.TensorArray(tf.float64, parts, infer_shape=False, element_shape=[None, *graph[readout.node].shape])
            for readout in graph.readouts
        )

        def body(part: tf.Tensor, arrays: tuple[Any, ...]) -> tuple[tf.Tensor, tuple[Any, ...]]:
            start = part * size
            sliced = {name: value[start : start + size] for name, value in inputs.items()}
            totals = self._run_part(sliced, start, timesteps, blocking)
            return part + 1, tuple(array.write(part, total) for array, total in zip(arrays, totals, strict=True))

        _, arrays = tf.while_loop(lambda part, _: part < parts, body, (tf.constant(0), arrays), parallel_iterations=1)
        return [
            tf.ensure_shape(array.concat(), [None, *graph[readout.node].shape])
            for array, readout in zip(arrays, graph.readouts, strict=True)
        ]

    def _run_part(
        self, inputs: dict[str, tf.Tensor], start: tf.Tensor, timesteps: int, blocking: Blocking
    ) -> list[tf.Tensor]:
        """Runs the samples from `start` on; returns the readout currents summed over time, float64."""
        first = next(iter(inputs.values()))
        count, options = tf.shape(first)[0], BlockOptions()
        segment = loop.advance(
            self.network,
            inputs,
            block.initial_state(self.network, count, options),
            tf.shape(first)[1] if self.input_options.mode == "frames" else timesteps,
            block_length=blocking.block_length,
            input_options=self.input_options,
            options=options,
            sample_index=tf.cast(start + tf.range(count), tf.int64),
        )
        return segment.state["readout"]

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

    def forget_traces(self) -> None:
        """Drops what was traced; needed when a layer's settings have changed."""
        self._traced.clear()

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
