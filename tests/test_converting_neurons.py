"""Conversion to neurons other than integrate-and-fire: headroom, compensation, what is saved and exported, refusals."""

import importlib.resources

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire

T = 64


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x.astype("float32").reshape(-1, 8, 8, 1) / 16, y


@pytest.fixture(scope="module")
def cnn():
    with importlib.resources.as_file(
        importlib.resources.files("snn_toolbox_tf") / "example_files/digits_cnn.keras"
    ) as path:
        return keras.saving.load_model(path)


def error(model, model_snn, x):
    ours, theirs = model_snn.predict(x, verbose=0), model.predict(x, verbose=0)
    return float(np.abs(ours - theirs).mean())


NEURONS = {
    "leaky": LeakyIntegrateAndFire(tau_m=100.0),
    "refractory, integrating": IntegrateAndFire(tau_ref=1.0),
    "refractory, losing": IntegrateAndFire(tau_ref=1.0, refractory_input="lost"),
    "filtered": IntegrateAndFire(tau_s=2.0),
}


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
def test_accuracy_stays_near_that_of_plain_neurons(neuron, cnn, digits):
    x, y = digits
    plain = snn.convert_keras(cnn, x[:500], timesteps=T)
    other = snn.convert_keras(cnn, x[:500], timesteps=T, neuron=neuron)
    right = [(m.predict(x[1200:], verbose=0).argmax(1) == y[1200:]).mean() for m in (plain, other)]
    assert right[1] > right[0] - 0.02
    assert other.network.graph.of_type(Population)[0].neuron == neuron
    assert "all populations" in other.conversion.neurons


def test_compensation_gives_back_what_a_leak_takes(cnn, digits):
    """The same thresholds: with the current that makes up for the leak, the error is less than half."""
    x, _ = digits
    leaky = LeakyIntegrateAndFire(tau_m=50.0)
    compensated = snn.convert_keras(cnn, x[:500], timesteps=256, neuron=leaky, percentile=99.9)
    graph = snn.convert_keras(cnn, x[:500], timesteps=256, percentile=99.9).network.graph_with_weights()
    for node in graph.of_type(Population):
        node.neuron = leaky
    left_alone = snn.SpikingModel(graph, timesteps=256)
    assert error(cnn, compensated, x[:200]) < 0.5 * error(cnn, left_alone, x[:200])


def test_rates_leave_room_for_refractory_periods(cnn, digits):
    x, _ = digits
    plain = snn.convert_keras(cnn, x[:500], percentile=99.9).thresholds()
    resting = snn.convert_keras(cnn, x[:500], percentile=99.9, neuron=IntegrateAndFire(tau_ref=2.0)).thresholds()
    for name, theta in plain.items():
        np.testing.assert_allclose(resting[name], theta * 3 / 0.8, rtol=1e-6)


@pytest.mark.long
def test_other_neurons_are_saved_exported_and_streamed(cnn, digits, tmp_path):
    x = digits[0][:20]
    name = next(iter(snn.convert_keras(cnn, x, percentile=99.9).thresholds()))
    neuron = {name: LeakyIntegrateAndFire(tau_m=30.0, tau_ref=1.0, tau_s=1.5)}
    model_snn = snn.convert_keras(cnn, x, timesteps=12, percentile=99.9, neuron=neuron, dt=0.5)
    kinds = {node.name: node.neuron for node in model_snn.network.graph.of_type(Population)}
    assert kinds[name].dt == 0.5
    assert kinds[name].tau_m == 30.0
    assert all(kind.is_plain for other, kind in kinds.items() if other != name)
    expected = model_snn.predict(x, verbose=0)
    model_snn.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "net.keras").predict(x, verbose=0), expected)
    served = keras.layers.TFSMLayer(snn.export_serving(model_snn, tmp_path / "served"), call_endpoint="serving_default")
    (outputs,) = keras.tree.flatten(served(x))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    for _ in range(12):
        streamed = model_snn.step(x)
    np.testing.assert_array_equal(streamed, expected)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"neuron": "lif"}, TypeError, "Expected `neuron` to be a value of `snn_toolbox_tf.neurons`"),
        ({"neuron": {"nowhere": IntegrateAndFire()}}, ValueError, "`neuron` names 'nowhere', which is no population"),
        ({"dt": 1.0}, ValueError, "Expected `neuron` with it. Received: dt=1.0"),
        ({"neuron": IntegrateAndFire(), "dt": 0.0}, ValueError, "Expected `dt` to be a positive number of ms"),
        (
            {"neuron": IntegrateAndFire(), "v0": 0.0},
            ValueError,
            "Expected `v0`, `reset` and `signed_spikes` as parameters",
        ),
        ({"neuron": IntegrateAndFire(), "calibration": "gradient"}, ValueError, "Expected neuron=None with it"),
        (
            {"neuron": LeakyIntegrateAndFire(tau_m=9.0), "schedule": "layer_synchronous"},
            ValueError,
            "needs neurons that lose nothing",
        ),
        ({"neuron": IntegrateAndFire(), "code": "latency"}, ValueError, "options of rate code mean nothing there"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, kind, message, cnn, digits):
    with pytest.raises(kind, match=message):
        snn.convert_keras(cnn, digits[0][:20], **arguments)


def test_the_current_that_compensates_follows_from_leak_and_resting_potential():
    """With it, a neuron fires as its input says, less what leaks within a timestep; without it, at other rates."""
    assert IntegrateAndFire(tau_ref=3.0).compensating_current == 0.0
    currents = np.linspace(0.1, 0.6, 41)
    for v_rest in (-0.25, 0.25, 0.75):
        neuron, errors = LeakyIntegrateAndFire(tau_m=20.0, v_rest=v_rest), {}
        for name, added in (("without", 0.0), ("with", neuron.compensating_current)):
            current = tf.constant(np.tile(currents + added, (2000, 1, 1)), tf.float32)
            train = ops.integrate_fire(current, tf.fill([1, 41], 0.5), tf.constant(1.0), timesteps=2000, neuron=neuron)
            errors[name] = float((train.spikes.numpy().mean(axis=(0, 1)) - neuron.input_gain * currents).mean())
        assert abs(errors["with"]) < 0.001
        assert errors["without"] * (v_rest - 0.5) > 0.001
