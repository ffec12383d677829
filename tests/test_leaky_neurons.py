"""Leaky neurons: closed forms, the limit without leak, and everything else that a neuron goes through."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import IMPLEMENTATIONS

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire, neuron_from_config


def spike_times(current, neuron, timesteps):
    block = ops.integrate_fire(
        tf.constant([[current]]), tf.zeros([1, 1]), tf.constant(1.0), timesteps=timesteps, neuron=neuron
    )
    return 1 + np.flatnonzero(block.spikes.numpy().ravel())


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_interspike_interval_with_hard_reset(implementation):
    """A constant current I fires every tau ln(R I / (R I - theta)) timesteps, R = tau, rounded up to whole ones."""
    for tau, current in ((20.0, 0.06), (50.0, 0.05), (7.5, 0.3)):
        interval = tau * math.log(tau * current / (tau * current - 1.0))
        with ops.use(implementation):
            times = spike_times(current, LeakyIntegrateAndFire(tau_m=tau, v0=0.0, reset="zero"), 400)
        assert len(times) > 5
        assert set(np.diff([0, *times])) == {math.ceil(interval)}


def test_a_current_below_rheobase_never_fires():
    neuron = LeakyIntegrateAndFire(tau_m=10.0, v0=0.0)
    assert len(spike_times(0.0999, neuron, 2000)) == 0
    assert len(spike_times(0.1001, neuron, 2000)) > 0


def test_without_decay_it_is_the_neuron_without_leak(rng):
    current = tf.constant(rng.integers(-8, 12, (50, 3, 40)) / 8, tf.float32)
    args = current, tf.fill([3, 40], 0.5), tf.constant(1.0)
    for reset in ("subtract", "zero"):
        plain = ops.integrate_fire(*args, timesteps=50, neuron=IntegrateAndFire(reset=reset))
        for tau in (math.inf, 1e9):
            leaky = ops.integrate_fire(*args, timesteps=50, neuron=LeakyIntegrateAndFire(tau_m=tau, reset=reset))
            np.testing.assert_array_equal(leaky.spikes, plain.spikes)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_gradient_decays_with_the_potential(implementation):
    """Of a neuron that does not fire: the last potential's derivative by the current of timestep t is k d^(T - t)."""
    neuron = LeakyIntegrateAndFire(tau_m=4.0, v0=0.0)
    current = tf.constant([[[0.01]], [[0.02]], [[0.03]]])
    with ops.use(implementation), tf.GradientTape() as tape:
        tape.watch(current)
        block = ops.integrate_fire(
            current, tf.zeros([1, 1]), tf.constant(100.0), timesteps=3, neuron=neuron, surrogate_gradient="rectangle"
        )
    gradient = tape.gradient(block.membrane_potential, current).numpy().ravel()
    d = math.exp(-0.25)
    np.testing.assert_allclose(gradient, 4.0 * (1 - d) * np.array([d**2, d, 1.0]), rtol=1e-6)


def leaky_network(mlp, x, tau_m):
    """A converted network with other neurons."""
    graph = snn.convert_keras(mlp, x, threshold_rule="percentile").network.graph_with_weights()
    for node in graph.of_type(Population):
        node.neuron = LeakyIntegrateAndFire(tau_m=tau_m)
    return snn.SpikingModel(graph, timesteps=16)


@pytest.mark.long
def test_a_network_of_them_runs_trains_saves_and_is_exported(mlp, x_mlp, tmp_path):
    model_snn = leaky_network(mlp, x_mlp, tau_m=10.0)
    plain = snn.convert_keras(mlp, x_mlp, timesteps=16, threshold_rule="percentile")
    result = model_snn.simulate(x_mlp, record=["spikes"], outputs="last")
    assert 0 < result.firing_rates["hidden_relu"] < plain.simulate(x_mlp).firing_rates["hidden_relu"]
    with ops.use("reference"):
        again = leaky_network(mlp, x_mlp, tau_m=10.0).simulate(x_mlp, record=["spikes"], batch_size=7, block_length=3)
    np.testing.assert_array_equal(again.spikes["hidden_relu"], result.spikes["hidden_relu"])
    expected = model_snn.predict(x_mlp, verbose=0)
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.network.graph["hidden_relu"].neuron == LeakyIntegrateAndFire(tau_m=10.0)
    np.testing.assert_array_equal(loaded.predict(x_mlp, verbose=0), expected)
    model_snn.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    np.testing.assert_array_equal(next(iter(served(tf.constant(x_mlp)).values())), expected)
    model_snn.compile("adam", "mse")
    before = model_snn.get_weights()
    model_snn.fit(x_mlp, np.zeros((len(x_mlp), 3)), epochs=1, verbose=0)
    assert any((old != new).any() for old, new in zip(before, model_snn.get_weights(), strict=True))


def test_what_needs_neurons_that_lose_nothing_is_refused(mlp, x_mlp):
    model_snn = leaky_network(mlp, x_mlp, tau_m=10.0)
    with pytest.raises(ValueError, match=r"neurons that lose nothing.*hidden_relu"):
        model_snn.simulate(x_mlp, schedule="layer_synchronous")
    with pytest.raises(ValueError, match=r"'hidden_relu' has .*neuron=LeakyIntegrateAndFire\(.*tau_m=10.0\)"):
        closed_form(model_snn, x_mlp, 4)
    with pytest.raises(ValueError, match=r"do not follow from the total current. Received: LeakyIntegrateAndFire"):
        LeakyIntegrateAndFire(tau_m=3.0).counts(tf.zeros([1]), 4)


def test_values_are_printed_compared_and_rebuilt():
    neuron = LeakyIntegrateAndFire(tau_m=20.0, reset="zero")
    assert neuron == neuron_from_config(neuron.get_config())
    assert neuron != LeakyIntegrateAndFire(tau_m=21.0, reset="zero")
    assert repr(neuron) == "LeakyIntegrateAndFire(reset='zero', tau_m=20.0)"
    for wrong, message in (
        ({"model": "izhikevich"}, r"Unknown `model`.*'izhikevich'"),
        (
            {"model": "leaky_integrate_and_fire", "tau": 3.0},
            r"Unknown `parameter of LeakyIntegrateAndFire`.*Did you mean 'tau_",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            neuron_from_config(wrong)
    for tau in (0.0, -1.0, float("nan"), "20", True):
        with pytest.raises(ValueError, match=r"`tau_m` to be a positive number of ms, or infinite. Received: tau_m="):
            LeakyIntegrateAndFire(tau_m=tau)
