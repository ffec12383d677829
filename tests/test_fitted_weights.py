"""The correction `weights`: layers fitted to the rounding that their populations do, one after another, without labels.

That the network does what the walk through it promised is tested in test_corrections.py.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import snn_toolbox_tf as snn
from snn_toolbox_tf.corrections import Recipe, Samples, recipes_for, tried
from snn_toolbox_tf.corrections.automatic import agreement
from snn_toolbox_tf.corrections.front import Front, affine_nodes
from snn_toolbox_tf.corrections.setting import Setting
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.simulation.inputs import InputOptions

L = keras.layers
T = 4


def network_of(model, dtype=None):
    return Network(to_spiking(parse(model).graph, "accumulated"), dtype=dtype)


def rounded(kernel, bias, x, theta, v0):
    """A layer of integrate-and-fire neurons that integrate all before they fire, in NumPy."""
    return np.clip(np.floor((x @ kernel + bias) * T / theta + v0), 0, T) * theta / T


@pytest.fixture
def layer(rng):
    """One layer, what it reads, and a setting so coarse that rounding loses much."""
    keras.utils.set_random_seed(2)
    network = network_of(keras.Sequential([keras.Input((12,)), L.Dense(8, "relu", name="a"), L.Dense(3)]), "float32")
    node = next(iter(network.graph.of_type(Population)))
    x = rng.normal(size=(256, 12)).astype(np.float32)
    kernel, bias = (variable.numpy() for variable in network.layers[node.inputs[0]].weights)
    target = np.maximum(x @ kernel + bias, 0)
    setting = Setting(np.full((8,), 0.7 * target.max()), np.full((8,), 0.2), np.zeros((8,)))

    def fired(setting):
        kernel, bias = (variable.numpy() for variable in network.layers[node.inputs[0]].weights)
        return tf.constant(rounded(kernel, bias, x, setting.threshold, setting.initial_potential), tf.float32)

    nodes = affine_nodes(network.graph, [one.name for one in network.graph], node.inputs[0])
    inputs = {network.graph.input_structure: tf.constant(x)}
    front = Front(network, nodes, inputs, tf.constant(target, tf.float32), fired, lambda: None, T)
    return front, network, setting, x, target, fired


def test_fitted_weights_lose_less_on_samples_that_they_were_not_fitted_to(layer):
    front, network, setting, *_ = layer
    new = np.random.default_rng(9).normal(size=(2000, 12)).astype(np.float32)

    def error():
        kernel, bias = (variable.numpy() for variable in network.layers["a"].weights)
        ours = rounded(kernel, bias, new, setting.threshold, setting.initial_potential)
        return np.square(ours - np.maximum(new @ source[0] + source[1], 0)).mean()

    source = [variable.numpy() for variable in network.layers["a"].weights]
    before = error()
    assert front.fit(setting)
    assert error() < 0.85 * before


def test_weights_that_do_no_better_are_not_taken(layer, monkeypatch):
    front, network, setting, *_ = layer
    before = [variable.numpy() for variable in network.layers["a"].weights]
    monkeypatch.setattr("snn_toolbox_tf.corrections.front.RATES", (100.0, 30.0))
    assert not front.fit(setting)
    for variable, value in zip(network.layers["a"].weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.fixture(scope="module")
def deep():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((16,)), *(L.Dense(48, "relu") for _ in range(4)), L.Dense(6)])
    # Data of few dimensions, as real data are.
    generator = np.random.default_rng(3)
    return model, (generator.normal(size=(800, 3)) @ generator.normal(size=(3, 16))).astype(np.float32)


@pytest.mark.few(1)
@pytest.mark.parametrize("schedule", ["step", "layer_synchronous"])
def test_fitted_weights_agree_more_and_leave_the_source_alone(deep, schedule, tmp_path):
    model, x = deep
    source, expected = model.get_weights(), model.predict(x[600:], verbose=0)
    rule = {"threshold_rule": "mean_square_error", "timesteps": T, "schedule": schedule}
    plain = snn.convert_keras(model, x[:600], corrections=["initial_potentials", "thresholds"], **rule)
    fitted = snn.convert_keras(model, x[:600], corrections=["initial_potentials", "thresholds", "weights"], **rule)
    outputs = fitted.predict(x[600:], verbose=0)
    ours, theirs = (agreement(o, expected, slice(None)) for o in (outputs, plain.predict(x[600:], verbose=0)))
    assert ours.error < 0.97 * theirs.error
    for before, after in zip(source, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert fitted.conversion.calibrated_timesteps == T
    assert fitted.conversion.grid_error < 1e-3
    fitted.save(tmp_path / "a.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "a.keras").predict(x[600:], verbose=0), outputs)


def test_weights_are_fitted_only_where_they_may_change(mlp, x_mlp):
    assert not any(recipe.fits_weights for recipe in recipes_for(1000))
    assert any(recipe.fits_weights for recipe in recipes_for(1000, fit_weights=True))
    record = snn.convert_keras(mlp, x_mlp, timesteps=T).conversion
    assert record.trials
    assert not any("weights" in str(trial) for trial in record.trials)


def test_calibration_by_gradient_starts_from_fitted_weights(mlp, rng):
    model, x = mlp, rng.random((200, 6), dtype=np.float32)
    settings = snn.GradientCalibration(epochs=1, samples=128)
    with_weights = snn.convert_keras(model, x, timesteps=T, calibration=settings)
    assert any("+weights" in str(trial) for trial in with_weights.conversion.trials)
    without = snn.GradientCalibration(epochs=1, samples=128, train_weights=False)
    record = snn.convert_keras(model, x, timesteps=T, calibration=without).conversion
    assert not any("weights" in str(trial) for trial in record.trials)


def test_few_samples_fit_nothing(deep):
    """A quarter is held out, and a step needs a batch: below that, weights stay."""
    model, x = deep
    network = network_of(model)
    (name,) = keras.tree.flatten(network.graph.input_structure)
    for node in network.graph.of_type(Population):
        node.threshold = node.channel_vector(1.0)
    (trial,) = tried(
        network, Samples({name: x[:20]}, None), Recipe("custom", corrections=("weights",)), T, InputOptions()
    )
    for node, key, variable in network.weights():
        np.testing.assert_allclose(trial.weights[node.name, key], variable.numpy(), rtol=1e-6)
