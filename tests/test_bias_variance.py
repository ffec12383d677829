"""Bias and variance under Poisson input, against closed forms."""

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.studies.seed_products import SeedProducts, parts_over_time

L = keras.layers
TIMESTEPS = [4, 16, 64]


@pytest.fixture(scope="module")
def linear():
    """A network with an output that is a sum of coin tosses, and another one behind neurons."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = L.Dense(8, "relu")(inputs)
    model = keras.Model(inputs, [L.Dense(3, name="out")(inputs), L.Dense(2, name="behind")(hidden)])
    x = np.random.default_rng(1).random((40, 6)).astype(np.float32)
    return model, snn.convert_keras(model, x, threshold_rule="percentile"), x


def test_the_variance_is_that_of_coin_tosses(linear):
    model, model_snn, x = linear
    found = snn.bias_and_variance(model, model_snn, x, TIMESTEPS, seeds=12)
    kernel, _ = (variable.numpy() for variable in model.get_layer("out").weights)
    largest = x.max()
    share = x / largest
    one = (share * (1 - share)) @ np.square(kernel * largest)
    power = np.square(model.predict(x, verbose=0)[0]).mean()
    for place, timesteps in enumerate(TIMESTEPS):
        assert found.outputs["out"].variance[place] == pytest.approx(one.mean() / timesteps / power, rel=0.15)
        assert abs(found.outputs["out"].squared_bias[place]) < 0.1 * found.outputs["out"].variance[place]
    slope = found.outputs["out"].variance_slope
    assert slope.value == pytest.approx(-1, abs=0.1)
    assert slope.low < -1 < slope.high
    assert found.samples == 40
    assert found.seeds == tuple(range(12))


def test_a_gain_that_is_off_is_bias_that_time_does_not_remove(linear):
    model, model_snn, x = linear
    # The same network with an output half as large again: a third of it is missing.
    louder = keras.models.clone_model(model)
    louder.set_weights(model.get_weights())
    louder.get_layer("out").set_weights([1.5 * value for value in model.get_layer("out").get_weights()])
    found = snn.bias_and_variance(louder, model_snn, x, TIMESTEPS, seeds=6)
    np.testing.assert_allclose(found.outputs["out"].squared_bias, 1 / 9, rtol=0.05)
    assert found.outputs["out"].variance[-1] < 0.1 * found.outputs["out"].variance[0]


def test_a_population_has_its_parts_too(linear):
    """Clipped input: a rate cannot be above 1, and what a population misses for it is bias."""
    _, _, x = linear
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, "relu", name="a"), L.Dense(2, name="b")])
    clipped = snn.convert_keras(model, x, threshold_rule="percentile", threshold_scale=0.4)
    whole = snn.convert_keras(model, x, threshold_rule="maximum")
    lost, kept = (
        snn.bias_and_variance(model, net, x, [32, 128], seeds=4).populations["a_relu"] for net in (clipped, whole)
    )
    assert lost.squared_bias[1] > 0.5 * lost.squared_bias[0] > 10 * kept.squared_bias[1]
    assert lost.bias_slope.value > -0.3
    assert kept.variance_slope.value < -0.7


def test_parts_are_those_of_all_errors_at_once(linear):
    """Against the definition, from outputs and rates of single runs."""
    model, model_snn, x = linear
    found = snn.bias_and_variance(model, model_snn, x, [8], seeds=[3, 5, 9], batch_size=16)
    results = [
        model_snn.simulate(x, timesteps=8, input="poisson", seed=seed, outputs="last", record="spike_counts")
        for seed in (3, 5, 9)
    ]
    name = next(iter(found.populations))
    theta = model_snn.thresholds()[name]
    activation = np.maximum(x @ model.layers[1].kernel.numpy() + model.layers[1].bias.numpy(), 0)
    for parts, values, source in [
        (found.outputs["out"], [result.outputs[0][-1] for result in results], model.predict(x, verbose=0)[0]),
        (found.populations[name], [result.sample_spike_counts[name] * theta / 8 for result in results], activation),
    ]:
        errors = np.stack(values).astype(np.float64) - source
        variance = errors.var(axis=0, ddof=1).mean()
        bias = np.square(errors.mean(axis=0)).mean() - variance / 3
        power = np.square(source, dtype=np.float64).mean()
        np.testing.assert_allclose(
            [parts.squared_bias[0], parts.variance[0]], [bias / power, variance / power], rtol=1e-4
        )


def test_it_is_shown_as_table_dictionary_and_figure(linear, tmp_path):
    model, model_snn, x = linear
    journal = snn.Journal(tmp_path / "study.json")
    found = snn.bias_and_variance(model, model_snn, x, [4, 8], seeds=[3, 5], journal=journal)
    assert "bias², T = 4" in str(found)
    assert "2 seeds, 40 samples" in str(found)
    assert found.as_dict()["seeds"] == (3, 5)
    assert set(found.as_dict()["outputs"]["out"]["variance_slope"]) == {"value", "low", "high"}
    assert [len(axes.lines) for axes in found.plot().axes] == [4, 2]
    again = snn.bias_and_variance(
        model, model_snn, x, [4, 8], seeds=[3, 5], journal=snn.Journal(tmp_path / "study.json")
    )
    assert str(again) == str(found)
    single = snn.bias_and_variance(model, model_snn, x, [4], seeds=2).outputs["out"]
    assert np.isnan(single.variance_slope.value)


@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        (1, ValueError, r"at least two seeds, each once\. Received: seeds=1"),
        ([2, 2], ValueError, r"at least two seeds, each once\. Received: seeds=\[2, 2\]"),
        ("many", TypeError, r"number of seeds or a list of them\. Received: seeds='many'"),
        ([-1, 2], ValueError, r"Expected `seed` to be an integer in"),
        (0, ValueError, r"seeds=0"),
    ],
)
def test_unusable_seeds_are_told(linear, seeds, error, message):
    model, model_snn, x = linear
    with pytest.raises(error, match=message):
        snn.bias_and_variance(model, model_snn, x, seeds=seeds)


def test_networks_in_the_wrong_places_are_told(linear):
    model, model_snn, x = linear
    with pytest.raises(TypeError, match=r"Received: SpikingModel, Functional"):
        snn.bias_and_variance(model_snn, model, x)


def test_unusable_timesteps_are_told(linear):
    model, model_snn, x = linear
    with pytest.raises(ValueError, match="Expected `timesteps` to be a positive integer"):
        snn.bias_and_variance(model, model_snn, x, [8, 0])
    with pytest.raises(
        ValueError, match=r"several numbers of timesteps, for example \[8, 16, 32\]\. Received: timesteps=4"
    ):
        snn.bias_and_variance(model, model_snn, x, 4)


def test_intervals_are_those_of_leaving_out_a_seed():
    """Against the same by hand, from variances of every choice of seeds but one."""
    errors = np.random.default_rng(0).normal(size=(5, 3, 7)) / np.sqrt([[4], [16], [64]])
    products = []
    for place in range(3):
        products.append(SeedProducts())
        # Two parts, as two batches.
        products[-1].add("a", list(errors[:, place, :4]), np.ones(4))
        products[-1].add("a", list(errors[:, place, 4:]), np.ones(3))
    found = parts_over_time([4, 16, 64], products)["a"].variance_slope
    slopes = []
    for left_out in range(5):
        kept = np.delete(errors, left_out, axis=0)
        variance = ((kept - kept.mean(0)) ** 2).sum(0).mean(1) / 3
        logs = np.log([4, 16, 64])
        centred = logs - logs.mean()
        slopes.append((centred * np.log(variance)).sum() / (centred**2).sum())
    error = np.sqrt(4 / 5 * ((np.array(slopes) - np.mean(slopes)) ** 2).sum())
    # Student's t with four degrees of freedom.
    assert (found.high - found.low) / 2 == pytest.approx(2.776 * error, rel=1e-3)
