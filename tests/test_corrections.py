"""Corrections: each against NumPy, a closed form, or the network that they promise."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from conftest import mostly_slow

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.calibration.histogram import PositiveHistogram
from snn_toolbox_tf.calibration.reservoir import Reservoir
from snn_toolbox_tf.calibration.threshold_rules import THRESHOLD_RULES, RuleSettings
from snn_toolbox_tf.corrections import (
    CORRECTIONS,
    Recipe,
    Samples,
    best_of,
    recipes_for,
    tried,
    write_settings,
    write_weights,
)
from snn_toolbox_tf.corrections.automatic import Agreement, Trial, agreement
from snn_toolbox_tf.corrections.setting import Observation, Setting
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from snn_toolbox_tf.simulation.inputs import InputOptions

L = keras.layers
T = 8


# Threshold rules


def histogram_of(values):
    histogram = PositiveHistogram(values.shape[1])
    histogram.add(values)
    return histogram


def test_the_least_squared_error_is_the_one_that_trying_finds(rng):
    values = np.maximum(rng.normal(size=(20_000, 3)) * [1.0, 5.0, 0.01], 0).astype(np.float32)
    found = THRESHOLD_RULES["mean_square_error"]({"a": histogram_of(values)}, RuleSettings(timesteps=T))["a"]
    for channel, theta in enumerate(found):
        largest = values[:, channel].max()

        def error(theta, channel=channel):
            spikes = np.clip(np.floor(values[:, channel] * T / theta + 0.5), 0, T)
            return np.square(spikes * theta / T - values[:, channel]).mean()

        least = min(error(largest * share / 100) for share in range(1, 101))
        assert error(theta) == pytest.approx(least, rel=1e-2)
        assert error(theta) < error(largest)


def test_more_timesteps_allow_for_larger_thresholds(rng):
    histogram = histogram_of(np.abs(rng.normal(size=(20_000, 1))).astype(np.float32))
    rule = THRESHOLD_RULES["mean_square_error"]
    few, many = (rule({"a": histogram}, RuleSettings(timesteps=t))["a"][0] for t in (2, 64))
    assert few < many <= histogram.maximum[0]


def test_balanced_thresholds_are_those_of_gradient_descent(rng):
    values = rng.exponential(size=(20_000, 2)).astype(np.float32) * [1.0, 3.0]
    theta = np.zeros(2)
    for _ in range(400):
        theta = theta + 2 * np.maximum(values - theta, 0).mean(axis=0)
    found = THRESHOLD_RULES["local_threshold_balancing"]({"a": histogram_of(values)}, RuleSettings())["a"]
    np.testing.assert_allclose(found, theta, rtol=5e-3)


@pytest.mark.parametrize("rule", THRESHOLD_RULES)
def test_rules_give_dead_channels_none(rule):
    histogram = histogram_of(np.array([[0.0, 1.0], [-1.0, 2.0]], np.float32))
    dead, alive = THRESHOLD_RULES[rule]({"a": histogram}, RuleSettings())["a"]
    assert dead == 0
    assert 0 < alive <= 2


# The reservoir


def test_a_reservoir_keeps_a_fair_draw_in_bounded_memory():
    counts = np.zeros(100)
    for seed in range(300):
        reservoir = Reservoir(count=10, seed=seed)
        for start in range(0, 100, 7):
            reservoir.add({"x": np.arange(start, min(start + 7, 100), dtype=np.float32)[:, None]})
        kept = reservoir.samples(100)["x"].astype(int).ravel()
        assert len(set(kept)) == len(kept) == len(reservoir) == 10
        counts[kept] += 1
    # 30 are expected of each, with a standard deviation of 5.2.
    assert counts.min() > 10
    assert counts.max() < 55
    assert abs(counts[:50].sum() - counts[50:].sum()) < 300


def test_a_reservoir_holds_no_more_bytes_than_it_may():
    reservoir = Reservoir(count=1000, memory=4096)
    reservoir.add({"x": np.zeros((100, 256), np.float32)})
    assert len(reservoir) == 4


# One population


def numpy_counts(current, theta, v0, bias):
    """Integrate and fire with soft reset, `[timesteps, batch, channels]`."""
    v = np.broadcast_to(v0 * theta, current.shape[1:]).astype(np.float64).copy()
    spikes = np.zeros(current.shape[1:])
    for step in current:
        v += step + bias
        fired = v >= theta
        v[fired] -= np.broadcast_to(theta, v.shape)[fired]
        spikes += fired
    return spikes


@pytest.fixture
def observation(rng):
    """Currents that are excitatory first, and inhibited later: what a deep population receives."""
    steady = rng.normal(size=(200, 3)) * [1.0, 0.5, 2.0]
    current = steady + rng.normal(size=(T, 200, 3)) * 0.7
    current[0] += 1.0
    node = Population("a", ["b"], (3,), threshold=np.full((1,), 1.5))
    target = np.maximum(steady, 0)
    return Observation(node, tf.constant(current, tf.float32), tf.constant(target, tf.float32), T), current, target


def test_errors_are_those_of_a_simulation_in_numpy(observation):
    seen, current, target = observation
    setting = Setting(np.array([1.0, 0.5, 3.0]), np.array([0.5, -0.25, 0.0]), np.array([0.1, 0.0, -0.2]))
    errors = seen.errors(setting)
    counts = numpy_counts(current, setting.threshold, setting.initial_potential, setting.bias)
    difference = counts * setting.threshold / T - target
    np.testing.assert_allclose(errors.square, np.square(difference).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(errors.mean, difference.mean(axis=0), atol=1e-5)
    assert seen.relative_error(setting) == pytest.approx(
        np.sqrt(np.square(difference).mean() / np.square(target).mean()), rel=1e-4
    )


def test_errors_of_one_setting_for_all_channels_are_averaged(observation):
    seen, current, target = observation
    setting = Setting(np.array([2.0]), np.array([0.5]), np.array([0.0]))
    difference = numpy_counts(current, 2.0, 0.5, 0.0) * 2.0 / T - target
    np.testing.assert_allclose(seen.errors(setting).square, [np.square(difference).mean()], rtol=1e-4)


@pytest.mark.parametrize("name", ["thresholds", "initial_potentials"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_what_is_searched_never_gets_worse(observation, name, per_channel):
    seen, *_ = observation
    start = Setting.of(seen.node, per_channel=per_channel)
    found = CORRECTIONS[name](seen, start)
    assert found.threshold.size == (3 if per_channel else 1)
    assert (seen.errors(found).square <= seen.errors(start).square).all()
    assert seen.errors(found).square.sum() < 0.95 * seen.errors(start).square.sum()


def test_biases_take_the_mean_error_away(observation):
    seen, *_ = observation
    start = Setting.of(seen.node, per_channel=True)
    before, after = seen.errors(start).mean, seen.errors(CORRECTIONS["biases"](seen, start)).mean
    assert np.abs(after).sum() < 0.5 * np.abs(before).sum()


def test_the_shift_gives_the_same_counts_for_a_constant_current(rng):
    """Deng & Gu: theta/2T at every timestep is theta/2 at the end."""
    current = np.round(rng.normal(size=(500, 1)) * 64) / 64
    node = Population("a", ["b"], (1,), threshold=np.full((1,), 1.0))
    seen = Observation(node, tf.constant(current, tf.float32), tf.constant(np.maximum(current, 0), tf.float32), T)
    start = Setting.of(node, per_channel=True)
    shifted = CORRECTIONS["shift"](seen, start)
    assert shifted.initial_potential.tolist() == [0.0]
    assert shifted.bias.tolist() == [0.5 / T]
    np.testing.assert_array_equal(seen.errors(shifted).square, seen.errors(start).square)
    # One timestep less, and they differ.
    early = Observation(node, tf.constant(current, tf.float32), tf.constant(np.maximum(current, 0), tf.float32), T - 1)
    assert early.errors(shifted).square[0] != early.errors(start).square[0]


def test_thresholds_stay_below_the_bound_of_the_relu(rng):
    current = np.abs(rng.normal(size=(300, 2))).astype(np.float32)
    bound = np.array([0.5, 4.0])
    node = Population("a", ["b"], (2,), threshold=bound.copy(), max_value=bound)
    seen = Observation(node, tf.constant(current), tf.constant(np.minimum(current, bound), tf.float32), T)
    assert (CORRECTIONS["thresholds"](seen, Setting.of(node, per_channel=True)).threshold <= bound).all()


def test_each_neuron_gets_what_it_lacks(observation):
    seen, current, target = observation
    start = Setting.of(seen.node, per_channel=True)
    found = CORRECTIONS["neuron_potentials"](seen, start)
    missing = T * (target - numpy_counts(current, 1.5, 0.5, 0.0) * 1.5 / T).mean(axis=0) / 1.5
    np.testing.assert_allclose(found.initial_potential, 0.5 + np.clip(missing, -0.5, 0.5), atol=1e-4)


def test_timed_biases_make_every_timesteps_mean_spike_the_mean_activation(observation):
    seen, current, target = observation
    found = CORRECTIONS["timed_biases"](seen, Setting.of(seen.node, per_channel=True))
    assert found.timed_bias.shape == (T, 3)
    v, means = np.full((200, 3), 0.75), []
    for step, bias in zip(current, found.timed_bias, strict=True):
        v = v + step + bias
        fired = v >= 1.5
        v -= 1.5 * fired
        means.append((1.5 * fired).mean(axis=0))
    expected = target.mean(axis=0)
    before = seen.errors(Setting.of(seen.node, per_channel=True)).mean
    assert np.abs(np.mean(means, axis=0) - expected).sum() < 0.5 * np.abs(before).sum()
    # The first timestep, too, in which all of them would fire.
    assert np.abs(means[0] - expected).max() < 0.25 * expected.max()
    assert (found.timed_bias[0] < 0).all()


def test_layer_synchronous_errors_are_those_of_the_closed_form(observation):
    _, current, target = observation
    node = Population("a", ["b"], (3,), threshold=np.full((1,), 1.5))
    tensors = (tf.constant(current, tf.float32), tf.constant(target, tf.float32))
    seen = Observation(node, *tensors, T, "layer_synchronous")
    counts = np.clip(np.floor(current.sum(axis=0) / 1.5 + 0.5), 0, T)
    expected = np.square(counts * 1.5 / T - target).mean(axis=0)
    np.testing.assert_allclose(seen.errors(Setting.of(node, per_channel=True)).square, expected, rtol=1e-3)


# The whole network


def network_of(model):
    return Network(to_spiking(parse(model).graph, "accumulated"))


WAYS = [
    ("biases", "initial_potentials", "thresholds"),
    ("shift",),
    ("neuron_potentials",),
    ("timed_biases",),
    ("thresholds", "weights", "biases"),
]
NETWORKS = [zoo.channels_first, zoo.branches, zoo.cnn, zoo.residual, zoo.volume_pooling]
#: Each way with one network, and weights with one more, which has two outputs.
KEPT = [*zip(WAYS, NETWORKS, strict=True), (WAYS[-1], zoo.branches)]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "walk",
    mostly_slow(itertools.product(WAYS, NETWORKS), KEPT),
    ids=lambda walk: "-".join([*walk[0], walk[1].__name__]),
)
def test_the_network_does_what_the_walk_through_it_promised(walk):
    """Two ways to the same outputs: population by population with whatever it is given, and the converted network."""
    corrections, builder = walk
    # Weights are fitted to many samples.
    fitted, held_out = (160, 40) if "weights" in corrections else (30, 10)
    model = zoo.build(builder)
    x = zoo.data_for(model, fitted + held_out)
    network = network_of(model)
    for node in network.graph.of_type(Population):
        node.threshold = node.channel_vector(1.0)
    (name,) = keras.tree.flatten(network.graph.input_structure)
    samples = Samples({name: x[:fitted]}, {name: x[fitted:]})
    before = {(node.name, key): variable.numpy() for node, key, variable in network.weights()}
    timesteps = 4 if "weights" in corrections else T
    (trial, *_) = tried(network, samples, Recipe("custom", corrections=corrections), timesteps, InputOptions())
    changed = [key for key, value in trial.weights.items() if (value != before[key]).any()]
    assert bool(changed) == ("weights" in corrections)
    write_weights(network.graph, trial.weights)
    write_settings(network.graph, trial.settings)
    model_snn = snn.SpikingModel(network.graph, timesteps=timesteps)
    expected = model.predict(x[fitted:], verbose=0)
    got = agreement(model_snn.predict(x[fitted:], verbose=0), expected, slice(None))
    # Initial potentials are rounded to 2^-8 of a threshold, which a spike in a few hundred notices.
    assert got.error == pytest.approx(trial.agreement.error, rel=0.05, abs=1e-3)


def test_a_bias_goes_where_only_its_population_reads_it(rng):
    """Into the layer in front, through a sum, or into a layer of its own where others read the current, too."""
    inputs = keras.Input((4,))
    shared = L.Dense(5, name="shared")(inputs)
    left = L.ReLU(name="left")(shared)
    total = L.Add(name="total")([L.Dense(5, name="branch")(left), shared])
    model = keras.Model(inputs, L.Dense(2, name="out")(L.ReLU(name="right")(total)))
    network = network_of(model)
    x = rng.normal(size=(20, 4)).astype(np.float32)
    biases = {"left": rng.normal(size=5), "right": rng.normal(size=5)}
    settings = {name: Setting(np.ones(5), np.full(5, 0.5), bias) for name, bias in biases.items()}
    before = Network(network.graph.copy())
    write_settings(network.graph, settings)
    after = Network(network.graph)
    name = before.graph.input_structure
    expected = before.run(
        {name: tf.constant(x, before.input_dtype(name))},
        population=lambda node, current: tf.nn.relu(current + tf.constant(biases[node.name], current.dtype)),
    )["out"]
    biased = after.run(
        {name: tf.constant(x, after.input_dtype(name))}, population=lambda node, current: tf.nn.relu(current)
    )
    np.testing.assert_allclose(biased["out"], expected, rtol=1e-4, atol=1e-5)
    # As an ANN it remains the source.
    np.testing.assert_allclose(after.run_as_ann({name: x})["out"], model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert "left_bias" in after.graph
    assert "right_bias" not in after.graph


@pytest.fixture(scope="module")
def deep():
    """A network whose populations disturb each other, and what it was trained on, so to speak."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((16,)), *(L.Dense(48, "relu") for _ in range(4)), L.Dense(6)])
    return model, np.random.default_rng(3).normal(size=(400, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def found(deep):
    """That network, converted as it is unless told otherwise; not to be changed."""
    model, x = deep
    return snn.convert_keras(model, x[:300], timesteps=T)


@pytest.fixture(scope="module")
def signed(deep):
    """Likewise, with signed spikes."""
    model, x = deep
    return snn.convert_keras(model, x[:300], timesteps=T, signed_spikes=True)


@pytest.fixture(scope="module")
def synchronous(deep):
    """Likewise, layer by layer."""
    model, x = deep
    return snn.convert_keras(model, x[:300], timesteps=T, schedule="layer_synchronous")


def test_what_is_found_agrees_more_than_percentiles_do(deep, found):
    model, x = deep
    plain = snn.convert_keras(model, x[:300], timesteps=T, threshold_rule="percentile")
    expected = model.predict(x[300:], verbose=0)
    ours, theirs = (agreement(network.predict(x[300:], verbose=0), expected, slice(None)) for network in (found, plain))
    assert ours.error < 0.9 * theirs.error
    assert ours.decisions >= theirs.decisions
    record = found.conversion
    assert record.calibrated_timesteps == T
    assert len(record.trials) == 2
    assert "percentile per channel, no corrections" in str(record.trials[0])
    assert plain.conversion.trials == ()
    assert plain.conversion.calibrated_timesteps is None


def test_it_is_the_same_every_time(deep, found):
    model, x = deep
    again = snn.convert_keras(model, x[:300], timesteps=T)
    np.testing.assert_array_equal(again.predict(x[:50], verbose=0), found.predict(x[:50], verbose=0))


def test_what_was_found_is_saved(deep, found, tmp_path):
    _, x = deep
    assert any(node.initial_potential is not None for node in found.network.graph.of_type(Population))
    found.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), found.predict(x, verbose=0))
    assert loaded.conversion.as_dict() == found.conversion.as_dict()


def test_what_was_found_spikes_alike_in_both_forms(deep, found):
    model, x = deep
    original = snn.convert_keras(model, x[:300], timesteps=T, form="unnormalized")
    assert original.conversion.corrections == found.conversion.corrections != ()
    expected, result = (network.simulate(x[:50], record="spike_counts") for network in (found, original))
    for name, counts in expected.sample_spike_counts.items():
        assert np.abs(result.sample_spike_counts[name] - counts).sum() <= 0.001 * counts.sum()


def test_the_closed_form_knows_initial_potentials(deep, found):
    _, x = deep
    counts, _ = closed_form(found, x[:20], T)
    result = found.simulate(x[:20], schedule="layer_synchronous", record="spike_counts")
    for name, expected in counts.items():
        np.testing.assert_array_equal(result.sample_spike_counts[name], expected)


def test_few_samples_try_one_threshold_per_population_too(deep):
    model, x = deep
    trials = snn.convert_keras(model, x[:40], timesteps=T).conversion.trials
    assert any("per population" in str(trial) for trial in trials)
    assert len(recipes_for(1000)) < len(recipes_for(40)) == len(trials)


def test_too_few_samples_leave_nothing_to_compare(deep):
    model, x = deep
    with pytest.warns(UserWarning, match=r"Received 8 calibration samples.*at least 16.*Thresholds are percentiles"):
        record = snn.convert_keras(model, x[:8], timesteps=T).conversion
    assert record.threshold_rule == "percentile"
    assert record.trials == ()


def test_where_all_thresholds_were_trained_nothing_is_found(rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(8), snn.layers.ThresholdReLU(0.5), L.Dense(3)])
    x = rng.normal(size=(40, 4)).astype(np.float32)
    record = snn.convert_keras(model, x, timesteps=T, corrections=["biases"]).conversion
    assert record.corrections == ()
    with pytest.raises(ValueError, match=r"All thresholds of model .* were trained.*Give a number of timesteps"):
        snn.convert_keras(model, x, timesteps="auto")


def test_what_would_not_fit_into_memory_is_not_searched(deep, monkeypatch):
    monkeypatch.setattr("snn_toolbox_tf.corrections.stages.LARGEST_TENSOR", 4 * 48 * T - 1)
    model, x = deep
    with pytest.raises(
        ValueError, match=r"need a tensor of more than half a gigabyte.*8 timesteps.*corrections=\['biases'\]"
    ):
        snn.convert_keras(model, x, timesteps=T, corrections=["biases"])
    assert snn.convert_keras(model, x, timesteps=T).conversion.trials == ()
    assert snn.convert_keras(model, x, timesteps=T - 1).conversion.trials != ()


@pytest.mark.parametrize(
    "given", [{"percentile": 99}, {"per_channel": True}, {"v0": 0.5}, {"threshold_scale": 1.0}, {"reset": "zero"}]
)
def test_what_is_given_is_taken_as_it_is(deep, given):
    model, x = deep
    record = snn.convert_keras(model, x, timesteps=T, **given).conversion
    assert record.threshold_rule == "percentile"
    assert record.corrections == ()
    assert record.trials == ()


def test_corrections_by_name_are_made_in_order(deep):
    model, x = deep
    record = snn.convert_keras(
        model, x, timesteps=T, threshold_rule="maximum", corrections=["shift", "biases"]
    ).conversion
    assert record.threshold_rule == "maximum"
    assert record.corrections == ("shift", "biases")
    assert record.calibrated_timesteps == T


def test_thresholds_that_were_trained_stay(rng):
    model = zoo.build(zoo.trained_thresholds)
    x = zoo.data_for(model, 64)
    model_snn = snn.convert_keras(model, x, timesteps=4)
    trained = {
        layer.name: np.asarray(layer.threshold) for layer in model.layers if isinstance(layer, snn.layers.ThresholdReLU)
    }
    assert trained
    for name, theta in trained.items():
        np.testing.assert_allclose(model_snn.thresholds()[name].ravel(), np.ravel(theta), rtol=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["signed", "synchronous"])
def test_other_neurons_and_schedules_are_calibrated_and_kept(deep, found, name, tmp_path, request):
    model, x = deep
    model_snn = request.getfixturevalue(name)
    expected = model.predict(x[300:], verbose=0)
    plain = found.predict(x[300:], verbose=0)
    outputs = model_snn.predict(x[300:], verbose=0)
    assert agreement(outputs, expected, slice(None)).error < agreement(plain, expected, slice(None)).error
    np.testing.assert_allclose(outputs, model_snn.simulate(x[300:], outputs="last").outputs[-1], atol=1e-5)
    model_snn.save(tmp_path / "a.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "a.keras").predict(x[300:], verbose=0), outputs)
    model_snn.export(tmp_path / "served")
    served = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    (got,) = served(**{name: tf.constant(x[300:])}).values()
    np.testing.assert_allclose(got, outputs, atol=1e-5)


def test_a_layer_synchronous_network_is_its_closed_form(deep, synchronous):
    _, x = deep
    _, expected = closed_form(synchronous, x[:20], T)
    np.testing.assert_allclose(synchronous.predict(x[:20], verbose=0), expected, atol=1e-5)


def test_signed_spikes_are_recorded_with_their_sign(deep, signed):
    _, x = deep
    result = signed.simulate(x[:50], record=["spikes", "spike_counts"])
    taken_back = 0
    for name, spikes in result.spikes.items():
        assert spikes.dtype == np.int8
        taken_back += (spikes < 0).sum()
        np.testing.assert_array_equal(spikes.sum(axis=0, dtype=int), result.sample_spike_counts[name])
    assert taken_back > 0
    signed.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"has signed spikes, which have no surrogate gradient.*signed_spikes=False"):
        signed.fit(x[:2], np.zeros((2, 6)), verbose=0)


def test_a_layer_synchronous_network_has_no_single_timesteps(deep, synchronous):
    _, x = deep
    with pytest.raises(ValueError, match=r"fires only when all timesteps have been integrated.*schedule='step'"):
        synchronous.step(x[:2])
    synchronous.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"has schedule='layer_synchronous', which has no surrogate gradient"):
        synchronous.fit(x[:2], np.zeros((2, 6)), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "layers"}, r"`schedule`.*'layers'"),
        ({"schedule": "layer_synchronous", "reset": "zero"}, r"needs neurons that lose nothing, with reset='subtract'"),
        (
            {"schedule": "layer_synchronous", "signed_spikes": True},
            r"no spike to take back. Expected signed_spikes=False",
        ),
        (
            {"schedule": "layer_synchronous", "input": "frames"},
            r"takes no frames. Expected input 'analog' or 'poisson'",
        ),
        ({"signed_spikes": "yes"}, r"`signed_spikes` to be True or False. Received: signed_spikes='yes'"),
    ],
)
def test_schedules_and_neurons_that_do_not_go_together_are_told(deep, arguments, message):
    model, x = deep
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(model, x, timesteps=T, **arguments)


# What is told


def test_another_number_of_timesteps_is_told(deep, found):
    _, x = deep
    model_snn = keras.models.clone_model(found)
    with pytest.warns(UserWarning, match=r"made for 8 timesteps, and it is run for 16.*Convert with timesteps=16"):
        model_snn.simulate(x[:2], timesteps=16)
    with pytest.warns(UserWarning, match=r"made for 8 timesteps, and it is run for 3"):
        model_snn.simulate(x[:2], outputs=[3])
    with pytest.warns(UserWarning, match=r"made for 8 timesteps, and it is run for 4"):
        model_snn.timesteps = 4


def test_poor_agreement_is_told_with_the_place_and_the_remedy(deep):
    model, x = deep
    with pytest.warns(
        UserWarning,
        match=r"With 1 timesteps the spiking network agrees with model 'sequential.*' on .* % of .* held out. Most is lost "
        r"at 'dense.*', whose rates are off by .* %. Try timesteps=2, more calibration data \(there are 400 samples\)",
    ):
        snn.convert_keras(model, x, timesteps=1)


def test_the_error_of_a_population_is_where_it_rises_most():
    trial = Trial(Recipe("custom"), {}, {"a": 0.1, "b": 0.15, "c": 0.4, "d": 0.3, "e": 0.5}, None)
    assert trial.worst_population == "c"


def test_what_is_within_uncertainty_is_decided_by_the_error():
    def trial(decisions, error):
        return Trial(Recipe("custom"), {}, {}, Agreement(100, decisions, error))

    first, second, third = trial(0.90, 0.5), trial(0.91, 0.6), trial(0.70, 0.1)
    assert best_of([first, second, third]) is first
    assert best_of([]) is None


# The smallest number of timesteps


@pytest.fixture(scope="module")
def shallow():
    """A network with which many numbers of timesteps are soon tried."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((16,)), *(L.Dense(48, "relu") for _ in range(3)), L.Dense(6)])
    return model, np.random.default_rng(3).normal(size=(300, 16)).astype(np.float32)


@pytest.mark.slow
def test_the_smallest_number_of_timesteps_is_found(shallow):
    model, x = shallow
    model_snn = snn.convert_keras(model, x, timesteps="auto", tolerance=0.1)
    assert 1 <= model_snn.timesteps <= 64
    assert model_snn.conversion.calibrated_timesteps == model_snn.timesteps
    assert model_snn.conversion.agreement >= 0.9
    stricter = snn.convert_keras(model, x, timesteps="auto", tolerance=0.02)
    assert stricter.timesteps > model_snn.timesteps


def test_a_tolerance_out_of_reach_is_told(shallow, monkeypatch):
    monkeypatch.setattr("snn_toolbox_tf.conversion.search.LARGEST_TIMESTEPS", 4)
    model, x = shallow
    with pytest.warns(UserWarning, match=r"does not reach an agreement of 1 with 4 timesteps.*larger `tolerance`"):
        model_snn = snn.convert_keras(model, x, timesteps="auto", tolerance=0.0)
    assert model_snn.timesteps == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"timesteps": "automatic"},
            r"`timesteps` to be a positive integer or 'auto'. Received: timesteps='automatic'",
        ),
        ({"tolerance": 1.0}, r"`tolerance` to be in \[0, 1\).*Received: tolerance=1.0"),
        ({"tolerance": float("nan")}, r"`tolerance` to be in \[0, 1\)"),
        ({"corrections": ["bias"]}, r"`corrections`.*'bias'"),
        ({"corrections": "biases"}, r"`corrections` to be a list of names.*Received: corrections='biases'"),
        ({"corrections": 3}, r"`corrections` to be a list of names.*Received: corrections=3"),
        ({"corrections": ["timed_biases", "biases"]}, r"Expected 'timed_biases' at the end"),
        ({"corrections": ["neuron_potentials", "shift"]}, r"Expected 'neuron_potentials' behind 'shift'"),
        ({"corrections": ["biases"], "input": "frames"}, r"need input='analog' or 'poisson'.*input='frames'"),
        ({"timesteps": "auto", "input": "frames"}, r"need input='analog' or 'poisson'.*timesteps='auto'"),
        ({"corrections": ["timed_biases"], "schedule": "layer_synchronous"}, r"corrections without 'timed_biases'"),
        ({"threshold_rule": "mse"}, r"`threshold_rule`.*'mse'"),
    ],
)
def test_unusable_arguments_are_told(deep, arguments, message):
    model, x = deep
    with pytest.raises((ValueError, TypeError), match=message):
        snn.convert_keras(model, x, **arguments)


def test_automatic_timesteps_need_samples_to_compare(deep):
    model, x = deep
    with pytest.raises(ValueError, match=r"Expected at least 16 samples.*Received: 8 samples"):
        snn.convert_keras(model, x[:8], timesteps="auto")
    for given in ({"corrections": ["biases"]}, {"threshold_rule": "maximum"}):
        with pytest.raises(ValueError, match=r"look at samples. Expected `calibration_data`.*calibration_data=None"):
            snn.convert_keras(model, **given)
    with pytest.raises(ValueError, match=r"`timesteps='auto'` needs `calibration_data`"):
        snn.convert_keras(model, timesteps="auto")


def test_the_settings_know_all_rules_and_corrections():
    from snn_toolbox_tf.config import calibration_sections

    assert tuple(THRESHOLD_RULES) == calibration_sections.THRESHOLD_RULES
    assert tuple(CORRECTIONS) == calibration_sections.CORRECTIONS
