"""`Runner`: a network ready to run, for `predict`, `simulate` and `step` alike."""

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.foundation.recently_used import RecentlyUsed
from snn_toolbox_tf.network import Network, inputs_of
from snn_toolbox_tf.network.input_data import as_arrays
from snn_toolbox_tf.simulation.block import BlockOptions, State
from snn_toolbox_tf.simulation.blocking import Blocking, choose_blocking
from snn_toolbox_tf.simulation.encoding import seed_tensor
from snn_toolbox_tf.simulation.event_plan import NOTHING_PLANNED, EventPlan, plan_events, runs_native
from snn_toolbox_tf.simulation.inputs import InputOptions
from snn_toolbox_tf.simulation.loop import Segment, TimeLoop
from snn_toolbox_tf.simulation.operations import OperationCounter
from snn_toolbox_tf.simulation.parts import indices_of_part, run_in_parts
from snn_toolbox_tf.simulation.streams import Streams
from snn_toolbox_tf.simulation.workload import Workload, workload_of
from snn_toolbox_tf.synapses import is_recurrent, window_count

#: Traces (and loops) that a runner keeps: more ways of running than these are rarely used in turn, and each takes memory.
_MOST_KEPT = 16


class Runner:
    """Runs a network. A plain object, so that Keras neither tracks nor saves what it holds.

    Args:
        network: The spiking network.
        input_options: How input is encoded unless told otherwise.
        block_length: K, unless told otherwise; None: chosen by `choose_blocking`.
        schedule: "step", or "layer_synchronous": every population integrates all timesteps before it fires.
        engine: What runs synapses that read spikes alone: "dense" (their Keras layers), "event" (kernels that work only
            where there are spikes), or "auto", what is faster. Spikes do not depend on it.
    """

    def __init__(
        self,
        network: Network,
        input_options: InputOptions,
        block_length: int | None,
        schedule: str = "step",
        engine: str = "auto",
    ) -> None:
        self.network = network
        self.input_options = input_options
        self.block_length = block_length
        self.schedule, self.engine = schedule, engine
        self._plan: EventPlan | None = None
        self._loops = RecentlyUsed[TimeLoop](_MOST_KEPT)
        self._traced = RecentlyUsed[Any](_MOST_KEPT)
        self._counters: dict[str, OperationCounter] = {}
        self._workloads: dict[str, Workload] = {}
        self._windows: dict[str, int] = {}
        self._stream: State | None = None
        self._stream_samples = 0
        self._stream_lock = threading.Lock()

    def windows(self, schedule: str) -> int:
        """Returns the number of windows of T timesteps that a run takes one after the other, see `window_count`."""
        if schedule == "step" and not is_recurrent(self.network.graph):
            return 1
        if schedule not in self._windows:
            self._windows[schedule] = window_count(self.network.graph_with_weights(), schedule)
        return self._windows[schedule]

    def blocking(
        self,
        segments: Sequence[int],
        batch_size: int | None,
        block_length: int | None = None,
        schedule: str | None = None,
    ) -> Blocking:
        """Returns how much runs at once; `block_length` and `schedule` take precedence over the runner's own."""
        on_spikes = runs_native() and (schedule or self.schedule) == "step"
        return choose_blocking(
            self.network.graph,
            self._event_plan() if on_spikes else NOTHING_PLANNED,
            segments=segments,
            batch_size=batch_size,
            block_length=block_length or self.block_length,
        )

    def operation_counter(self, input_mode: str) -> OperationCounter:
        """Returns what counts operations; its fan-outs are found once, as they do not depend on trained weights."""
        if input_mode not in self._counters:
            self._counters[input_mode] = OperationCounter(self.network, input_mode)
        return self._counters[input_mode]

    def workload(self, input_mode: str) -> Workload:
        """Returns what the network consists of, as models of energy need it, without any counts."""
        if input_mode not in self._workloads:
            self._workloads[input_mode] = workload_of(self.network, self.operation_counter(input_mode).costs)
        return self._workloads[input_mode]

    def loop(self, input_options: InputOptions | None = None) -> TimeLoop:
        """Returns the time loop for a way of encoding input; the runner's own if None."""
        options = input_options or self.input_options
        return self._loops.get(options, lambda: TimeLoop(self.network, options, plan=self._event_plan()))

    def _event_plan(self) -> EventPlan:
        """Returns what runs on spikes, found once for an engine: input is no part of it."""
        if self._plan is None:
            self._plan = plan_events(self.network, self.engine)
        return self._plan

    def advance(
        self,
        inputs: dict[str, tf.Tensor],
        state: State,
        steps: Any,
        *,
        block_length: int,
        input_options: InputOptions,
        options: BlockOptions,
        sample_index: tf.Tensor,
        whole_blocks: bool,
    ) -> Segment:
        """Does what `TimeLoop.advance` does, traced once for any batch size, seed and number of timesteps (or of blocks)."""
        names = {node.name for node in inputs_of(self.network.graph)}
        seed = seed_tensor(input_options.seed)
        input_options = _without_seed(input_options)
        constants = tuple((name, tensor.dtype.name) for name, tensor in inputs.items() if name not in names)
        key = (block_length, input_options, options, constants, whole_blocks)
        traced = self._traced.get(key, lambda: self._trace(*key))
        return Segment(*traced(inputs, state, tf.constant(steps, tf.int32), sample_index, seed))

    def initial_state(self, samples: int, input_options: InputOptions, options: BlockOptions) -> State:
        """Does what `TimeLoop.initial_state` does, traced once for any number of samples."""
        input_options = _without_seed(input_options)

        def trace() -> Any:
            loop = self.loop(input_options)
            function = tf.function(
                lambda count: loop.initial_state(count, options),
                input_signature=[tf.TensorSpec((), tf.int32)],
                autograph=False,
            )
            return function.get_concrete_function()

        return State(*self._traced.get(("initial state", input_options, options), trace)(tf.constant(samples)))

    def constants(self, inputs: dict[str, tf.Tensor], input_options: InputOptions) -> dict[str, tf.Tensor]:
        """Does what `TimeLoop.constants` does, traced once."""
        input_options = _without_seed(input_options)

        def trace() -> Any:
            specs = {
                node.name: tf.TensorSpec((None, *node.shape), tf.float32) for node in inputs_of(self.network.graph)
            }
            function = tf.function(self.loop(input_options).constants, input_signature=[specs], autograph=False)
            return function.get_concrete_function()

        return self._traced.get(("constants", input_options), trace)(inputs)

    def _trace(
        self,
        block_length: int,
        input_options: InputOptions,
        options: BlockOptions,
        constants: tuple[tuple[str, str], ...],
        whole_blocks: bool,
    ) -> Any:
        loop = self.loop(input_options)
        frames = (None,) if input_options.mode == "frames" else ()
        graph = self.network.graph
        signature = [
            {
                **{node.name: tf.TensorSpec((None, *frames, *node.shape)) for node in inputs_of(graph)},
                **{name: tf.TensorSpec((None, *graph[name].shape), dtype) for name, dtype in constants},
            },
            tf.nest.map_structure(_batch_free_spec, loop.initial_state(tf.constant(1), options)),
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((), tf.uint64),
        ]

        def advance(inputs: Any, state: Any, steps: tf.Tensor, sample_index: tf.Tensor, seed: tf.Tensor) -> Any:
            segment = loop.advance(
                inputs,
                state,
                steps,
                block_length=block_length,
                options=options,
                sample_index=sample_index,
                whole_blocks=whole_blocks,
                seed=seed,
            )
            return segment.state, segment.outputs, segment.recorded

        # A concrete function: TensorFlow warns of retracing when many models each trace theirs.
        return tf.function(advance, input_signature=signature, autograph=False).get_concrete_function()

    def run_all(self, inputs: dict[str, tf.Tensor], timesteps: int, sample_index: tf.Tensor | None = None) -> Any:
        """Runs from the initial state; returns the decoded outputs after the last timestep.

        In mode "frames" all frames are run through, whatever `timesteps` says. A batch larger than the micro-batch is run in
        parts.
        """
        first = next(iter(inputs.values()))
        frames = first.shape[1] if self.input_options.mode == "frames" else None
        one_block = timesteps if self.schedule == "layer_synchronous" else None
        blocking = self.blocking([frames or timesteps], first.shape[0], one_block)
        options = BlockOptions(schedule=self.schedule)

        def run(part: dict[str, tf.Tensor], start: tf.Tensor) -> list[tf.Tensor]:
            indices = indices_of_part(sample_index, start, tf.shape(next(iter(part.values())))[0])
            return self.loop().readout_sums(
                self.run_part(part, indices, timesteps, blocking.block_length, options).state
            )

        network = self.network
        totals = run_in_parts(
            run,
            inputs,
            blocking.micro_batch,
            [
                tf.TensorSpec([None, *network.summed_shape(readout)], network.sum_dtype)
                for readout in network.graph.readouts
            ],
        )
        return self.loop().decoded(totals, self.number_of_steps(inputs, timesteps), self.schedule)

    def run_part(
        self,
        inputs: dict[str, tf.Tensor],
        sample_index: tf.Tensor,
        timesteps: int,
        block_length: int,
        options: BlockOptions,
    ) -> Segment:
        """Runs samples from the initial state to the end, all at once.

        Args:
            inputs: A tensor `[samples, ...]` per input.
            sample_index: Global index of each sample, int64 `[samples]`.
            timesteps: T.
            block_length: K.
            options: What to count and record.

        Returns:
            The run as one segment.
        """
        loop = self.loop()
        return loop.advance(
            inputs,
            loop.initial_state(tf.shape(sample_index)[0], options),
            self.number_of_steps(inputs, timesteps),
            block_length=block_length,
            options=options,
            sample_index=sample_index,
        )

    def number_of_steps(self, inputs: dict[str, tf.Tensor], timesteps: int) -> int | tf.Tensor:
        """Returns the number of timesteps of a whole run: T, or that of the frames."""
        return tf.shape(next(iter(inputs.values())))[1] if self.input_options.mode == "frames" else timesteps

    def step(self, frame: Any) -> Any:
        """Runs one timestep from the state that the last call left; see `SpikingModel.step`."""
        input_options = self._input_of_streams()
        arrays = as_arrays(frame, self.network.graph, argument="frame")
        samples = len(next(iter(arrays.values())))
        inputs = {name: tf.constant(array, tf.float32) for name, array in arrays.items()}
        if input_options.mode == "frames":
            inputs = {name: value[:, tf.newaxis] for name, value in inputs.items()}
        # Of two threads one waits: each timestep starts from the state that another one has left.
        with self._stream_lock:
            if self._stream is None:
                self._stream = self.initial_state(samples, input_options, BlockOptions())
                self._stream_samples = samples
            elif samples != self._stream_samples:
                raise ValueError(
                    f"`step` keeps the state of {self._stream_samples} samples. Received a frame with {samples} "
                    "samples. Call `reset_state()` before another batch size."
                )
            segment = self.advance(
                inputs,
                self._stream,
                1,
                block_length=1,
                input_options=input_options,
                options=BlockOptions(),
                sample_index=tf.range(samples, dtype=tf.int64),
                whole_blocks=True,
            )
            self._stream = segment.state
        return segment.outputs

    def streams(self) -> Streams:
        """Returns the network as a function of state and frame, for any number of streams."""
        options = self._input_of_streams()
        return Streams(self.loop(options), takes_frames=options.mode == "frames")

    def _input_of_streams(self) -> InputOptions:
        """How input of single timesteps is encoded; an error where a network has none."""
        if self.schedule != "step":
            raise ValueError(
                f"A network with schedule='{self.schedule}' fires only when all timesteps have been integrated, and has no "
                "single ones. Use `predict` or `simulate`, or convert with schedule='step'."
            )
        options = self.input_options
        return options if options.mode == "poisson" else dataclasses.replace(options, mode="frames")

    @property
    def is_streaming(self) -> bool:
        """Whether `step` keeps a state."""
        return self._stream is not None

    def reset_state(self) -> None:
        """Forgets the state that `step` keeps."""
        with self._stream_lock:
            self._stream = None

    def forget_traces(self) -> None:
        """Drops what was traced; needed when a layer's settings, or the engine, have changed."""
        self._plan = None
        self._loops.clear()
        self._traced.clear()


def _without_seed(options: InputOptions) -> InputOptions:
    """What is traced takes its seed with its inputs."""
    return dataclasses.replace(options, seed=0)


def _batch_free_spec(tensor: tf.Tensor) -> tf.TensorSpec:
    shape = tensor.shape if tensor.shape.rank == 0 else [None, *tensor.shape[1:]]
    return tf.TensorSpec(shape, tensor.dtype)
