"""What corrections change of a population, and how well a setting does on what the population really receives."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Population


@dataclasses.dataclass(frozen=True)
class Setting:
    """A population's parameters: vectors with one value per channel, or all of them with one value for the population.

    Attributes:
        threshold: theta, in units of the source's activations.
        initial_potential: In units of the threshold.
        bias: A constant current that comes on top, in units of the source's activations.
    """

    threshold: np.ndarray
    initial_potential: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, node: Population, *, per_channel: bool) -> "Setting":
        """Returns the setting that a population has."""
        size = node.shape[node.channel_axis] if per_channel else 1

        def vector(values: np.ndarray) -> np.ndarray:
            return np.broadcast_to(values.reshape(-1), (size,)).astype(np.float64)

        threshold = node.threshold if per_channel else node.threshold.max()
        return cls(vector(np.asarray(threshold)), vector(node.v0), np.zeros(size))

    def changed(self, **values: Any) -> "Setting":
        """Returns a setting with other values."""
        return dataclasses.replace(self, **values)

    def where(self, mask: np.ndarray, other: "Setting") -> "Setting":
        """Returns this setting where the mask says so, and another one elsewhere."""
        return Setting(
            np.where(mask, self.threshold, other.threshold),
            np.where(mask, self.initial_potential, other.initial_potential),
            np.where(mask, self.bias, other.bias),
        )


@dataclasses.dataclass(frozen=True)
class Errors:
    """How far decoded activations are off, in one vector each per channel, or for the population.

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
    """

    def __init__(self, node: Population, current: tf.Tensor, target: tf.Tensor, timesteps: int) -> None:
        self.node, self.timesteps = node, timesteps
        self._current, self._target = ops.Current(current), target
        self._axis = node.channel_axis + 1

    @property
    def largest(self) -> np.ndarray:
        """Largest activation of the source per channel."""
        return tf.reduce_max(self._target, axis=self._others()).numpy().astype(np.float64)

    def bounded(self, threshold: np.ndarray) -> np.ndarray:
        """Returns thresholds that are no larger than the bound of the source's ReLU, where firing saturates as it does."""
        if self.node.max_value is None:
            return threshold
        bound = np.broadcast_to(self.node.max_value, self.node.channel_vector(threshold).shape)
        return np.minimum(threshold, bound.reshape(-1) if bound.size == threshold.size else bound.min())

    def errors(self, setting: Setting) -> Errors:
        """Runs the population in a setting, and compares what it gives with the source's activation."""
        spikes = fire(self.node, [self._current], setting, self.timesteps, self._target.shape, spike_form="counts")
        unit = tf.constant(self.node.channel_vector(setting.threshold / self.timesteps), tf.float32)
        error = tf.cast(spikes, tf.float32) * unit - self._target
        axes = self._others() if setting.threshold.size > 1 else None
        square = tf.reduce_mean(tf.square(error), axis=axes).numpy()
        mean = tf.reduce_mean(error, axis=axes).numpy()
        return Errors(np.atleast_1d(square).astype(np.float64), np.atleast_1d(mean).astype(np.float64))

    def best(self, settings: list[Setting]) -> Setting:
        """Returns what has the least squared error, channel by channel; of equals, the first."""
        best, least = settings[0], self.errors(settings[0]).square
        for setting in settings[1:]:
            square = self.errors(setting).square
            # A hair less is no reason to leave what the rule gave.
            better = square < least * (1 - 1e-6)
            best, least = setting.where(better, best), np.where(better, square, least)
        return best

    def _others(self) -> list[int]:
        return [axis for axis in range(self._target.shape.rank) if axis != self._axis]


def fire(
    node: Population,
    currents: list[ops.Current],
    setting: Setting,
    timesteps: int,
    shape: tf.TensorShape,
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
        spike_form: "float" or "counts", see `ops.integrate_fire`.
    """

    def constant(values: np.ndarray) -> tf.Tensor:
        return tf.constant(node.channel_vector(values)[np.newaxis], tf.float32)

    bias = [ops.Current(tf.broadcast_to(constant(setting.bias), shape))] if setting.bias.any() else []
    return ops.integrate_fire(
        [*currents, *bias],
        tf.broadcast_to(constant(setting.initial_potential * setting.threshold), shape),
        constant(setting.threshold),
        timesteps=timesteps,
        neuron=node.neuron,
        counts=tf.zeros(shape) if node.neuron.signed_spikes else None,
        spike_form=spike_form,
    ).spikes
