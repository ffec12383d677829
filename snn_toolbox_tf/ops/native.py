"""The native op: finding its library, loading it, calling it."""

import ctypes
import functools
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.neurons import Hidden
from snn_toolbox_tf.ops.convolution import SpikeSynapse
from snn_toolbox_tf.ops.max_pool import Window
from snn_toolbox_tf.ops.source_digest import source_digest
from snn_toolbox_tf.ops.step import Current, Response, Step

LIBRARY = pathlib.Path(__file__).with_name("libsnn_toolbox_tf.so")
#: Where a build that could not be made says why.
BUILD_FAILURE = LIBRARY.with_name("not_built.txt")
SPIKE_TYPES = {"float": tf.float32, "bits": tf.uint8, "counts": tf.int32}


class NotAvailableError(RuntimeError):
    """The native library cannot be used; the message says why."""


class Library:
    """The loaded library: its ops, and what can be set.

    Raises:
        NotAvailableError: If it cannot be loaded.
    """

    def __init__(self) -> None:
        if not LIBRARY.exists():
            why = BUILD_FAILURE.read_text().strip() if BUILD_FAILURE.exists() else "the reason is not known"
            raise NotAvailableError(f"it was not built when this package was installed: {why}")
        try:
            self.ops = tf.load_op_library(str(LIBRARY))
            self._control: Any = ctypes.CDLL(str(LIBRARY))
            self._control.SnnToolboxSourceDigest.restype = ctypes.c_char_p
            digest = self._control.SnnToolboxSourceDigest().decode()
        except (tf.errors.OpError, OSError, AttributeError) as error:
            raise NotAvailableError(f"'{LIBRARY}' could not be loaded: {error}") from error
        present = source_digest(LIBRARY.parent)
        if present and digest != present:
            raise NotAvailableError(
                f"'{LIBRARY}' was built from sources other than those beside it. Rebuild it: `pip install --editable .`"
            )
        self._control.SnnToolboxVariant.restype = ctypes.c_char_p
        names = map(self._control.SnnToolboxVariant, itertools.count())
        self.variants = tuple(name.decode() for name in itertools.takewhile(bool, names))
        self.variant = self.variants[-1]
        self._threads_asked_for: int | None = None
        self.threads = 0
        self.adopt_threads()

    def select(self, variant: str) -> None:
        """Makes the op use one of `variants`: "reference" is the plain C++ loop, the last is the fastest."""
        self._control.SnnToolboxSelectVariant(self.variants.index(variant))
        self.variant = variant

    def adopt_threads(self) -> None:
        """Takes over TensorFlow's number of intra-op threads."""
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        if threads == 0 and os.environ.get("TF_NUM_INTRAOP_THREADS", "").isdigit():
            threads = int(os.environ["TF_NUM_INTRAOP_THREADS"])
        if threads != self._threads_asked_for:
            self._threads_asked_for = threads
            self.threads = self._control.SnnToolboxSetThreads(threads)


@functools.cache
def library() -> Library:
    """Returns the library, loaded by the first call."""
    return Library()


def integrate_fire(
    currents: Sequence[Current],
    membrane_potential: tf.Tensor,
    threshold: tf.Tensor,
    counts: tf.Tensor | None,
    step: Step,
    hidden: Hidden,
) -> Response:
    """Steps a population through a block of timesteps; see `ops.integrate_fire`."""
    native = library()
    native.adopt_threads()
    given = [current for current in currents if current.synapse is None]
    found = [current for current in currents if current.synapse is not None]
    if not found and not hidden:
        given = [_for_each_sample(current, membrane_potential, step.timesteps) for current in given]
    arguments = {
        "membrane_potential": membrane_potential,
        "threshold": threshold,
        "counts": _or_absent(counts),
        "currents": [current.value for current in given],
        "gains": [_or_absent(current.gain) for current in given],
        "timesteps": step.timesteps,
        "neuron": step.neuron.native_model,
        "parameters": list(step.neuron.native_parameters),
        "reset": step.neuron.reset,
        "signed_spikes": step.neuron.signed_spikes,
        "spike_type": SPIKE_TYPES[step.spike_form],
        "trace": step.return_trace,
    }
    after: list[tf.Tensor] = []
    if found or hidden:
        synapses = [current.synapse for current in found if current.synapse is not None]
        v, spikes, net_spikes, trace, after = native.ops.snn_toolbox_spike_driven_integrate_fire(
            synapse_gains=[_or_absent(current.gain) for current in found],
            kernels=[_or_absent(synapse.kernel) for synapse in synapses],
            biases=[_or_absent(synapse.bias) for synapse in synapses],
            moved=[_places(synapse) for synapse in synapses],
            spikes_in=[current.value for current in found],
            geometries=[number for synapse in synapses for number in geometry(synapse)],
            hidden=list(hidden.values()),
            **arguments,
        )
    else:
        v, spikes, net_spikes, trace = native.ops.snn_toolbox_integrate_fire(**arguments)
    # The op's shape function cannot see the number of timesteps.
    each = [step.timesteps, *membrane_potential.shape]
    if step.spike_form == "float":
        spikes = _with_shape(spikes, each)
    elif step.spike_form == "bits":
        neurons = membrane_potential.shape[1:].num_elements()
        spikes = _with_shape(spikes, [*each[:2], None if neurons is None else (neurons + 7) // 8])
    if step.return_trace:
        trace = _with_shape(trace, each)
    return Response(
        spikes,
        v,
        None if counts is None else net_spikes,
        trace if step.return_trace else None,
        {name: _with_shape(kept, membrane_potential.shape) for name, kept in zip(hidden, after, strict=True)},
    )


def accumulate_max_pool(current: tf.Tensor, accumulated: tf.Tensor, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """Pools accumulated currents; see `ops.accumulate_max_pool`."""
    native = library()
    native.adopt_threads()
    pooled, after = native.ops.snn_toolbox_accumulate_max_pool(
        current=current,
        accumulated=accumulated,
        pool_rows=window.pool[0],
        pool_columns=window.pool[1],
        row_stride=window.strides[0],
        column_stride=window.strides[1],
        padding=window.padding,
    )
    shape = [*current.shape[:2], *window.output_size(accumulated.shape[1:3]), accumulated.shape[3]]
    return _with_shape(pooled, shape), after


def spike_convolution(spikes: tf.Tensor, synapse: SpikeSynapse) -> tf.Tensor:
    """Adds up the kernel's rows of active inputs; see `ops.spike_convolution`."""
    native = library()
    native.adopt_threads()
    current = native.ops.snn_toolbox_spike_convolution(
        spikes=spikes,
        kernel=_or_absent(synapse.kernel),
        bias=_or_absent(synapse.bias),
        moved=_places(synapse),
        geometry=geometry(synapse),
    )
    if synapse.kernel is None:
        current = tf.reshape(current, [-1, *synapse.input_shape])
    return _with_shape(current, [spikes.shape[0], *synapse.output_shape])


def geometry(synapse: SpikeSynapse) -> list[int]:
    """Returns what the ops are told of a synapse: kGeometrySize numbers, in the order of ops/spike_synapse.h."""
    numbers: list[int] = []
    for axis in (0, 1):
        size, taps = synapse.input_shape[axis], 1 if synapse.kernel is None else synapse.kernel.shape[axis]
        window = synapse.window
        padding, _ = window.zeros(axis, size, taps)
        numbers += [size, window.strides[axis], window.dilations[axis], padding, synapse.output_shape[axis]]
    if synapse.kernel is None:
        # One row of all neurons.
        rows, columns, inputs = synapse.input_shape
        numbers = [1, 1, 1, 0, 1, rows * columns * inputs, 1, 1, 0, rows * columns * inputs]
    return [*numbers, synapse.window.groups]


def _for_each_sample(current: Current, membrane_potential: tf.Tensor, timesteps: int) -> Current:
    """A current that all samples share is known to the op that finds currents from spikes, and to no other."""
    value, neurons = current.value, membrane_potential.shape
    if value.shape.rank == neurons.rank or value.shape[1] != 1 or neurons[0] == 1:
        return current
    return current._replace(
        value=tf.broadcast_to(value, tf.concat([[timesteps], tf.shape(membrane_potential)], axis=0))
    )


def _places(synapse: SpikeSynapse) -> tf.Tensor:
    return tf.zeros([0], tf.int32) if synapse.moved is None else tf.constant(synapse.moved, tf.int32)


def _or_absent(tensor: tf.Tensor | None) -> tf.Tensor:
    return tf.zeros([0]) if tensor is None else tensor


def _with_shape(tensor: tf.Tensor, shape: list[int | None]) -> tf.Tensor:
    if not tf.executing_eagerly():
        tensor.set_shape(shape)
    return tensor


@tf.RegisterGradient("SnnToolbox>IntegrateFire")
def _no_gradient(op: Any, *gradients: Any) -> Any:
    raise LookupError(
        "Spikes have no gradient. To train a SpikingModel use its `fit`, or call it with `training=True` inside its "
        "`fine_tuning()`; to train through `ops.integrate_fire` give it a `surrogate_gradient`, for example 'arctan'."
    )


@tf.RegisterGradient("SnnToolbox>SpikeDrivenIntegrateFire")
def _no_spike_driven_gradient(op: Any, *gradients: Any) -> Any:
    return _no_gradient(op, *gradients)


@tf.RegisterGradient("SnnToolbox>AccumulateMaxPool")
def _no_pooling_gradient(op: Any, *gradients: Any) -> Any:
    raise LookupError("The native max pooling has no gradient. Give `ops.accumulate_max_pool` `differentiable=True`.")


@tf.RegisterGradient("SnnToolbox>SpikeConvolution")
def _no_convolution_gradient(op: Any, *gradients: Any) -> Any:
    raise LookupError(
        "The native convolution of spikes has no gradient. Take a Keras layer, or `ops.use('reference')`."
    )
