"""Bursts: several spikes of a neuron in a timestep."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import IMPLEMENTATIONS, needs_native

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.config import cell
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.grid.bounds import absolute_bounds
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire, neuron_from_config, parameters

L = keras.layers
T = 8


def run(neuron, currents, potential=0.0, threshold=1.0):
    """Spikes and potentials of one neuron."""
    current = tf.constant(np.asarray(currents, np.float32)[:, np.newaxis, np.newaxis])
    block = ops.integrate_fire(
        current,
        tf.fill([1, 1], potential),
        tf.constant(threshold),
        timesteps=len(currents),
        neuron=neuron,
        return_trace=True,
    )
    return block.spikes.numpy().ravel(), block.trace.numpy().ravel()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_spikes_of_a_burst_by_hand(implementation):
    with ops.use(implementation):
        spikes, potential = run(IntegrateAndFire(burst=3), [0.5, 2.75, 4.0, 0.5, 9.0, -1.0, -2.0, 0.0])
    assert spikes.tolist() == [0, 3, 3, 1, 3, 3, 0, 0]
    assert potential.tolist() == [0.5, 0.25, 1.25, 0.75, 6.75, 2.75, 0.75, 0.75]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("burst", [1, 2, 5])
def test_constant_currents_come_out_up_to_as_many_thresholds(burst, implementation):
    """Soft reset in closed form: clip(floor(T I / theta + 1/2), 0, n T), sums exact in float32."""
    currents, theta = np.linspace(-2, 8, 41, dtype=np.float32), 1.25
    neuron = IntegrateAndFire(burst=burst)
    with ops.use(implementation):
        block = ops.integrate_fire(
            tf.constant(currents), tf.fill(41, 0.5 * theta), tf.constant(theta), timesteps=T, neuron=neuron
        )
    expected = np.clip(np.floor(T * currents.astype(np.float64) / theta + 0.5), 0, burst * T)
    np.testing.assert_array_equal(block.spikes.numpy().sum(axis=0), expected)
    assert expected.max() == (burst * T if burst < 5 else np.floor(T * 6.25 / theta))


KINDS = [IntegrateAndFire(burst=4), LeakyIntegrateAndFire(tau_m=6.0, v_rest=0.25, burst=3)]
KINDS += [IntegrateAndFire(tau_s=2.0, burst=2), LeakyIntegrateAndFire(tau_m=6.0, tau_s=2.0, synapse="alpha", burst=3)]


@needs_native
@pytest.mark.parametrize("neuron", KINDS)
def test_native_equals_reference_over_blocks(neuron, rng):
    current = tf.constant(rng.normal(0.8, 1.5, (12, 3, 37)), tf.float32)
    theta = tf.constant(rng.uniform(0.5, 1.5, 37), tf.float32)
    found = {}
    for name in ("native", "reference"):
        with ops.use(name):
            parts, v, hidden = [], tf.fill([3, 37], 0.5), None
            for block in (current[:5], current[5:6], current[6:]):
                options = {"timesteps": len(block), "neuron": neuron, "hidden": hidden}
                part = ops.integrate_fire(block, v, theta, return_trace=True, **options)
                counted = ops.integrate_fire(block, v, theta, spike_form="counts", **options)
                np.testing.assert_array_equal(counted.spikes, tf.reduce_sum(part.spikes, axis=0))
                v, hidden = part.membrane_potential, part.hidden
                parts.append(part)
            found[name] = parts
    assert max(part.spikes.numpy().max() for part in found["native"]) == neuron.burst
    for ours, theirs in zip(found["native"], found["reference"], strict=True):
        np.testing.assert_array_equal(ours.spikes, theirs.spikes)
        np.testing.assert_array_equal(ours.trace, theirs.trace)
        for name, tensor in theirs.hidden.items():
            np.testing.assert_array_equal(ours.hidden[name], tensor)


def test_each_spike_of_a_burst_has_a_surrogate_at_its_own_threshold():
    """d spikes / d current = sum over k of sigma'((v - k theta) / theta) / theta, triangle: one or two of them count."""
    current = tf.Variable([[0.5, 1.25, 2.75, 7.0]])
    with tf.GradientTape() as tape:
        block = ops.integrate_fire(
            current, tf.zeros([1, 4]), tf.constant(2.0), timesteps=1, neuron=IntegrateAndFire(burst=2),
            surrogate_gradient="triangle",
        )  # fmt: skip
        total = tf.reduce_sum(block.spikes)
    assert block.spikes.numpy().ravel().tolist() == [0, 0, 1, 2]
    by_hand = [sum(max(1 - abs(v / 2 - k), 0) for k in (1, 2)) / 2 for v in (0.5, 1.25, 2.75, 7.0)]
    np.testing.assert_allclose(tape.gradient(total, current).numpy().ravel(), by_hand, rtol=1e-6)


@pytest.fixture(scope="module")
def source():
    keras.utils.set_random_seed(4)
    layers = [L.Conv2D(4, 3, activation="relu", name="conv"), L.MaxPooling2D(2), L.Flatten()]
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), *layers, L.Dense(8, "relu", name="dense"), L.Dense(3, name="out")]
    )
    return model, np.random.default_rng(4).random((24, 6, 6, 2), "float32")


@pytest.fixture(scope="module")
def bursting(source):
    """Thresholds so low that bursts matter."""
    model, x = source
    neuron = IntegrateAndFire(burst=3)
    return snn.convert_keras(model, x, timesteps=T, percentile=99.9, threshold_scale=0.4, neuron=neuron)


def test_a_network_with_bursts_counts_records_and_saves_them(source, bursting, tmp_path):
    x = source[1][:6]
    result = bursting.simulate(x, record=["spikes", "spike_counts", "membrane_potential"])
    for name, spikes in result.spikes.items():
        assert spikes.max() == 3
        np.testing.assert_array_equal(spikes.sum(axis=0), result.sample_spike_counts[name])
    # Charge is kept: v(T) = v(0) + input - spikes. The readout's mean current follows from spikes by hand.
    kernel, bias = source[0].get_layer("out").get_weights()
    theta = bursting.thresholds()["dense_relu"]
    mean = result.sample_spike_counts["dense_relu"] / T * np.ravel(theta)
    np.testing.assert_allclose(result.outputs[-1], mean @ kernel + bias, atol=1e-3)
    bursting.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), bursting.predict(x, verbose=0))
    assert loaded.network.graph.of_type(Population)[0].neuron.burst == 3
    assert "several spikes" in str(bursting.engine_report())


def test_blocks_batches_and_engines_give_the_same_spikes(source, bursting):
    x = source[1][:6]
    whole = bursting.simulate(x, record=["spikes"])
    for options in ({"block_length": 1}, {"block_length": 3}, {"batch_size": 1}):
        again = bursting.simulate(x, record=["spikes"], **options)
        for name, spikes in whole.spikes.items():
            np.testing.assert_array_equal(again.spikes[name], spikes)
    bursting.engine = "event"
    np.testing.assert_array_equal(bursting.simulate(x).outputs, whole.outputs)
    bursting.engine = "auto"


def test_operations_count_every_spike_of_a_burst(source, bursting):
    """Each spike of the last population goes to 3 neurons."""
    x = source[1][:6]
    result = bursting.simulate(x, record=["spike_counts"])
    spikes = result.sample_spike_counts["dense_relu"].sum()
    assert result.synaptic_operations["out"].sum() == 3 * spikes


def test_the_grid_leaves_room_for_bursts(bursting):
    graph = bursting.network.graph_with_weights()
    bounds = absolute_bounds(graph, {node.name: 1.0 for node in graph if node.name not in graph.spiking_ancestry()})
    for node in graph.of_type(Population):
        assert (bounds[node.name] == 3).all()


def test_a_bounded_relu_keeps_its_bound():
    model = keras.Sequential(
        [keras.Input((1,)), L.Dense(1, use_bias=False), L.ReLU(max_value=2.0, name="six"), L.Dense(1)]
    )
    for layer, weights in ((model.layers[0], [[[1.0]]]), (model.layers[2], [[[1.0]], [0.0]])):
        layer.set_weights([np.asarray(array, np.float32) for array in weights])
    x = np.linspace(0, 6, 25, dtype="float32")[:, np.newaxis]
    model_snn = snn.convert_keras(model, x, timesteps=64, percentile=100, neuron=IntegrateAndFire(burst=4))
    np.testing.assert_allclose(model_snn.predict(x, verbose=0), np.minimum(x, 2.0), atol=2 / 64)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"burst": 0}, r"Expected `burst` to be an integer in \[1, 32\]. Received: burst=0"),
        ({"burst": 2.0}, r"Expected `burst` to be an integer in \[1, 32\]. Received: burst=2.0"),
        ({"burst": 33}, r"integer in \[1, 32\]. Received: burst=33"),
        ({"burst": 2, "reset": "zero"}, "need a reset that subtracts a threshold for each"),
        ({"burst": 2, "tau_ref": 1.0}, "Expected burst=1 with these, or reset='subtract', tau_ref=0"),
        ({"burst": 2, "adaptation": 0.5}, "Expected burst=1 with these"),
        ({"burst": 2, "signed_spikes": True}, "resting potential, reset potential or bursts"),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        IntegrateAndFire(**given)


def test_spikes_of_bursts_are_no_bits(source, bursting, tmp_path):
    with pytest.raises(
        ValueError, match=r"Several spikes do not fit into a bit. Expected `spike_form` 'float' or 'counts'"
    ):
        ops.integrate_fire(
            tf.zeros([1, 8]), tf.zeros([1, 8]), tf.constant(1.0), timesteps=2, neuron=KINDS[0], spike_form="bits"
        )
    pytest.importorskip("nir")
    _, x = source
    pooled = keras.Sequential([keras.Input((4,)), L.Dense(3, "relu"), L.Dense(2)])
    model_snn = snn.convert_keras(pooled, x[:, :4, 0, 0], timesteps=4, percentile=99, neuron=KINDS[0])
    with pytest.raises(snn.UnsupportedModelError, match="no NIR node has bursts of spikes"):
        snn.export_nir(model_snn, tmp_path / "net.nir")


def test_settings_of_bursts():
    from snn_toolbox_tf.experiment.options import conversion_options

    assert cell.MOST_SPIKES == parameters.MOST_SPIKES
    assert conversion_options(snn.Settings().replace(burst=3)).neuron == IntegrateAndFire(burst=3)
    assert neuron_from_config(KINDS[1].get_config()) == KINDS[1]
    with pytest.raises(
        snn.ConfigurationError, match=r"\[cell\] burst = 3: several spikes.*Received: tau_ref = 1.0. Set"
    ):
        snn.Settings().replace(burst=3, tau_ref=1.0)
    with pytest.raises(snn.ConfigurationError, match=r"\[cell\] burst: Expected an integer in \[1, 32\]. Received: 0"):
        snn.Settings().replace(burst=0)
