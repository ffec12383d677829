"""What corrections change of a population, and how well a setting does on what the population really receives."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.ops.reference import summed

if TYPE_CHECKING:
    from snn_toolbox_tf.corrections.front import Front


@dataclasses.dataclass(frozen=True)
class Setting:
    """A population's parameters: arrays of one shape that broadcasts to the population, with one value per channel, or one.

    Attributes:
        threshold: theta, in units of the source's activations.
        initial_potential: In units of the threshold; there may be one per neuron.
        bias: A constant current that comes on top, in units of the source's activations.
        timed_bias: A current of its own for each timestep, likewise, with an axis of timesteps in front, or None.
        gain: What the current from the layers in front is multiplied by, before biases are added; None: it is not.
        one_threshold: Whether all channels have to keep the same threshold.
    """

    threshold: np.ndarray
    initial_potential: np.ndarray
    bias: np.ndarray
    timed_bias: np.ndarray | None = None
    gain: np.ndarray | None = None
    one_threshold: bool = False

    @classmethod
    def of(cls, node: Population, *, per_channel: bool) -> "Setting":
        """Returns the setting that a population has, with the current that makes up for its leak."""
        shape = np.broadcast_shapes(node.threshold.shape, node.v0.shape)
        if per_channel:
            shape = np.broadcast_shapes(shape, node.channel_vector(np.ones(node.shape[node.channel_axis])).shape)
        bias = np.broadcast_to(node.neuron.compensating_current * node.threshold, shape)
        return cls(np.broadcast_to(node.threshold, shape), np.broadcast_to(node.v0, shape), bias)

    @property
    def averaged_axes(self) -> list[int]:
        """The axes of a batch over which its values are the same: those of samples, and all that share a threshold."""
        return [0, *(axis + 1 for axis, size in enumerate(self.threshold.shape) if size == 1)]

    def changed(self, **values: Any) -> "Setting":
        """Returns a setting with other values."""
        return dataclasses.replace(self, **values)

    def taller(self, factor: np.ndarray) -> "Setting":
        """Returns a setting with the same spikes, each of which stands for so many times as much.

        Threshold, gain and bias are larger by the same factor, and the membrane potential with them.
        """
        gain = np.ones_like(self.threshold) if self.gain is None else self.gain
        return self.changed(threshold=self.threshold * factor, gain=gain * factor, bias=self.bias * factor)

    def amplified(self, current: tf.Tensor) -> tf.Tensor:
        """Returns a current, float32 `[..., batch, ...]`, times the gain."""
        return current if self.gain is None else current * for_batch(self.gain)

    def where(self, mask: np.ndarray, other: "Setting") -> "Setting":
        """Returns this setting where the mask says so, and another one elsewhere, without biases for single timesteps."""
        return Setting(
            np.where(mask, self.threshold, other.threshold),
            np.where(mask, self.initial_potential, other.initial_potential),
            np.where(mask, self.bias, other.bias),
            gain=self._gain_where(mask, other),
            one_threshold=self.one_threshold,
        )

    def _gain_where(self, mask: np.ndarray, other: "Setting") -> np.ndarray | None:
        if self.gain is None and other.gain is None:
            return None
        return np.where(mask, *(np.ones(()) if one.gain is None else one.gain for one in (self, other)))


@dataclasses.dataclass(frozen=True)
class Errors:
    """How far decoded activations are off, in arrays of a setting's shape.

    Attributes:
        square: Mean squared error.
        mean: Mean error.
    """

    square: np.ndarray
    mean: np.ndarray


class Observation:
    """A population's input in the spiking network, and the activation that it should stand for.

    Args:
        node: The population.
        current: What it receives, float32 `[timesteps, batch, ...]`, or `[batch, ...]` if that is constant.
        target: The source's activation, float32 `[batch, ...]`.
        timesteps: T.
        schedule: In which order populations integrate and fire.
        front: The affine layers in front, if their weights may change.
    """

    def __init__(
        self,
        node: Population,
        current: tf.Tensor,
        target: tf.Tensor,
        timesteps: int,
        schedule: str = "step",
        front: "Front | None" = None,
    ) -> None:
        self.node, self.timesteps, self._schedule, self._front = node, timesteps, schedule, front
        self._current, self._target = ops.Current(current), target

    def bounded(self, threshold: np.ndarray, *, one_threshold: bool = False) -> np.ndarray:
        """Returns thresholds that are no larger than the bound of the source's ReLU, where firing saturates as it does.

        Args:
            threshold: The thresholds.
            one_threshold: Whether they are the same for all channels, and have to be.
        """
        if self.node.max_value is None:
            return threshold
        bound = self.node.max_value / self.node.neuron.highest_rate
        shared = tuple(axis for axis, size in enumerate(threshold.shape) if size == 1 or one_threshold)
        return np.minimum(threshold, np.broadcast_to(bound, self.node.shape).min(axis=shared, keepdims=True))

    def errors(self, setting: Setting) -> Errors:
        """Runs the population in a setting, and compares what it gives with the source's activation."""
        error = self._error(setting)
        axes = setting.averaged_axes
        # Indexed by NumPy: in TensorFlow that takes as long as the mean.
        square = tf.reduce_mean(tf.square(error), axis=axes, keepdims=True).numpy()[0]
        mean = tf.reduce_mean(error, axis=axes, keepdims=True).numpy()[0]
        return Errors(square.astype(np.float64), mean.astype(np.float64))

    def _error(self, setting: Setting) -> tf.Tensor:
        shape = self._target.shape
        return decoded(self.node, [self._current], setting, self.timesteps, shape, self._schedule) - self._target

    def part(self, rows: slice) -> "Observation":
        """Returns what was observed of some of the samples."""
        current = self._current.value
        constant = current.shape.rank == self._target.shape.rank
        kept = current[rows] if constant else current[:, rows]
        return Observation(self.node, kept, self._target[rows], self.timesteps, self._schedule)

    def line(self, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
        """Returns slope and intercept of the source's activation over theta * rate: least squares, in closed form.

        Where theta * rate does not vary they are 1 and 0.
        """
        shape, axes = self._target.shape, setting.averaged_axes
        found = decoded(self.node, [self._current], setting, self.timesteps, shape, self._schedule)
        x, y = tf.cast(found, tf.float64), tf.cast(self._target, tf.float64)
        means = [tf.reduce_mean(value, axis=axes, keepdims=True) for value in (x, y)]
        products = [tf.reduce_mean((x - means[0]) * right, axis=axes, keepdims=True) for right in (x, y)]
        (mean_x, mean_y), (variance, covariance) = ([one.numpy()[0] for one in pair] for pair in (means, products))
        varies = variance > 0
        slope = np.where(varies, covariance / np.where(varies, variance, 1.0), 1.0)
        return slope, np.where(varies, mean_y - slope * mean_x, 0.0)

    def fit_weights(self, setting: Setting) -> None:
        """Fits the weights in front to a setting, where they may change; what the population receives changes with them."""
        if self._front is not None:
            self._front.fit(setting)
            self._current = ops.Current(self._front.received())

    def neuron_errors(self, setting: Setting) -> np.ndarray:
        """Returns the mean error of each neuron over the samples."""
        return self._error(setting).numpy().mean(axis=0, dtype=np.float64)

    def currents(self) -> Iterator[tf.Tensor]:
        """Yields what the population receives at each timestep, float32 `[batch, ...]`."""
        constant = self._current.value.shape.rank == self._target.shape.rank
        for timestep in range(self.timesteps):
            yield self._current.value if constant else self._current.value[timestep]

    @property
    def target(self) -> tf.Tensor:
        """The source's activation, float32 `[batch, ...]`."""
        return self._target

    def relative_error(self, setting: Setting) -> float:
        """Returns the root mean square of the error over that of the source's activations; 0 where these are 0."""
        power = float(tf.reduce_mean(tf.square(self._target)))
        return float(np.sqrt(self.errors(setting).square.mean() / power)) if power > 0 else 0.0

    def best(self, settings: list[Setting], *, together: bool = False) -> Setting:
        """Returns what has the least squared error; of equals, the first.

        Args:
            settings: What to choose from.
            together: Whether all channels take the same one; or else each its own.
        """

        def square_of(setting: Setting) -> np.ndarray:
            square = self.errors(setting).square
            return np.broadcast_to(square.mean(), square.shape) if together else square

        best, least = settings[0], square_of(settings[0])
        for setting in settings[1:]:
            square = square_of(setting)
            # A hair less is no reason to leave what the rule gave.
            better = square < least * (1 - 1e-6)
            best, least = setting.where(better, best), np.where(better, square, least)
        return best


def for_batch(values: np.ndarray) -> tf.Tensor:
    """Returns values of a setting as a float32 tensor that broadcasts to a batch."""
    return tf.constant(values[np.newaxis], tf.float32)


def decoded(
    node: Population,
    currents: list[ops.Current],
    setting: Setting,
    timesteps: int,
    shape: tf.TensorShape,
    schedule: str,
) -> tf.Tensor:
    """Returns theta * rate of a population in a setting, for the arguments of `fire`."""
    counts = fire(node, currents, setting, timesteps, shape, schedule, spike_form="counts")
    return tf.cast(counts, tf.float32) * for_batch(setting.threshold / timesteps)


def fire(
    node: Population,
    currents: list[ops.Current],
    setting: Setting,
    timesteps: int,
    shape: tf.TensorShape,
    schedule: str,
    *,
    spike_form: str = "float",
) -> tf.Tensor:
    """Returns the spikes of a population in a setting, from its initial state; 0 or 1, or counts of them.

    Args:
        node: The population.
        currents: What it receives.
        setting: Its parameters.
        timesteps: T.
        shape: Of its neurons, with the batch axis.
        schedule: In which order populations integrate and fire.
        spike_form: "float" or "counts", see `ops.integrate_fire`.
    """
    bias = [ops.Current(tf.broadcast_to(for_batch(setting.bias), shape))] if setting.bias.any() else []
    if setting.timed_bias is not None:
        timed = tf.constant(setting.timed_bias[:, np.newaxis], tf.float32)
        bias.append(ops.Current(tf.broadcast_to(timed, [timesteps, *shape])))
    currents = currents if setting.gain is None else [ops.Current(setting.amplified(summed(currents)))]
    potential = tf.broadcast_to(for_batch(setting.initial_potential * setting.threshold), shape)
    if schedule == "layer_synchronous":
        spikes, _ = ops.integrate_then_fire(
            [*currents, *bias], potential, for_batch(setting.threshold), node.neuron, timesteps=timesteps
        )
        return spikes if spike_form == "float" else tf.reduce_sum(spikes, axis=0)
    return ops.integrate_fire(
        [*currents, *bias],
        potential,
        for_batch(setting.threshold),
        timesteps=timesteps,
        neuron=node.neuron,
        counts=tf.zeros(shape) if node.neuron.signed_spikes else None,
        spike_form=spike_form,
    ).spikes
