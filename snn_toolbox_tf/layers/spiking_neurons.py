"""`SpikingNeurons`: a population of spiking neurons as a Keras layer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf import ops
from snn_toolbox_tf.foundation.argument_checks import check_one_of
from snn_toolbox_tf.neurons import Hidden, IntegrateAndFire, Neuron, neuron_from_config

SPIKE_HEIGHTS = ("unit", "threshold")


@keras.saving.register_keras_serializable(package="SnnToolbox")
class SpikingNeurons(keras.layers.Layer):
    """Spiking neurons that behave like a Keras RNN cell: state in, state out.

    At each timestep the membrane potential v takes up the input current; a neuron fires where `v >= threshold`, and is
    reset. What that means in detail is the neuron's: see `snn_toolbox_tf.neurons`.

    It runs on the active implementation of `snn_toolbox_tf.ops`. A Keras model that holds it is exported for servers, which
    have no native ops, inside `with snn_toolbox_tf.ops.use("reference"):` (`SpikingModel.export` does that by itself).

    Args:
        threshold: theta > 0, a number or one value per channel.
        neuron: What each neuron does in a timestep; `snn_toolbox_tf.neurons.IntegrateAndFire()` if None.
        spike_height: "unit" (spikes are 0 or 1) or "threshold" (a spike is worth theta, so that rate times height is
            the activation).
        axis: Channel axis of the current, counted with the batch axis; used where there is a value per channel.
        initial_potential: Membrane potential before the first timestep in units of the threshold: one number, one per
            channel, or an array of the shape of a sample with one per neuron. The neuron's `v0` if None.
        stateful: Whether the layer keeps its membrane potential between calls, in a variable created by the first call.
        surrogate_gradient: What stands in for the derivative of a spike in training: "arctan", "triangle", "rectangle",
            "sigmoid" or "fast_sigmoid", see `snn_toolbox_tf.ops.surrogate`.

    Call arguments:
        current: Input current of one timestep, `[batch, ...]`.
        state: Membrane potential `[batch, ...]`, or a list that holds it, and behind it a tensor of the same shape for each
            of `neuron.hidden_names`, if there are any; omitted, it is the initial state (or, with `stateful=True`, the one
            that the last call left).

    Returns:
        `(spikes, state)`, `state` in the form in which it came; with `stateful=True` and no `state`, the spikes only.

    Raises:
        TypeError: If `neuron` is not a neuron model.
        ValueError: For a threshold that is not positive, an initial potential that is not finite or has another shape, an
            unknown `spike_height` or `surrogate_gradient`, and, with `stateful=True`, a batch of another size than the last
            one.

    Example:
        >>> import keras, snn_toolbox_tf as snn
        >>> neurons = snn.SpikingNeurons(threshold=1.0, neuron=snn.neurons.IntegrateAndFire(v0=0.0))
        >>> current = keras.ops.full((1, 1), 0.5)
        >>> state = neurons.get_initial_state(batch_size=1, input_shape=(None, 1))
        >>> train = []
        >>> for _ in range(4):
        ...     spikes, state = neurons(current, state)
        ...     train.append(float(spikes[0, 0]))
        >>> train
        [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        threshold: Any = 1.0,
        neuron: Neuron | dict[str, Any] | None = None,
        spike_height: str = "unit",
        axis: int = -1,
        initial_potential: Any = None,
        stateful: bool = False,
        surrogate_gradient: str = "arctan",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        values = np.asarray(threshold, dtype=np.float64)
        if values.ndim > 1 or values.size == 0 or not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(
                "Expected `threshold` to be a positive number, or one positive number per channel. "
                f"Received: threshold={threshold}"
            )
        if isinstance(neuron, dict):
            neuron = neuron_from_config(neuron)
        if not isinstance(neuron, Neuron | None):
            raise TypeError(
                "Expected `neuron` to be a value of `snn_toolbox_tf.neurons`, such as `IntegrateAndFire()`. "
                f"Received: neuron={neuron!r}"
            )
        self.threshold = values
        self.neuron = neuron or IntegrateAndFire()
        self.spike_height = check_one_of(spike_height, SPIKE_HEIGHTS, "spike_height")
        self.axis = axis
        self.initial_potential = _checked_potential(initial_potential)
        self.stateful = stateful
        self.surrogate_gradient = check_one_of(surrogate_gradient, ops.SURROGATE_GRADIENTS, "surrogate_gradient")
        # XLA's CPU version of the step is several times slower, and refuses custom ops.
        self.supports_jit = False
        # One variable a batch size, because a traced function keeps using the one that it was traced with.
        self._kept: dict[str, list[tf.Variable]] = {}
        self._kept_batch_size: int | None = None

    def build(self, current_shape: tuple[int | None, ...]) -> None:
        """Fixes the shape of the population."""
        channels = current_shape[self.axis]
        if self.threshold.size > 1 and self.threshold.size != channels:
            raise ValueError(
                f"Layer '{self.name}' has {self.threshold.size} thresholds, but its current has {channels} channels "
                f"on axis {self.axis}. Received: current_shape={tuple(current_shape)}"
            )
        self._shape = tuple(current_shape[1:])
        values = np.unique(self.threshold)
        self._broadcast_threshold = self._along_channels(values if values.size == 1 else self.threshold)
        potential = np.asarray(self.neuron.v0) if self.initial_potential is None else self.initial_potential
        if potential.size not in (1, channels) and potential.shape != self._shape:
            raise ValueError(
                f"Layer '{self.name}' needs one initial potential, one for each of its {channels} channels, or an array of "
                f"shape {self._shape}. Received: initial_potential of shape {potential.shape}"
            )
        per_neuron = potential.ndim > 1 and potential.shape == self._shape
        self._broadcast_potential = potential[np.newaxis] if per_neuron else self._along_channels(potential)
        self.built = True

    def _along_channels(self, values: np.ndarray) -> np.ndarray:
        """Returns one value, or one per channel, in a shape that broadcasts against a batch."""
        sizes = [1] * (len(self._shape) + 1)
        sizes[self.axis] = values.size
        return values.reshape(sizes)

    @property
    def state_size(self) -> Any:
        """Shape of the membrane potential of one sample, as `keras.layers.RNN` asks for it; a list if more is kept."""
        hidden = len(self.neuron.hidden_names)
        return [self.output_size] * (1 + hidden) if hidden else self.output_size

    @property
    def output_size(self) -> Any:
        """Shape of the spikes of one sample, as `keras.layers.RNN` asks for it."""
        if not self.built:
            # `RNN` asks before it builds its cell, to learn how many states there are: any integer does.
            return 1
        return self._shape[0] if len(self._shape) == 1 else self._shape

    def get_initial_state(self, batch_size: Any = None, input_shape: tuple[int | None, ...] | None = None) -> Any:
        """Returns the state before the first timestep.

        The membrane potential is `initial_potential`, or `v0`, times the threshold; whatever else neurons keep is 0.

        Args:
            batch_size: Number of samples, an integer or a scalar tensor.
            input_shape: Shape of the current with its batch axis; needed only before the layer is built.

        Returns:
            The membrane potential, `[batch_size, ...]`; of neurons that keep more, a list of it and of that.
        """
        potential = self.get_initial_potential(batch_size, input_shape)
        hidden = self.neuron.initial_hidden(potential).values()
        return [potential, *hidden] if hidden else potential

    def get_initial_potential(
        self, batch_size: Any = None, input_shape: tuple[int | None, ...] | None = None
    ) -> tf.Tensor:
        """Returns the membrane potential before the first timestep, `[batch_size, ...]`; see `get_initial_state`."""
        if not self.built:
            if input_shape is None:
                raise ValueError(
                    f"Layer '{self.name}' has not seen a current yet and cannot know its number of neurons. "
                    "Pass `input_shape=(None, ...)`, or call the layer first."
                )
            self.build(input_shape)
        potential = tf.constant((self._broadcast_potential * self._broadcast_threshold)[0], dtype=self.compute_dtype)
        return tf.broadcast_to(potential, tf.concat([tf.reshape(batch_size, [1]), self._shape], axis=0))

    def call(self, current: Any, state: Any = None) -> Any:
        """Runs one timestep."""
        if state is None and self.stateful:
            return self._call_stateful(current)
        if state is None:
            state = self.get_initial_state(tf.shape(current)[0])
        packed = isinstance(state, (list, tuple))
        potential, *hidden = state if packed else [state]
        spikes, after = self._one_timestep(current, potential, hidden)
        return spikes, after if packed else after[0]

    def _one_timestep(self, current: Any, potential: Any, hidden: Any) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the spikes, and the membrane potential with whatever else the neurons keep."""
        names = self.neuron.hidden_names
        if len(hidden) != len(names):
            raise ValueError(
                f"Layer '{self.name}' keeps the membrane potential and {list(names)}. Expected a list of {1 + len(names)} "
                f"tensors as `state`, such as `get_initial_state` returns. Received: {1 + len(hidden)}"
            )
        block = self.integrate(
            current,
            potential,
            timesteps=1,
            hidden=dict(zip(names, hidden, strict=True)),
            surrogate_gradient=self.surrogate_gradient,
        )
        return block.spikes[0], [block.membrane_potential, *(block.hidden[name] for name in names)]

    def integrate(
        self,
        current: tf.Tensor | Sequence[ops.Current],
        membrane_potential: tf.Tensor,
        *,
        timesteps: int,
        counts: tf.Tensor | None = None,
        schedule: str = "step",
        start: int = 0,
        spike_form: str = "float",
        return_trace: bool = False,
        surrogate_gradient: str | None = None,
        hidden: Hidden | None = None,
    ) -> ops.Response:
        """Runs a block of timesteps.

        Args:
            current: `[timesteps, batch, ...]`, or `[batch, ...]` if it is constant in the block; or several currents.
            membrane_potential: `[batch, ...]`.
            timesteps: Length of the block.
            counts: Number of spikes before the block, `[batch, ...]`, if it is to be kept.
            schedule: "step" (fire at each timestep) or "layer_synchronous" (integrate the whole block, then fire).
            start: Of a layer-synchronous block, the number of timesteps without spikes at its beginning.
            spike_form: "float", or, step by step, "bits" of spikes whose height is 1, see `ops.Response`.
            return_trace: Whether v after each timestep is wanted.
            surrogate_gradient: Name of the gradient that spikes shall have, or None; costs memory for all timesteps.
            hidden: What else the neurons keep, `[batch, ...]` by `neuron.hidden_names`; None: 0.

        Returns:
            An `ops.Response`: spikes `[timesteps, batch, ...]`, v after the block, counts, v after each timestep, and what
            else the neurons keep.
        """
        threshold = tf.constant(self._broadcast_threshold, dtype=self.compute_dtype)
        if tf.is_tensor(current):
            current = tf.cast(current, self.compute_dtype)
        if schedule == "layer_synchronous":
            spikes, v = ops.integrate_then_fire(
                current, membrane_potential, threshold, self.neuron, timesteps=timesteps, start=start
            )
            after = None if counts is None else counts + tf.reduce_sum(spikes, axis=0)
            block = ops.Response(spikes, v, after, None)
        else:
            block = ops.integrate_fire(
                current,
                membrane_potential,
                threshold,
                timesteps=timesteps,
                neuron=self.neuron,
                counts=counts,
                spike_form=spike_form,
                return_trace=return_trace,
                surrogate_gradient=surrogate_gradient,
                hidden=hidden,
            )
        if self.spike_height == "threshold":
            block = block._replace(spikes=block.spikes * threshold)
        return block

    def reset_state(self) -> None:
        """Returns to the initial state; the next call may have another batch size."""
        for variables in self._kept.values():
            for variable, initial in zip(variables, self._initial_states(variables[0].shape[0]), strict=True):
                variable.assign(initial)
        self._kept_batch_size = None

    def _call_stateful(self, current: Any) -> tf.Tensor:
        batch_size = current.shape[0]
        if batch_size is None:
            raise ValueError(
                f"Layer '{self.name}' is stateful and needs a fixed batch size. "
                "Give the model an `Input(batch_shape=...)`, or call the layer eagerly."
            )
        if self._kept_batch_size not in (None, batch_size):
            raise ValueError(
                f"Layer '{self.name}' is stateful and holds the state of {self._kept_batch_size} samples. "
                f"Received a batch of {batch_size}. Call `reset_state()` before another batch size."
            )
        self._kept_batch_size = batch_size
        key = f"batch_{batch_size}"
        if key not in self._kept:
            with tf.init_scope():
                self._kept[key] = [tf.Variable(state, trainable=False) for state in self._initial_states(batch_size)]
        potential, *hidden = [tf.convert_to_tensor(variable) for variable in self._kept[key]]
        spikes, after = self._one_timestep(current, potential, hidden)
        for variable, tensor in zip(self._kept[key], after, strict=True):
            variable.assign(tensor)
        return spikes

    def _initial_states(self, batch_size: Any) -> list[tf.Tensor]:
        state = self.get_initial_state(batch_size)
        return state if isinstance(state, list) else [state]

    def compute_output_shape(self, current_shape: Any, state_shape: Any = None) -> Any:
        """Returns the shape of the spikes, and of the state if it is returned."""
        if self.stateful and state_shape is None:
            return current_shape
        hidden = len(self.neuron.hidden_names)
        return current_shape, state_shape or ([current_shape] * (1 + hidden) if hidden else current_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {
            "threshold": self.threshold.tolist(),
            "neuron": self.neuron.get_config(),
            "spike_height": self.spike_height,
            "axis": self.axis,
            "initial_potential": None if self.initial_potential is None else self.initial_potential.tolist(),
            "stateful": self.stateful,
            "surrogate_gradient": self.surrogate_gradient,
        }
        return {**super().get_config(), **config}


def _checked_potential(values: Any) -> np.ndarray | None:
    if values is None:
        return None
    potential = np.asarray(values, dtype=np.float64)
    if potential.size == 0 or not np.isfinite(potential).all():
        raise ValueError(
            "Expected `initial_potential` to be finite: one number, one per channel, or one per neuron, in units of the "
            f"threshold. Received: {values}"
        )
    return potential
