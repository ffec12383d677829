"""The event-driven kernels: currents of spikes, summed only where there are some."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from conftest import IMPLEMENTATIONS, needs_native
from engines import assert_engines_agree

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.ops import ConvolutionWindow, native
from snn_toolbox_tf.simulation.event_plan import plan_events


def problem(rng, batch, rows, columns, inputs, outputs, window, rate):
    """Spikes, and a kernel and a bias on a grid, whose sums are exact."""
    spikes = (rng.random((batch, rows, columns, inputs)) < rate).astype(np.float32)
    kernel = np.round(rng.normal(size=(*window, inputs, outputs)) * 64) / 64
    bias = np.round(rng.normal(size=outputs) * 64) / 64
    return spikes, kernel.astype(np.float32), bias.astype(np.float32)


def by_hand(spikes, kernel, bias, window):
    """The current, summed by the definition of a convolution."""
    batch, rows, columns, _ = spikes.shape
    size = window.output_size((rows, columns), kernel.shape[:2])
    reach = [(taps - 1) * step + 1 for taps, step in zip(kernel.shape[:2], window.dilations, strict=True)]
    padding = [
        max(0, (count - 1) * stride + far - length) // 2 if window.padding == "same" else 0
        for count, stride, far, length in zip(size, window.strides, reach, (rows, columns), strict=True)
    ]
    current = np.zeros((batch, *size, kernel.shape[3])) + bias
    places = itertools.product(range(size[0]), range(size[1]), range(kernel.shape[0]), range(kernel.shape[1]))
    for row, column, r, c in places:
        y = row * window.strides[0] - padding[0] + r * window.dilations[0]
        x = column * window.strides[1] - padding[1] + c * window.dilations[1]
        if 0 <= y < rows and 0 <= x < columns:
            current[:, row, column] += spikes[:, y, x] @ kernel[r, c].astype(np.float64)
    return current


SHAPES = [
    # batch, rows, columns, inputs, outputs, window
    (3, 6, 7, 16, 16, (3, 3)),
    (2, 5, 5, 6, 16, (5, 5)),
    (2, 4, 9, 1, 1, (2, 3)),
    (1, 1, 1, 70, 300, (1, 1)),
    (5, 1, 12, 3, 33, (1, 3)),
    (2, 8, 8, 20, 64, (3, 3)),
    (2, 3, 3, 130, 257, (3, 2)),
]
WINDOWS = [
    ConvolutionWindow(),
    ConvolutionWindow(padding="same"),
    ConvolutionWindow((2, 2), padding="same"),
    ConvolutionWindow((2, 1)),
    ConvolutionWindow(dilations=(2, 2), padding="same"),
    ConvolutionWindow(dilations=(1, 2), padding="same"),
]


@pytest.mark.few(40)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_convolution_of_spikes_is_what_its_definition_says(rng, implementation, shape, window):
    with ops.use(implementation):
        for rate in (0.0, 0.1, 0.5, 1.0):
            spikes, kernel, bias = problem(rng, *shape, rate)
            expected = by_hand(spikes, kernel, bias, window)
            current = ops.spike_convolution(spikes, kernel, bias, window=window)
            np.testing.assert_array_equal(current, expected.astype(np.float32))
            without = ops.spike_convolution(spikes, kernel, window=window)
            np.testing.assert_array_equal(without, (expected - bias).astype(np.float32))


GROUPED = [
    # batch, rows, columns, inputs, outputs, groups, window
    (3, 6, 7, 16, 16, 16, (3, 3)),
    (2, 5, 6, 33, 33, 33, (3, 2)),
    (2, 5, 5, 6, 12, 6, (3, 3)),
    (2, 6, 4, 12, 24, 3, (3, 3)),
    (2, 4, 4, 80, 160, 2, (1, 3)),
]
AROUND = ConvolutionWindow((2, 1), padding=((2, 0), (1, 3)))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window", [WINDOWS[1], WINDOWS[4], AROUND], ids=str)
@pytest.mark.parametrize("shape", GROUPED, ids=str)
def test_groups_bits_and_zeros_around(rng, implementation, shape, window):
    """Each group is a convolution of its own; bits are the spikes that they stand for."""
    batch, rows, columns, inputs, outputs, groups, taps = shape
    window = dataclasses.replace(window, groups=groups)
    with ops.use(implementation):
        for rate in (0.1, 0.6):
            spikes, _, bias = problem(rng, batch, rows, columns, inputs, outputs, taps, rate)
            kernel = problem(rng, 1, 1, 1, inputs // groups, outputs, taps, rate)[1]
            around = ((0, 0), (0, 0))
            if not isinstance(window.padding, str):
                around = window.padding
            padded = np.pad(spikes, ((0, 0), *around, (0, 0)))
            plain = dataclasses.replace(window, padding=window.padding if around == ((0, 0), (0, 0)) else "valid")
            parts = zip(np.split(padded, groups, -1), np.split(kernel, groups, -1), np.split(bias, groups), strict=True)
            expected = np.concatenate([by_hand(*part, plain) for part in parts], axis=-1).astype(np.float32)
            np.testing.assert_array_equal(ops.spike_convolution(spikes, kernel, bias, window=window), expected)
            bits = ops.pack_bits(spikes[np.newaxis])[0]
            packed = ops.spike_convolution(bits, kernel, bias, window=window, input_shape=(rows, columns, inputs))
            np.testing.assert_array_equal(packed, expected)


@needs_native
@pytest.mark.parametrize("variant", native.library().variants if native.LIBRARY.exists() else [])
@pytest.mark.parametrize("threads", [1, 3])
def test_variants_and_threads_give_the_same_bits(rng, variant, threads):
    library = native.library()
    fastest = library.variant
    shapes = [(1, 9, 8, 12, 48, (3, 3)), (17, 4, 4, 40, 96, (3, 3)), (9, 1, 1, 64, 10, (1, 1))]
    problems = [problem(rng, *shape, 0.2) for shape in shapes]
    window = ConvolutionWindow(padding="same")
    expected = [by_hand(*one, window).astype(np.float32) for one in problems]
    library.select(variant)
    library._control.SnnToolboxSetThreads(threads)
    try:
        for one, current in zip(problems, expected, strict=True):
            np.testing.assert_array_equal(ops.spike_convolution(*one, window=window), current)
    finally:
        library.select(fastest)
        library._threads_asked_for = None
        library.adopt_threads()


@needs_native
def test_shapes_that_do_not_fit_are_refused():
    with ops.use("native"):
        message = r"Expected `spikes` \[batch, 2, 2, inputs\].*Received: shapes \[1,2,2,3\], \[1,1,4,5\] and \[0\]"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            ops.spike_convolution(tf.zeros([1, 2, 2, 3]), tf.zeros([1, 1, 4, 5]))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"and `bias` \[outputs\]"):
            ops.spike_convolution(tf.zeros([1, 2, 2, 3]), tf.zeros([1, 1, 3, 5]), tf.zeros([4]))
        assert ops.spike_convolution(tf.zeros([0, 2, 2, 3]), tf.zeros([1, 1, 3, 5])).shape == (0, 2, 2, 5)


@needs_native
def test_it_says_that_it_has_no_gradient():
    kernel = tf.Variable(tf.ones([1, 1, 1, 1]))
    with ops.use("native"), tf.GradientTape() as tape:
        current = ops.spike_convolution(tf.ones([1, 1, 1, 1]), kernel)
    with pytest.raises(LookupError, match="native convolution of spikes has no gradient"):
        tape.gradient(current, kernel)


def wide():
    """A network with layers that "auto" may run event-driven, and others."""
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(64, 3, activation="relu", padding="same", name="wide")(x)
    x = keras.layers.MaxPooling2D()(x)
    y = keras.layers.Conv2D(64, 3, strides=2, activation="relu", padding="same", name="strided")(x)
    x = keras.layers.Flatten()(y)
    x = keras.layers.Dense(80, activation="relu", name="dense")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="output")(x))


@needs_native
@pytest.mark.few(3)
@pytest.mark.parametrize("build", [wide, *zoo.BUILDERS], ids=lambda build: build.__name__)
def test_engines_give_the_same_spikes(build):
    model = zoo.build(build)
    x = zoo.data_for(model, 6)
    model_snn = snn.convert_keras(model, x, timesteps=8, threshold_rule="percentile")
    assert_engines_agree(model_snn, x, ["spikes"])


def test_what_runs_on_spikes():
    model = zoo.build(wide)
    model_snn = snn.convert_keras(model, zoo.data_for(model, 6), timesteps=4, threshold_rule="percentile")
    graph = model_snn.network.graph
    assert not plan_events(model_snn.network, "dense").synapses
    plan = plan_events(model_snn.network, "auto")
    # The first layer reads no spikes. By how much the largest sum of spikes moves is one, or none.
    assert set(plan.synapses) == {"wide", "strided", "dense", "output"}
    # Max pooling reads one, and the last one is read out.
    assert plan.deferred == {"strided", "dense"}
    assert all(isinstance(graph[name], Synapse) for name in plan.synapses)
    raw = snn.convert_keras(
        model, zoo.data_for(model, 6), timesteps=4, form="unnormalized", threshold_rule="percentile"
    )
    assert not plan_events(raw.network, "event").synapses


def test_the_engine_is_an_option_that_files_keep(mlp, x_mlp, tmp_path):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4, engine="event", threshold_rule="percentile")
    assert model_snn.engine == "event"
    model_snn.save(tmp_path / "net.keras")
    assert keras.saving.load_model(tmp_path / "net.keras").engine == "event"
    assert snn.convert_keras(mlp, x_mlp, timesteps=4, threshold_rule="percentile").engine == "auto"
    with pytest.raises(ValueError, match=r"Unknown `engine`. Expected one of \('auto', 'dense', 'event'\).*'events'"):
        snn.convert_keras(mlp, x_mlp, engine="events")
    with pytest.raises(ValueError, match=r"Unknown `engine`"):
        model_snn.engine = "gpu"
    assert model_snn.engine == "event"
