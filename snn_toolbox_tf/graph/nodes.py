"""The nodes of a network, and its readouts: plain data, no Keras objects.

Nodes hold layer configurations and weights as NumPy arrays, so that a pass can rewrite them freely, two calls of a shared
layer can come apart, and the source model is never touched. `network.Network` makes Keras layers of them.
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.argument_checks import check_one_of, check_start
from snn_toolbox_tf.neurons import IntegrateAndFire, Neuron

#: What an output may stand for; `snn_toolbox_tf.tasks` decides which it is.
TASKS = ("classes", "regression", "segmentation", "boxes")


class WeightsInLayers(Mapping[str, np.ndarray]):
    """Stands where a spec's weights were, once living layers hold them: any use of it is a mistake, and is told."""

    def __getitem__(self, name: str) -> np.ndarray:
        raise RuntimeError(self._message())

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError(self._message())

    def __len__(self) -> int:
        raise RuntimeError(self._message())

    def __contains__(self, name: object) -> bool:
        raise RuntimeError(self._message())

    @staticmethod
    def _message() -> str:
        return "The weights of this graph are in the layers of its network. Use `network.graph_with_weights()`."


@dataclasses.dataclass
class LayerSpec:
    """A Keras layer as data.

    Attributes:
        class_name: Name of the class: of `keras.layers`, of `snn_toolbox_tf.layers`, or a name that was registered with
            `snn_toolbox_tf.register_layer`.
        config: The layer's `get_config()`.
        weights: Weights by attribute name, for example `{"kernel": ..., "bias": ...}`; `WeightsInLayers` if the layers of a
            network hold them.
        fractional_bits: Of the grid on which each of the weights lies, broadcastable to it; empty where there is no grid.
    """

    class_name: str
    config: dict[str, Any]
    weights: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    fractional_bits: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LayerSpec":
        """Arrays are replaced, never changed: copies share them."""
        weights = dict(self.weights) if isinstance(self.weights, dict) else self.weights
        return LayerSpec(self.class_name, copy.deepcopy(self.config, memo), weights, dict(self.fractional_bits))

    def leave_weights_to_layers(self) -> None:
        """Drops the weights, because a living layer holds them."""
        self.weights = WeightsInLayers()  # type: ignore[assignment]


@dataclasses.dataclass
class Node:
    """One operation; its output is one tensor of `shape` per sample.

    Attributes:
        name: Unique in the graph; the name of the source layer wherever possible.
        inputs: Names of the nodes that it reads, in order.
        shape: Output shape without the batch axis.
        channel_axis: Axis of `shape` (never negative) that counts channels.
        dtype: What its layer computes in. "float64" up to the first population, where input is real-valued.
        origin: Name of the part of the source that it stands for, of which several nodes may be made; its own name if empty.
        tied: Name that all windows of the same neurons or synapses have in common: one threshold, one set of weights and one
            grid for all nodes that have it. Empty for what there is once.
    """

    name: str
    inputs: list[str]
    shape: tuple[int, ...]
    channel_axis: int = -1
    dtype: str = "float32"
    origin: str = ""
    tied: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self) -> None:
        self.shape = tuple(int(size) for size in self.shape)
        if self.channel_axis < 0:
            self.channel_axis += len(self.shape)
        self.origin = self.origin or self.name

    @property
    def shared_name(self) -> str:
        """The name of what it is a window of, or its own."""
        return self.tied or self.name

    def channel_vector(self, values: Any) -> np.ndarray:
        """Returns one value per channel (or a scalar) as a float64 array that broadcasts against `shape`."""
        values = np.asarray(values, dtype=np.float64)
        if values.ndim == 0:
            return values.reshape((1,) * len(self.shape))
        sizes = [1] * len(self.shape)
        sizes[self.channel_axis] = values.size
        return values.reshape(sizes)


@dataclasses.dataclass
class InputNode(Node):
    """An input of the network.

    Attributes:
        magnitude: Largest |x| of the calibration data: what a Poisson input of rate 1 stands for.
    """

    magnitude: float = 1.0


@dataclasses.dataclass
class Synapse(Node):
    """A stateless map that is affine at every timestep; runs as the Keras layer that it is.

    Attributes:
        layer: The layer.
        moments: Mean and variance of each channel of the output over the training data, where a batch norm tells.
        expected: The largest absolute value that its grid was made for, where far larger ones are possible, but not to be
            expected; None where the grid is for all that is possible.
        delay: Conduction delay in windows of T timesteps: the spikes that it reads were emitted so long ago.
    """

    layer: LayerSpec = dataclasses.field(kw_only=True)
    moments: tuple[np.ndarray, np.ndarray] | None = None
    expected: float | None = None
    delay: int = 0


@dataclasses.dataclass
class MaxPool(Node):
    """Max pooling: stateful in time, because the maximum is taken over accumulated currents.

    The sums grow with time, hence float64.

    Attributes:
        layer: The layer.
        rule: What is passed on: "accumulated", by how much the maximum grew; "winner_take_all", what the neuron with the
            most spikes so far puts out now; or "lateral_inhibition", what the neuron puts out that has fired first.
    """

    layer: LayerSpec = dataclasses.field(kw_only=True)
    rule: str = "accumulated"
    dtype: str = "float64"


@dataclasses.dataclass
class Activation(Node):
    """A nonlinearity of the source network that no pass has placed yet (`layer.class_name` names it)."""

    layer: LayerSpec = dataclasses.field(kw_only=True)


@dataclasses.dataclass
class Population(Node):
    """Spiking neurons in place of a ReLU.

    Attributes:
        max_value: Upper bound of the source's ReLU (ReLU6), broadcastable to `shape`, or None.
        threshold: theta, positive, broadcastable to `shape`.
        spike_height: "threshold" with the source's own weights, "unit" in the normalised form.
        neuron: What the neurons do in a timestep, how they are reset, and their initial potential.
        initial_potential: Initial membrane potentials in units of the threshold, broadcastable to `shape`, where calibration
            has found others than the neuron's `v0`; else None.
        added_bias: What calibration has added to the biases in front of the population, broadcastable to `shape`: without
            it, and with the source's weights, the current is the source's. None: nothing.
        added_gain: What calibration has multiplied the current in front of the population by, before it added that bias,
            broadcastable to `shape`. None: nothing.
        trained_threshold: theta as the source was trained with it, broadcastable to `shape`: calibration takes it as it is.
            None where thresholds are to be found.
        levels: Number of steps of the source's quantised ReLU, whose bound is `trained_threshold`; None if it has no steps.
        start: Number of timesteps in which the neurons only integrate, and do not fire: their input settles meanwhile. They
            count in T.
        timed_bias: A current of its own for each of the first timesteps, in units of the threshold, float64
            `[timesteps, channels]`; none after its last timestep. None: there is none.
        expected_rate: Mean firing rate in spikes per timestep that the calibration data let expect, None if it is not known:
            how the readers of its spikes run fastest depends on it, and nothing else.

    Raises:
        ValueError: If `start` is no number of timesteps, or `timed_bias` does not fit the channels.
    """

    max_value: np.ndarray | None = None
    threshold: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(()))
    spike_height: str = "threshold"
    neuron: Neuron = dataclasses.field(default_factory=IntegrateAndFire)
    initial_potential: np.ndarray | None = None
    added_bias: np.ndarray | None = None
    added_gain: np.ndarray | None = None
    trained_threshold: np.ndarray | None = None
    levels: int | None = None
    start: int = 0
    timed_bias: np.ndarray | None = None
    expected_rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.start = check_start(self.start, f"start of '{self.name}'")
        if self.timed_bias is None:
            return
        self.timed_bias = np.asarray(self.timed_bias, np.float64)
        channels = self.shape[self.channel_axis] if self.shape else 1
        if self.timed_bias.shape[1:] != (channels,) or not np.isfinite(self.timed_bias).all():
            raise ValueError(
                f"Expected `timed_bias` of '{self.name}' to hold finite numbers [timesteps, {channels}], one column per "
                f"channel. Received: shape {self.timed_bias.shape}"
            )

    @property
    def settling_time(self) -> int:
        """The number of timesteps after which all that is left of it is integrating and firing."""
        return max(self.start, 0 if self.timed_bias is None else len(self.timed_bias))

    def timed_current(self) -> np.ndarray:
        """Returns `timed_bias` as currents, float64 `[timesteps, 1, ...]`: broadcastable to a batch in each timestep."""
        if self.timed_bias is None:
            return np.zeros((0, 1, *self.shape))
        bias = [self.channel_vector(row) * self.threshold for row in self.timed_bias]
        return np.stack(bias)[:, np.newaxis] if bias else np.zeros((0, 1, *self.shape))

    @property
    def v0(self) -> np.ndarray:
        """Initial membrane potentials in units of the threshold, broadcastable to `shape`."""
        return self.channel_vector(self.neuron.v0) if self.initial_potential is None else self.initial_potential


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why an operation has no place in a spiking network, and what to do about it."""

    reason: str
    remedy: str


@dataclasses.dataclass
class Unsupported(Node):
    """An operation that has no place in a spiking network, kept until all of them can be named at once."""

    class_name: str = dataclasses.field(kw_only=True)
    refusal: Refusal = dataclasses.field(kw_only=True)


@dataclasses.dataclass
class Readout:
    """An output of the network.

    Attributes:
        name: Name of the source's output layer.
        node: The node whose output is summed over time.
        decoder: What is applied to the time-averaged current, layer after layer: softmax, for example.
        shape: Shape of the decoded output without the batch axis; that of the node if None.
        start: Number of timesteps whose current is left out, because the network settles meanwhile: after t > `start`
            timesteps the current of the last t - `start` of them is averaged, before that of all. They count in T.
        task: What it stands for, one of `TASKS`, if that was stated or the source's loss says so; or "".
        spiking_softmax: Whether the decoder, which ends in a softmax, gives at each timestep the probabilities by which one
            output neuron is drawn to spike; the decoded output is the share of its spikes.

    Raises:
        ValueError: If `start` is no number of timesteps, or `task` is unknown.
    """

    name: str
    node: str
    decoder: list[LayerSpec] = dataclasses.field(default_factory=list)
    shape: tuple[int, ...] | None = None
    start: int = 0
    task: str = ""
    spiking_softmax: bool = False

    def __post_init__(self) -> None:
        self.start = check_start(self.start, f"start of output '{self.name}'")
        check_one_of(self.task, ("", *TASKS), f"task of output '{self.name}'")


#: Nodes that run as a Keras layer.
LayerNode = Synapse | MaxPool


def sample_axis(axis: int, rank: int) -> int:
    """Turns an axis counted with the batch axis, as layers do, into a non-negative one of a sample's `rank` axes."""
    return axis + rank if axis < 0 else axis - 1
