"""Populations that wait for their input to settle, and their currents of the first timesteps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from conftest import IMPLEMENTATIONS

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire

L = keras.layers


def changed(model_snn, **fields_of):
    """The same network with other fields of some populations, by name."""
    graph = model_snn.network.graph_with_weights()
    for name, fields in fields_of.items():
        for field, value in fields.items():
            setattr(graph[name], field, value)
    return snn.SpikingModel(graph, timesteps=model_snn.timesteps, input=model_snn.input_options.mode)


@pytest.fixture
def known():
    """Two neurons whose current is the input, thresholds 1, readout of weight 1."""
    return identity()


def identity(size=2, largest=1.0, **options):
    model = keras.Sequential(
        [keras.Input((size,)), L.Dense(size, "relu", use_bias=False, name="hidden"), L.Dense(size, use_bias=False)]
    )
    for layer in model.layers:
        layer.set_weights([np.eye(size)])
    return snn.convert_keras(model, np.full((4, size), largest), percentile=100, v0=0.0, **options)


def numpy_response(currents, start, neuron, theta=1.0, bias=()):
    """Spikes and potentials of a population, one timestep after the other, from currents `[timesteps, samples, neurons]`."""
    v, net, spikes, trace = np.zeros(currents.shape[1:]), np.zeros(currents.shape[1:]), [], []
    for t, current in enumerate(currents):
        v = neuron.retention * v + neuron.input_gain * (current + (theta * bias[t] if t < len(bias) else 0.0))
        fired = (v >= theta) & (t >= start)
        back = (v < 0) & (net >= 1) & neuron.signed_spikes
        kept = np.where(neuron.reset == "zero", np.where(fired | back, 0.0, v), v - theta * fired + theta * back)
        v, spike = kept, fired * 1.0 - back
        net = net + spike
        spikes.append(spike)
        trace.append(v)
    return np.stack(spikes), np.stack(trace)


def test_hand_computed_spikes_of_neurons_that_wait(known):
    waiting = changed(known, hidden_relu={"start": 2})
    result = waiting.simulate(np.array([[0.75, 0.25]]), timesteps=5, record=["spikes", "membrane_potential"])
    assert result.spikes["hidden_relu"][:, 0].tolist() == [[0, 0], [0, 0], [1, 0], [1, 1], [1, 0]]
    expected = [[0.75, 0.25], [1.5, 0.5], [1.25, 0.75], [1.0, 0.0], [0.75, 0.25]]
    assert result.membrane_potential["hidden_relu"][:, 0].tolist() == expected
    assert result.spike_counts["hidden_relu"].tolist() == [3, 1]
    np.testing.assert_allclose(result.outputs[:, 0], [[0, 0], [0, 0], [1 / 3, 0], [2 / 4, 1 / 4], [3 / 5, 1 / 5]])


def test_hand_computed_spikes_of_a_current_for_the_first_timesteps(known):
    biased = changed(known, hidden_relu={"timed_bias": np.array([[-0.5, 0.75], [0.25, 0.0]])})
    result = biased.simulate(np.array([[0.5, 0.25]]), timesteps=4, record=["spikes", "membrane_potential"])
    assert result.spikes["hidden_relu"][:, 0].tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    expected = [[0, 0], [0.75, 0.25], [0.25, 0.5], [0.75, 0.75]]
    assert result.membrane_potential["hidden_relu"][:, 0].tolist() == expected


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize(
    "neuron",
    [
        IntegrateAndFire(v0=0.0),
        IntegrateAndFire(v0=0.0, reset="zero"),
        IntegrateAndFire(v0=0.0, signed_spikes=True),
        LeakyIntegrateAndFire(v0=0.0, tau_m=4.0),
    ],
    ids=["soft", "hard", "signed", "leaky"],
)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_against_numpy_for_every_neuron_block_length_and_batch(rng, neuron, implementation):
    frames = rng.integers(-4, 9, (5, 13, 2)) / 8
    bias = rng.integers(-8, 9, (6, 2)) / 8
    plain = identity(input="frames")
    plain_blocks, odd_blocks, one_block = (1, 5, None), (3, 2, "membrane_potential"), (13, 5, None)
    for start, timed_bias, runs in (
        (4, None, [odd_blocks]),
        (0, bias, [plain_blocks]),
        (5, bias, [odd_blocks, one_block]),
        (9, bias, [odd_blocks]),
    ):
        model_snn = changed(plain, hidden_relu={"neuron": neuron, "start": start, "timed_bias": timed_bias})
        spikes, trace = numpy_response(
            frames.transpose(1, 0, 2), start, neuron, bias=() if timed_bias is None else timed_bias
        )
        for block_length, batch_size, record in runs:
            with ops.use(implementation):
                result = model_snn.simulate(
                    frames,
                    block_length=block_length,
                    batch_size=batch_size,
                    record=["spikes", *([record] if record else [])],
                )
            np.testing.assert_array_equal(result.spikes["hidden_relu"], np.sign(spikes))
            np.testing.assert_array_equal(result.spike_counts["hidden_relu"], spikes.sum(axis=(0, 1)))
            for potential in result.membrane_potential.values():
                np.testing.assert_allclose(potential, trace, rtol=1e-6, atol=1e-6)


def test_a_timed_bias_is_in_units_of_the_threshold(known):
    """Threshold 2, spikes of height 2: half a threshold is a current of 1."""
    plain = identity(largest=2.0, form="unnormalized")
    result = changed(plain, hidden_relu={"timed_bias": np.array([[0.5, -0.5]])}).simulate(
        np.array([[1.0, 1.0]]), timesteps=3, record=["spikes", "membrane_potential"]
    )
    assert result.spikes["hidden_relu"][:, 0].tolist() == [[1, 0], [0, 0], [1, 1]]
    assert result.membrane_potential["hidden_relu"][:, 0].tolist() == [[0, 0], [1, 1], [0, 0]]


@pytest.fixture
def settling_cnn():
    """A network of the zoo whose populations wait, one after the other, and have currents of their own."""
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 6)
    model_snn = snn.convert_keras(model, x, timesteps=9, threshold_rule="percentile")
    bias = np.random.default_rng(0).integers(-8, 9, (5, 6)) / 16
    return changed(model_snn, relu1={"start": 2}, conv2_relu={"start": 4, "timed_bias": bias}), x


def test_spikes_depend_on_no_division_of_time_and_samples(settling_cnn):
    model_snn, x = settling_cnn
    expected = model_snn.simulate(x, record="spikes", block_length=1)
    assert not expected.spikes["relu1"][:2].any()
    assert expected.spikes["relu1"][2].any()
    assert not expected.spikes["conv2_relu"][:4].any()
    assert expected.spikes["conv2_relu"][4].any()
    for options in ({"block_length": 4}, {"block_length": 9, "batch_size": 1}, {"outputs": [3, 4, 9]}):
        result = model_snn.simulate(x, record="spikes", **options)
        for name, spikes in expected.spikes.items():
            np.testing.assert_array_equal(result.spikes[name], spikes)
    np.testing.assert_array_equal(model_snn.predict(x, verbose=0), expected.outputs[-1])
    for timestep in range(9):
        np.testing.assert_array_equal(model_snn.step(x), expected.outputs[timestep])


def test_files_keep_what_the_first_timesteps_are(settling_cnn, tmp_path):
    model_snn, x = settling_cnn
    expected = model_snn.predict(x, verbose=0)
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    node, kept = (model.network.graph["conv2_relu"] for model in (model_snn, loaded))
    assert kept.start == node.start == 4
    np.testing.assert_array_equal(kept.timed_bias, node.timed_bias)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    model_snn.export(tmp_path / "serving")
    served = tf.saved_model.load(str(tmp_path / "serving"))
    np.testing.assert_array_equal(served.serve(tf.constant(x)), expected)


def test_networks_without_it_are_written_as_before(known):
    for node in known.get_config()["graph"]["nodes"]:
        assert not {"start", "timed_bias"} & set(node)


def test_layer_by_layer_the_counts_are_those_of_the_closed_form(settling_cnn):
    """Of T timesteps, T - s are left to fire in."""
    model_snn, x = settling_cnn
    for timesteps in (3, 9):
        counts, outputs = closed_form(model_snn, x, timesteps)
        result = model_snn.simulate(x, timesteps=timesteps, schedule="layer_synchronous", record="spikes")
        for name, spikes in result.spikes.items():
            np.testing.assert_array_equal(spikes.sum(axis=0), counts[name])
            assert not spikes[: model_snn.network.graph[name].start].any()
        np.testing.assert_allclose(result.outputs[-1], outputs, rtol=1e-5, atol=1e-6)
    assert result.spikes["conv2_relu"].sum(axis=0).max() == 5


def test_hand_computed_layer_synchronous_spikes(known):
    waiting = changed(known, hidden_relu={"start": 1, "timed_bias": np.array([[0.25, 0.0], [0.0, 0.5]])})
    result = waiting.simulate(
        np.array([[1.0, 0.25]]), timesteps=4, schedule="layer_synchronous", record=["spikes", "spike_counts"]
    )
    # 4.25 and 1.5 thresholds; three timesteps are left.
    assert result.spikes["hidden_relu"][:, 0].tolist() == [[0, 0], [1, 1], [1, 0], [1, 0]]
    assert result.sample_spike_counts["hidden_relu"].tolist() == [[3, 1]]


def gradient_by_hand(currents, start, g_spikes):
    """Backpropagation through time of one neuron with soft reset and the triangle: while it waits, it has no spikes."""
    v, u = 0.0, []
    for t, current in enumerate(currents):
        u.append(v + current)
        v = u[-1] - float(u[-1] >= 1.0 and t >= start)
    g_v, gradient = 0.0, []
    for t in reversed(range(len(currents))):
        g_v += g_spikes[t] * max(1 - abs(u[t] - 1.0), 0) if t >= start else 0.0
        gradient.insert(0, g_v)
    return gradient


@pytest.mark.parametrize("start", [0, 2, 4])
def test_the_gradient_equals_backpropagation_by_hand(start):
    bias = np.array([[0.25], [-0.5]])
    model_snn = changed(identity(1, input="frames"), hidden_relu={"start": start, "timed_bias": bias})
    frames = tf.constant([[[0.5], [1.0], [0.5], [0.25], [0.75]]])
    with model_snn.fine_tuning("triangle"), tf.GradientTape() as tape:
        tape.watch(frames)
        output = model_snn(frames, training=True)
    currents = frames.numpy().ravel() + np.array([0.25, -0.5, 0, 0, 0])
    expected = gradient_by_hand(currents, start, [1 / 5] * 5)
    np.testing.assert_allclose(tape.gradient(output, frames).numpy().ravel(), expected, rtol=1e-6)


def test_training_runs_what_prediction_runs(settling_cnn):
    model_snn, x = settling_cnn
    expected = model_snn.predict(x, verbose=0)
    with model_snn.fine_tuning():
        np.testing.assert_allclose(model_snn(x, training=True), expected, rtol=1e-6)
    model_snn.compile("sgd", keras.losses.SparseCategoricalCrossentropy())
    model_snn.fit(x, np.arange(6) % 4, epochs=1, verbose=0)
    assert not model_snn.simulate(x, record="spikes").spikes["conv2_relu"][:4].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": -1}, r"`start of 'a'` to be a number of timesteps, 0 or more. Received: -1"),
        ({"start": 1.5}, r"0 or more. Received: 1.5"),
        ({"start": True}, r"0 or more. Received: True"),
        ({"timed_bias": np.zeros((2, 4))}, r"`timed_bias` of 'a' to hold finite numbers \[timesteps, 3\].*\(2, 4\)"),
        ({"timed_bias": np.zeros(3)}, r"one column per channel. Received: shape \(3,\)"),
        ({"timed_bias": np.full((1, 3), np.nan)}, r"finite numbers"),
    ],
)
def test_what_no_population_can_have(fields, message):
    with pytest.raises(ValueError, match=message):
        Population("a", ["x"], (3,), **fields)
