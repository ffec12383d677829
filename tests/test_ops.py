"""One truth: the TensorFlow reference and every variant of the native op give the same bits."""

import itertools
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import IMPLEMENTATIONS, mostly_slow, needs_native, run_in_threads

from snn_toolbox_tf import ops
from snn_toolbox_tf.neurons import RESETS, IntegrateAndFire
from snn_toolbox_tf.ops import native

VARIANTS = native.library().variants if native.LIBRARY.exists() else ()
EDGES = np.array(
    [0.0, -0.0, 0.25, 0.5, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 1.1754944e-38, 3.4e38, -3.4e38],
    dtype=np.float32,
)


SIGNED = IntegrateAndFire(signed_spikes=True)

every_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(autouse=True)
def _fastest_variant():
    yield
    if VARIANTS:
        native.library().select(VARIANTS[-1])


def with_edges(rng, shape):
    """Values on a grid, so that thresholds are met exactly, and edge values strewn in."""
    values = rng.integers(-6, 7, shape).astype(np.float32) / 4
    mask = rng.random(shape) < 0.1
    return np.where(mask, rng.choice(EDGES, shape), values).astype(np.float32)


def traced(implementation, *args, **kwargs):
    """Returns a graph that does it, as the time loop has: there TensorFlow flushes denormals on all threads."""
    with ops.use(implementation):
        return tf.function(lambda: ops.integrate_fire(*args, **kwargs), autograph=False).get_concrete_function()


def run(implementation, *args, **kwargs):
    return traced(implementation, *args, **kwargs)()


def assert_variants_equal_the_reference(*args, **kwargs):
    expected, step = run("reference", *args, **kwargs), traced("native", *args, **kwargs)
    for variant in VARIANTS:
        native.library().select(variant)
        assert_same(step(), expected)


def assert_same(actual, expected):
    pairs = {
        name: (getattr(actual, name), getattr(expected, name)) for name in ops.Response._fields if name != "hidden"
    }
    assert list(actual.hidden) == list(expected.hidden)
    pairs |= {name: (actual.hidden[name], expected.hidden[name]) for name in expected.hidden}
    for name, (ours, theirs) in pairs.items():
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=name)


SHAPES = [(3, 7), (2, 64), (1, 5, 6, 33), (4, 3, 16, 16), (0, 4, 4), (2, 0), (5,)]
FORMS = [(False, "float"), (False, "bits"), (False, "counts"), (True, "float"), (True, "counts")]


THRESHOLDS = ["scalar", "first", "last"]


def parity(case):
    shape, threshold, constant = case
    return (SHAPES.index(shape) + THRESHOLDS.index(threshold) + constant) % 2


CASES = list(itertools.product(SHAPES, THRESHOLDS, [False, True]))


@pytest.mark.few(6)
@needs_native
@pytest.mark.parametrize("case", mostly_slow(CASES, [case for case in CASES if parity(case) == 0]), ids=str)
def test_variants_equal_the_reference(rng, case):
    """Half of all combinations: leave out any one of timesteps, reset and constant, and those of all others are there.

    A half of these, in which each value of anything meets each of anything else, is not slow.
    """
    shape, threshold, constant = case
    sizes = [1] * len(shape)
    if threshold != "scalar":
        axis = min(1, len(shape) - 1) if threshold == "first" else len(shape) - 1
        sizes[axis] = shape[axis]
    for timesteps, reset, (signed, form) in itertools.product((1, 18), RESETS, FORMS):
        if (parity(case) + (timesteps == 1) + RESETS.index(reset) + FORMS.index((signed, form))) % 2:
            continue
        theta = tf.constant(rng.choice([0.5, 1.0, 1.5], sizes), tf.float32)
        v = tf.constant(with_edges(rng, shape))
        current = tf.constant(with_edges(rng, shape if constant else (timesteps, *shape)))
        neuron = IntegrateAndFire(reset=reset, signed_spikes=signed)
        kwargs = {"timesteps": timesteps, "neuron": neuron, "spike_form": form}
        if signed or timesteps > 1:
            kwargs |= {"counts": tf.constant(rng.integers(0, 3, shape), tf.float32), "return_trace": True}
        if form != "bits" or len(shape) > 1:
            assert_variants_equal_the_reference(current, v, theta, **kwargs)


@needs_native
@every_variant
def test_several_currents_with_gains_equal_the_reference(variant, rng):
    native.library().select(variant)
    shape = (3, 6, 5, 20)
    gain = tf.constant(rng.random((1, 1, 1, 20)) * 2, tf.float32)
    values = [tf.constant(rng.normal(size=(4, *shape)), tf.float32), tf.constant(rng.normal(size=shape), tf.float32)]
    values += [tf.constant(with_edges(rng, (4, *shape)) * 1.0)] * 4
    gains = [None, gain, tf.constant(0.5), gain, None, gain]
    v = tf.constant(rng.normal(size=shape), tf.float32)
    for count in range(1, 7):
        currents = [ops.Current(*pair) for pair in zip(values[:count], gains[:count], strict=True)]
        results = []
        for implementation in ("native", "reference"):
            # Eagerly: in a graph TensorFlow's optimizer may change the order of the reference's sums.
            with ops.use(implementation):
                results.append(ops.integrate_fire(currents, v, tf.constant(1.0), timesteps=4, return_trace=True))
        assert_same(*results)


@needs_native
def test_large_populations_are_shared_by_threads_and_equal_the_reference(rng):
    v = tf.constant(with_edges(rng, (5, 33, 31, 17)))
    current = tf.constant(with_edges(rng, (4, 5, 33, 31, 17)))
    for form in ("float", "bits"):
        assert_variants_equal_the_reference(current, v, tf.constant(1.0), timesteps=4, spike_form=form)


@needs_native
def test_concurrent_calls_do_not_disturb_one_another(rng):
    current = tf.constant(with_edges(rng, (4, 8, 64, 64)))
    v = tf.zeros([8, 64, 64])
    expected = run("reference", current, v, tf.constant(1.0), timesteps=4)
    failures = []

    def work():
        for _ in range(20):
            actual = run("native", current, v, tf.constant(1.0), timesteps=4)
            failures.append(not np.array_equal(actual.spikes.numpy(), expected.spikes.numpy()))

    run_in_threads(work, 4)
    assert len(failures) == 80
    assert not any(failures)


def test_bits_are_numpys_little_endian_bits(rng):
    current = rng.random((3, 2, 11), dtype=np.float32)
    args = tf.constant(current), tf.zeros([2, 11]), tf.constant(0.5)
    spikes = ops.integrate_fire(*args, timesteps=3).spikes.numpy()
    bits = ops.integrate_fire(*args, timesteps=3, spike_form="bits").spikes.numpy()
    np.testing.assert_array_equal(bits, np.packbits(spikes.astype(bool), axis=-1, bitorder="little"))
    counts = ops.integrate_fire(*args, timesteps=3, spike_form="counts").spikes.numpy()
    np.testing.assert_array_equal(counts, spikes.sum(0))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_signed_spikes_by_hand(implementation):
    current = tf.reshape(tf.constant([1.0, 1.0, -1.5, -1.5, -1.5]), [5, 1, 1])
    args = current, tf.zeros([1, 1]), tf.constant(1.0)
    block = run(implementation, *args, timesteps=5, neuron=SIGNED, counts=tf.zeros([1, 1]), return_trace=True)
    # The third timestep takes back a spike, the fourth the other; then there is nothing left to take back.
    assert block.spikes.numpy().ravel().tolist() == [1, 1, -1, -1, 0]
    assert block.trace.numpy().ravel().tolist() == [0, 0, -0.5, -1, -2.5]
    assert block.counts.numpy().item() == 0


def test_signed_spikes_end_at_the_closed_form_whatever_the_order_of_currents(rng):
    timesteps = 64
    current = rng.integers(-8, 11, (timesteps, 1, 500)).astype(np.float32) / 16
    quiet = np.zeros((200, 1, 500), np.float32)
    args = tf.constant(np.concatenate([current, quiet])), tf.fill([1, 500], 0.5), tf.constant(1.0)
    block = ops.integrate_fire(*args, timesteps=264, neuron=SIGNED, counts=tf.zeros([1, 500]))
    expected = np.maximum(np.floor(current.sum(0) + 0.5), 0)
    np.testing.assert_array_equal(block.counts.numpy(), expected)


WINDOWS = [((2, 2), (2, 2), "valid"), ((3, 3), (2, 2), "same"), ((3, 2), (1, 3), "valid"), ((1, 4), (1, 4), "same"),
           ((7, 9), (7, 9), "valid"), ((2, 2), (3, 3), "valid")]  # fmt: skip


@needs_native
@every_variant
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_max_pooling_equals_the_reference_and_numpy(variant, rng, window):
    native.library().select(variant)
    window = ops.Window(*window)
    current = tf.constant(rng.integers(-40, 41, (5, 3, 7, 9, 19)) / 16, tf.float32)
    accumulated = tf.constant(rng.integers(-40, 41, (3, 7, 9, 19)) / 16, tf.float64)
    results = []
    for implementation in ("native", "reference"):
        with ops.use(implementation):
            results.append(ops.accumulate_max_pool(current, accumulated, window))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    sums = accumulated.numpy() + np.cumsum(current.numpy().astype(np.float64), axis=0)
    np.testing.assert_array_equal(results[0][1], sums[-1])
    if window.padding == "valid":
        (rows, columns), (down, right) = window.pool, window.strides
        every = np.concatenate([accumulated.numpy()[np.newaxis], sums])
        views = np.lib.stride_tricks.sliding_window_view(every, (rows, columns), axis=(2, 3))
        pooled = views.max(axis=(-2, -1))[:, :, ::down, ::right]
        np.testing.assert_array_equal(results[0][0], np.diff(pooled, axis=0))


def call(**changed):
    """The native op itself, with arguments of which some are wrong."""
    arguments = {
        "currents": [tf.zeros([4, 2, 6])],
        "gains": [tf.zeros([0])],
        "membrane_potential": tf.zeros([2, 6]),
        "threshold": tf.ones([]),
        "counts": tf.zeros([0]),
        "timesteps": 4,
    }
    return native.library().ops.snn_toolbox_integrate_fire(**{**arguments, **changed})


@needs_native
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"currents": [tf.zeros([3, 2, 6])]}, "Expected a current of shape [4,2,6], or [2,6] if it is constant"),
        ({"currents": [tf.zeros([4, 2, 5])]}, "Received: current 0 of shape [4,2,5]"),
        ({"currents": [tf.zeros([6])]}, "Received: current 0 of shape [6]"),
        (
            {"currents": [tf.zeros([2, 6])] * 5, "gains": [tf.zeros([0])] * 5},
            "Expected at most 4 currents. Received: 5",
        ),
        ({"membrane_potential": tf.zeros([])}, "Expected `membrane_potential` [batch, ...]. Received: a scalar"),
        ({"threshold": tf.ones([5])}, "Expected `threshold` to have one value, or one per channel"),
        ({"threshold": tf.ones([1, 1, 6])}, "Received: threshold of shape [1,1,6]"),
        ({"gains": [tf.ones([3])]}, "Received: gains of shape [3]"),
        ({"counts": tf.zeros([2, 5])}, "Expected `counts` of shape [2,6], or [0] for none"),
        ({"signed_spikes": True}, "`signed_spikes=True` needs `counts`"),
        ({"signed_spikes": True, "spike_type": tf.uint8}, "Signed spikes do not fit into bits"),
        ({"membrane_potential": tf.zeros([1] * 20)}, "to have fewer than 16 dimensions. Received: rank 20"),
        ({"timesteps": 0}, "minimum 1"),
        ({"reset": "hard"}, '"hard" is not in the list of allowed values'),
        ({"neuron": "izhikevich"}, "has no neuron model 'izhikevich'"),
        ({"parameters": [1.0] * 13}, "Expected at most 12 parameters of a neuron. Received: 13"),
        (
            {"neuron": "integrate_and_fire_with_hidden_state", "parameters": [1.0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 1]},
            "Neurons of these parameters keep 1 numbers besides their membrane potential. Received: 0",
        ),
        ({"timesteps": 2**62}, "4611686018427387904 of [2,6] neurons do not fit into any memory"),
    ],
)
def test_wrong_arguments_are_tensorflow_errors(changed, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(message)):
        call(**changed)


@needs_native
def test_wrong_pooling_arguments_are_tensorflow_errors():
    window = {"pool_rows": 3, "pool_columns": 1, "row_stride": 1, "column_stride": 1, "padding": "valid"}
    pool = native.library().ops.snn_toolbox_accumulate_max_pool
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape("Received: shapes [1,4,4] and [2,1,4,4]")):
        pool(current=tf.zeros([2, 1, 4, 4]), accumulated=tf.zeros([1, 4, 4], tf.float64), **window)
    with pytest.raises(tf.errors.InvalidArgumentError, match="The windows are larger than the rows or columns"):
        pool(current=tf.zeros([2, 1, 2, 4, 3]), accumulated=tf.zeros([1, 2, 4, 3], tf.float64), **window)


@needs_native
@pytest.mark.parametrize(
    ("shape", "message"),
    [([None, 7], "differ on axis 1 of the membrane potential. Received: 7 and 6"), ([6], "Received: ranks 1 and 2")],
)
def test_shapes_that_cannot_fit_are_errors_while_tracing(shape, message):
    @tf.function(input_signature=[tf.TensorSpec(shape)], autograph=False)
    def trace(current):
        return call(currents=[current], membrane_potential=tf.zeros([3, 6]))

    with pytest.raises(ValueError, match=re.escape(message)):
        trace.get_concrete_function()


@needs_native
def test_unknown_shapes_are_inferred_as_far_as_they_can():
    shapes = {}

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, 6, 5]), tf.TensorSpec([None, 6, 5]), tf.TensorSpec(None)],
        autograph=False,
    )
    def trace(current, v, unknown):
        shapes["float"] = [tensor.shape for tensor in call(currents=[current], membrane_potential=v)]
        shapes["bits"] = call(currents=[current], membrane_potential=v, spike_type=tf.uint8)[1].shape
        shapes["counts"] = call(currents=[current], membrane_potential=v, spike_type=tf.int32)[1].shape
        shapes["constant"] = ops.integrate_fire(v, v, tf.ones([]), timesteps=4, return_trace=True)
        shapes["unknown"] = call(currents=[unknown], membrane_potential=unknown)[0].shape

    with ops.use("native"):
        trace.get_concrete_function()
    assert [shape.as_list() for shape in shapes["float"][:3]] == [[None, 6, 5], [None, None, 6, 5], [0]]
    assert shapes["bits"].as_list() == [None, None, 4]
    assert shapes["counts"].as_list() == [None, 6, 5]
    assert shapes["constant"].spikes.shape.as_list() == [4, None, 6, 5]
    assert shapes["constant"].trace.shape.as_list() == [4, None, 6, 5]
    assert shapes["unknown"].rank is None


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_currents_come_in_any_form_and_must_fit(implementation):
    v, theta = tf.zeros([1, 2]), tf.ones([])
    with ops.use(implementation):
        for current in (
            np.full((1, 2), 0.5),
            ops.Current(tf.fill([1, 2], 0.5)),
            [ops.Current(tf.fill([4, 1, 2], 0.5))],
        ):
            assert ops.integrate_fire(current, v, theta, timesteps=4).spikes[:, 0, 0].numpy().tolist() == [0, 1, 0, 1]
        for timesteps in (0, 4.0, True, 2**62):
            with pytest.raises(
                ValueError, match=r"Expected `timesteps` to be a positive integer.* Received: timesteps="
            ):
                ops.integrate_fire(v, v, theta, timesteps=timesteps)
        with pytest.raises(ValueError, match=r"Expected `threshold` to have one value, .* Received: \(3,\)"):
            ops.integrate_fire(v, v, tf.ones([3]), timesteps=4)
        with pytest.raises(ValueError, match=r"Expected `counts` of shape \(1, 2\). Received: \(3,\)"):
            ops.integrate_fire(v, v, theta, timesteps=4, counts=tf.zeros([3]))
        with pytest.raises(ValueError, match=r"Expected `membrane_potential` to be a float tensor .* Received: int32"):
            ops.integrate_fire(v, [[0, 0]], theta, timesteps=4)
        arrays = np.full((4, 1, 2), 0.5), np.zeros((1, 2)), 1.0
        assert ops.integrate_fire(*arrays, timesteps=4).spikes[:, 0, 0].numpy().tolist() == [0, 1, 0, 1]
        with pytest.raises(ValueError, match=r"Expected at least one current. Received: an empty list"):
            ops.integrate_fire([], v, theta, timesteps=4)
        message = r"Expected a current of shape \(4, 1, 2\), or \(1, 2\) if it is constant. Received: \(8, 1, 2\)"
        with pytest.raises(ValueError, match=message):
            ops.integrate_fire(tf.zeros([8, 1, 2]), v, theta, timesteps=4)


def test_float64_is_the_references(rng):
    current = tf.constant(rng.random((3, 1, 2, 2, 1)))
    pooled, _ = ops.accumulate_max_pool(current, tf.zeros([1, 2, 2, 1], tf.float64), ops.Window((2, 2), (2, 2)))
    assert pooled.dtype == tf.float64
    spikes = ops.integrate_fire(
        current, tf.zeros([1, 2, 2, 1], tf.float64), tf.ones([], tf.float64), timesteps=3
    ).spikes
    assert spikes.dtype == tf.float64


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"spike_form": "bytes"}, "Unknown `spike_form`. Expected one of ('float', 'bits', 'counts')"),
        ({"neuron": SIGNED}, "`signed_spikes=True` need `counts`"),
        ({"neuron": SIGNED, "spike_form": "bits"}, "Signed spikes do not fit into bits"),
        ({"surrogate_gradient": "boxcar"}, "Unknown `surrogate_gradient`. Expected one of ('arctan',"),
        ({"surrogate_gradient": "arctan", "spike_form": "bits"}, "A surrogate gradient is for plain spikes."),
    ],
)
def test_unknown_names_and_options_that_exclude_each_other(kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ops.integrate_fire(tf.zeros([1, 2]), tf.zeros([1, 2]), tf.ones([]), timesteps=2, **kwargs)
