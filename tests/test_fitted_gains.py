"""Gains and biases that are fitted to measured rates, and what makes up for the delay of synaptic filters."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.corrections import CORRECTIONS, Recipe, Samples, recipes_for, tried, write_settings
from snn_toolbox_tf.corrections.automatic import agreement
from snn_toolbox_tf.corrections.delays import delays, settled_from
from snn_toolbox_tf.corrections.setting import Observation, Setting
from snn_toolbox_tf.corrections.write import amplify
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.simulation.inputs import InputOptions

L = keras.layers
T = 60


def observed(current, target, neuron, timesteps=T):
    node = Population("a", ["b"], current.shape[1:], threshold=np.ones((1,)), neuron=neuron)
    return Observation(node, tf.constant(current, tf.float32), tf.constant(target, tf.float32), timesteps)


def network_of(model):
    return Network(to_spiking(parse(model).graph, "accumulated"))


# One population


def test_the_line_is_that_of_numpy(rng):
    """Hard reset at a constant current I: a spike every ceil(theta / I) timesteps."""
    current = rng.uniform(0.05, 0.9, (300, 2))
    target = current * [1.0, 3.0] + [0.0, 0.2]
    seen = observed(current, target, IntegrateAndFire(reset="zero", v0=0.0))
    rates = np.floor(T / np.ceil(1.0 / current)) / T
    slope, intercept = seen.line(Setting.of(seen.node, per_channel=True))
    for channel in range(2):
        expected = np.polyfit(rates[:, channel], target[:, channel], 1)
        np.testing.assert_allclose([slope[channel], intercept[channel]], expected, rtol=1e-4)


def test_channels_that_never_fire_keep_what_they_have():
    seen = observed(np.full((40, 2), -1.0), np.zeros((40, 2)), IntegrateAndFire(reset="zero"))
    slope, intercept = seen.line(Setting.of(seen.node, per_channel=True))
    np.testing.assert_array_equal([slope, intercept], [[1.0, 1.0], [0.0, 0.0]])


def test_a_gain_gives_back_what_a_neuron_loses_at_each_spike():
    """Input that is lost in one refractory timestep: of currents of 1/2, 2/3 come out, and a gain of 3/2 is exact."""
    current = np.full((40, 1), 0.5)
    seen = observed(current, current, IntegrateAndFire(tau_ref=1.0, refractory_input="lost", v0=0.0))
    setting = Setting.of(seen.node, per_channel=True)
    assert seen.errors(setting).mean == pytest.approx(1 / 3 - 1 / 2)
    # All rates are alike, so that a slope through them is not determined; two currents determine it.
    two = np.repeat([[0.25], [0.5]], 20, axis=0)[np.random.default_rng(0).permutation(40)]
    seen = observed(two, two, IntegrateAndFire(tau_ref=1.0, refractory_input="lost", v0=0.0))
    found = CORRECTIONS["gains"](seen, setting)
    assert found.gain > 1.1
    assert found.threshold == pytest.approx(found.gain)
    assert seen.errors(found).square < 0.25 * seen.errors(setting).square


def test_spikes_stay_where_they_are_and_stand_for_more(rng):
    current = rng.normal(size=(30, 3)) * 0.3
    seen = observed(current, np.maximum(current, 0), LeakyIntegrateAndFire(tau_m=9.0))
    setting = Setting.of(seen.node, per_channel=True)
    factor = np.array([1.0, 2.0, 0.5])
    before = seen.errors(setting).mean + np.maximum(current, 0).mean(axis=0)
    after = seen.errors(setting.taller(factor)).mean + np.maximum(current, 0).mean(axis=0)
    np.testing.assert_allclose(after, before * factor, atol=1e-5)


def test_what_does_no_better_on_other_samples_is_refused(rng):
    """The line fits 30 samples well, and the 10 behind them, on which it is judged, are as they should be already."""
    current = rng.uniform(0.0, 0.9, (40, 1))
    target = current.copy()
    target[:30] *= 2
    seen = observed(current, target, IntegrateAndFire(), timesteps=500)
    setting = Setting.of(seen.node, per_channel=True)
    slope, _ = seen.part(slice(30)).line(setting)
    assert slope == pytest.approx(2.0, rel=0.05)
    found = CORRECTIONS["gains"](seen, setting)
    np.testing.assert_array_equal(found.threshold, setting.threshold)
    np.testing.assert_array_equal(found.bias, setting.bias)


def test_a_bounded_population_keeps_its_bound():
    node = Population("a", ["b"], (1,), threshold=np.full((1,), 1.0), neuron=IntegrateAndFire(reset="zero"))
    node.max_value = np.ones(())
    current = tf.constant(np.linspace(0.05, 0.9, 40)[:, np.newaxis], tf.float32)
    seen = Observation(node, current, tf.minimum(2 * current, 1.0), T)
    assert CORRECTIONS["gains"](seen, Setting.of(node, per_channel=True)).threshold <= 1.0


# The whole network

LOSING = {
    "hard reset": IntegrateAndFire(reset="zero"),
    "refractory": IntegrateAndFire(tau_ref=1.0, refractory_input="lost"),
    "leaky": LeakyIntegrateAndFire(tau_m=10.0),
    "plain": IntegrateAndFire(),
}


@pytest.mark.long
@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("builder", "neuron"),
    [
        *zip([zoo.branches, zoo.residual, zoo.cnn, zoo.channels_first], LOSING, strict=True),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in itertools.product([zoo.residual, zoo.branches], LOSING)
        ),
    ],
)
def test_the_network_does_what_the_walk_through_it_promised(builder, neuron):
    """Gains in weights and in layers of their own, and the source's activations without them."""
    model, timesteps = zoo.build(builder), 16
    x = zoo.data_for(model, 40)
    network = network_of(model)
    for node in network.graph.of_type(Population):
        node.threshold, node.neuron = node.channel_vector(1.0), LOSING[neuron]
    (name,) = keras.tree.flatten(network.graph.input_structure)
    samples = Samples({name: x[:30]}, {name: x[30:]})
    (trial, *_) = tried(network, samples, Recipe("custom", corrections=("gains", "biases")), timesteps, InputOptions())
    if neuron != "plain":
        assert any((setting.gain != 1.0).any() for setting in trial.settings.values() if setting.gain is not None)
    before = network.decoded_ann_outputs({name: x[30:]})
    write_settings(network.graph, trial.settings)
    model_snn = snn.SpikingModel(network.graph, timesteps=timesteps)
    got = agreement(model_snn.predict(x[30:], verbose=0), model.predict(x[30:], verbose=0), slice(None))
    assert got.error == pytest.approx(trial.agreement.error, rel=0.05, abs=1e-3)
    after = Network(model_snn.network.graph_with_weights()).decoded_ann_outputs({name: x[30:]})
    for one, other in zip(keras.tree.flatten(before), keras.tree.flatten(after), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_gain_goes_into_the_layer_in_front_or_into_one_of_its_own(rng):
    inputs = keras.Input((4,))
    shared = L.Dense(5, name="shared")(inputs)
    total = L.Add(name="total")([L.Dense(5, name="branch")(L.ReLU(name="left")(shared)), shared])
    behind = L.ReLU(name="behind")(L.Dense(3, name="lone")(L.ReLU(name="right")(total)))
    graph = network_of(keras.Model(inputs, L.Dense(2, name="out")(behind))).graph
    kernel = graph["lone"].layer.weights["kernel"]
    for name in ("behind", "right"):
        node = graph[name]
        amplify(graph, node, np.arange(1.0, 1.0 + node.shape[0]))
    np.testing.assert_allclose(graph["lone"].layer.weights["kernel"], kernel * [1.0, 2.0, 3.0])
    assert graph["behind"].inputs == ["lone"]
    assert graph["right"].inputs == ["right_gain"]
    np.testing.assert_array_equal(graph["right_gain"].layer.weights["factor"], [1.0, 2.0, 3.0, 4.0, 5.0])


def test_gains_are_tried_for_neurons_that_are_not_plain():
    assert not any("gains" in recipe.corrections for recipe in recipes_for(1000))
    assert sum("gains" in recipe.corrections for recipe in recipes_for(1000, fit_gains=True)) == 1


@pytest.fixture(scope="module")
def two_layers():
    keras.utils.set_random_seed(0)
    hidden = [L.Dense(16, "relu", name=name, bias_initializer="random_normal") for name in ("a", "b")]
    return keras.Sequential([keras.Input((8,)), *hidden, L.Dense(3)])


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).random((80, 8), dtype=np.float32)


def error(model, model_snn, x):
    return agreement(model_snn.predict(x, verbose=0), model.predict(x, verbose=0), slice(None)).error


@pytest.mark.long
def test_converted_networks_keep_their_gains(two_layers, x, tmp_path):
    """In both forms, saved, and compared: what the source's activations are does not depend on gains."""
    neuron = IntegrateAndFire(tau_ref=1.0, refractory_input="lost")
    plain, fitted = (
        snn.convert_keras(two_layers, x, timesteps=T, neuron=neuron, threshold_rule="maximum", corrections=names)
        for names in ((), ("gains", "gains"))
    )
    assert fitted.network.graph["a_relu"].added_gain is not None
    assert error(two_layers, fitted, x) < 0.8 * error(two_layers, plain, x)
    fitted.save(tmp_path / "fitted.keras")
    loaded = keras.saving.load_model(tmp_path / "fitted.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), fitted.predict(x, verbose=0))
    theirs, ours = (snn.compare(two_layers, one, x[:20]) for one in (plain, loaded))
    activations = keras.Model(two_layers.inputs, two_layers.layers[0].output).predict(x[:20], verbose=0)
    theta = fitted.thresholds()["a_relu"]
    assert ours.populations[0].largest == pytest.approx(float((activations / theta).max()), rel=1e-3)
    assert ours.populations[0].added < theirs.populations[0].added


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corrections": ["gains", "weights"]}, "Expected 'gains' behind 'weights'"),
        ({"corrections": ["gains"], "calibration": "gradient"}, "Expected corrections without 'gains'"),
    ],
)
def test_what_does_not_go_together_is_refused(two_layers, x, arguments, message):
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(two_layers, x, **arguments)


def test_thresholds_are_the_same_however_often_they_are_set(x):
    """A bound of 6 and weights that make each other up: thresholds are raised, and not above what the bound allows."""
    model = keras.Sequential(
        [keras.Input((8,)), L.Dense(4), L.ReLU(max_value=6.0, name="a"), L.Dense(4), L.ReLU(6.0), L.Dense(2)]
    )
    kernel = np.concatenate([np.full((2, 4), 4e4), np.full((2, 4), -4e4)])
    model.layers[2].set_weights([kernel, np.ones(4)])
    options = {"neuron": IntegrateAndFire(tau_ref=1.0), "threshold_rule": "maximum"}
    once = snn.convert_keras(model, x, **options).thresholds()
    assert max(float(theta.max()) for theta in once.values()) <= 12.0
    twice = snn.convert_keras(model, x, **options, corrections=["biases"]).thresholds()
    for name, theta in once.items():
        np.testing.assert_allclose(np.broadcast_to(theta, twice[name].shape), twice[name], rtol=1e-6)


# Delays


def test_delays_add_up_along_the_latest_path():
    inputs = keras.Input((4,))
    first = L.ReLU(name="first")(L.Dense(4)(inputs))
    second = L.ReLU(name="second")(L.Dense(4)(first))
    total = L.Add(name="total")([first, second])
    graph = network_of(keras.Model(inputs, L.Dense(2, name="out")(total))).graph
    for node, tau in zip(graph.of_type(Population), (2.0, 5.0), strict=True):
        node.neuron = IntegrateAndFire(tau_s=tau)
    lates = [math.exp(-1 / tau) / (1 - math.exp(-1 / tau)) for tau in (2.0, 5.0)]
    spreads = [math.exp(-1 / tau) / (1 - math.exp(-1 / tau)) ** 2 for tau in (2.0, 5.0)]
    assert delays(graph)["total"] == pytest.approx((sum(lates), sum(spreads)))
    assert settled_from(graph, 1000) == math.ceil(sum(lates) + 2 * math.sqrt(sum(spreads)))
    assert settled_from(graph, 20) == 10


def test_what_a_filter_has_not_passed_on_yet_is_its_delay(rng):
    """A steady current I through a filter brings (T - delay) I in T timesteps, once it has settled."""
    neuron = IntegrateAndFire(tau_s=4.0, v0=0.0)
    kept = neuron.synaptic_retention
    passed = np.cumsum((1 - kept) * kept ** np.arange(400))
    assert passed.sum() == pytest.approx(400 - neuron.synaptic_delay, rel=1e-9)


def test_readouts_leave_the_transient_out(two_layers, x):
    neuron = IntegrateAndFire(tau_s=4.0)
    model_snn = snn.convert_keras(two_layers, x, timesteps=128, neuron=neuron, percentile=100)
    assert model_snn.readout_start == settled_from(model_snn.network.graph, 128) > 0
    settled = error(two_layers, model_snn, x)
    model_snn.readout_start = 0
    assert settled < 0.5 * error(two_layers, model_snn, x)
    assert snn.convert_keras(two_layers, x, timesteps=128, percentile=100).readout_start == 0


def test_initial_potentials_take_back_what_biases_do_before_spikes_come(x):
    """A bias of 1/8 that comes 4.5 timesteps before the spikes, in thresholds of the second population."""
    model = keras.Sequential(
        [keras.Input((8,)), L.Dense(4, "relu", name="a"), L.Dense(4, "relu", name="b"), L.Dense(2)]
    )
    model.layers[1].bias.assign([0.125, -0.125, 0.0, 4.0])
    neuron = IntegrateAndFire(tau_s=5.0)
    graph = snn.convert_keras(
        model, x, neuron=neuron, threshold_rule=lambda s: {n: np.ones(1) for n in s}
    ).network.graph
    assert graph["a_relu"].initial_potential is None
    late = neuron.synaptic_delay
    expected = np.clip([0.5 - 0.125 * late, 0.5 + 0.125 * late, 0.5, 0.5 - 4 * late], -4.0, 1.0)
    np.testing.assert_allclose(graph["b_relu"].initial_potential.ravel(), expected, rtol=1e-6)
