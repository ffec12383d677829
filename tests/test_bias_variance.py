"""Bias and variance under Poisson input, against closed forms."""

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn

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
        assert found.variance["out"][place] == pytest.approx(one.mean() / timesteps / power, rel=0.15)
        assert abs(found.squared_bias["out"][place]) < 0.1 * found.variance["out"][place]
    assert found.variance_slopes["out"] == pytest.approx(-1, abs=0.1)
    for low, high in found.slope_intervals.values():
        assert low < high
    low, high = found.slope_intervals["out"]
    assert low < -1 < high
    assert "to" in str(found).splitlines()[-1]
    assert found.samples == 40
    assert found.seeds == tuple(range(12))


def test_a_gain_that_is_off_is_bias_that_time_does_not_remove(linear):
    model, model_snn, x = linear
    # The same network with an output half as large again: a third of it is missing.
    louder = keras.models.clone_model(model)
    louder.set_weights(model.get_weights())
    louder.get_layer("out").set_weights([1.5 * value for value in model.get_layer("out").get_weights()])
    found = snn.bias_and_variance(louder, model_snn, x, TIMESTEPS, seeds=6)
    np.testing.assert_allclose(found.squared_bias["out"], 1 / 9, rtol=0.05)
    assert found.variance["out"][-1] < 0.1 * found.variance["out"][0]


def test_it_is_shown_as_table_dictionary_and_figure(linear):
    model, model_snn, x = linear
    found = snn.bias_and_variance(model, model_snn, x, [4, 8], seeds=[3, 5])
    assert "squared bias" in str(found)
    assert "2 seeds, 40 samples" in str(found)
    assert found.as_dict()["seeds"] == (3, 5)
    assert len(found.plot().axes[0].lines) == 4
    assert np.isnan(snn.bias_and_variance(model, model_snn, x, [4], seeds=2).variance_slopes["out"])


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
    with pytest.raises(ValueError, match="increasing positive numbers of timesteps"):
        snn.bias_and_variance(model, model_snn, x, [8, 4])
    with pytest.raises(
        ValueError, match=r"several increasing numbers.*for example \[16, 32, 64\]. Received: timesteps=4"
    ):
        snn.bias_and_variance(model, model_snn, x, 4)


def test_standard_errors_are_those_of_leaving_out_a_seed():
    """Against the same by hand, from variances of every choice of seeds but one."""
    from snn_toolbox_tf.studies.bias_variance import _jackknife

    errors = list(np.random.default_rng(0).normal(size=(5, 3, 7)) / np.sqrt([[4], [16], [64]]))
    slopes = []
    for left_out in range(5):
        kept = np.delete(np.stack(errors), left_out, axis=0)
        variance = ((kept - kept.mean(0)) ** 2).sum(0).mean(1) / 3
        logs = np.log([4, 16, 64])
        centred = logs - logs.mean()
        slopes.append((centred * np.log(variance)).sum() / (centred**2).sum())
    expected = np.sqrt(4 / 5 * ((np.array(slopes) - np.mean(slopes)) ** 2).sum())
    assert _jackknife([4, 16, 64], errors) == pytest.approx(expected)
    assert np.isnan(_jackknife([4, 16, 64], errors[:2]))
