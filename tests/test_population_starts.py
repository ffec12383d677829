"""Populations that are told to wait: in Python, in files and flags."""

import json
import warnings

import keras
import numpy as np
import pytest
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.config import read_value, write_settings
from snn_toolbox_tf.config.settings import write_value
from snn_toolbox_tf.experiment.options import conversion_options


@pytest.fixture(scope="module")
def waiting():
    """A network of the zoo of which two populations wait, its source and its data."""
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 6)
    return snn.convert_keras(model, x, timesteps=9, population_starts={"relu1": 2, "conv2_relu": 4}), model, x


def test_populations_wait_as_long_as_they_are_told(waiting):
    model_snn, model, x = waiting
    assert model_snn.population_starts == {"relu1": 2, "conv2_relu": 4}
    spikes = model_snn.simulate(x, record="spikes").spikes
    for name, start in model_snn.population_starts.items():
        assert not spikes[name][:start].any()
        assert spikes[name][start].any()
    # Without a rule, thresholds are percentiles, the same as those of populations that do not wait.
    plain = snn.convert_keras(model, x, timesteps=9, percentile=99.9)
    assert plain.population_starts == {}
    np.testing.assert_array_equal(plain.thresholds()["conv2_relu"], model_snn.thresholds()["conv2_relu"])
    assert model_snn.conversion.threshold_rule == "percentile"
    assert not model_snn.conversion.automatic


def test_the_charge_of_the_first_timesteps_is_kept():
    """A constant current below the threshold: as many spikes as without, as long as there is time for them."""
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, "relu", use_bias=False, name="a"), keras.layers.Dense(2)]
    )
    model.layers[0].set_weights([np.eye(2)])
    data, options = np.ones((4, 2), np.float32), {"timesteps": 8, "percentile": 100, "v0": 0.0}
    x = np.array([[0.5, 1.0]])
    plain = snn.convert_keras(model, data, **options).simulate(x, record="spike_counts")
    late = snn.convert_keras(model, data, population_starts={"a_relu": 4}, **options).simulate(x, record="spike_counts")
    assert plain.spike_counts["a_relu"].tolist() == [4, 8]
    assert late.spike_counts["a_relu"].tolist() == [4, 4]


def test_a_run_that_is_over_before_they_fire_warns(waiting):
    model_snn, _, x = waiting
    message = r"In 4 timesteps, populations \['conv2_relu'\] of SpikingModel .* do not fire.*more than 4 timesteps"
    with pytest.warns(UserWarning, match=message):
        result = model_snn.simulate(x, timesteps=4, record="spike_counts")
    assert not result.spike_counts["conv2_relu"].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model_snn.simulate(x, timesteps=5)


def test_files_keep_it(waiting, tmp_path):
    model_snn, _, x = waiting
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.population_starts == loaded.conversion.population_starts == model_snn.population_starts
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model_snn.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population_starts": 4}, r"a dict of numbers of timesteps by name.*Received: population_starts=4"),
        ({"population_starts": ["hidden_relu"]}, r"`population_starts` to be a dict.*\['hidden_relu'\]"),
        (
            {"population_starts": {"hidden_relu": -1}},
            r"`population_starts\['hidden_relu'\]` to be a number.*Received: -1",
        ),
        ({"population_starts": {"hidden_relu": 1.5}}, r"a number of timesteps, 0 or more. Received: 1.5"),
        (
            {"population_starts": {"hidden_relu": 8}, "timesteps": 8},
            r"'hidden_relu' would wait for all timesteps.*less than timesteps=8. Received: 8",
        ),
        (
            {"population_starts": {"hidden": 2}},
            r"'hidden', which is no population of model 'mlp'.*\['hidden_relu'\]. Did you mean 'hidden_relu'\?",
        ),
        (
            {"population_starts": {"hidden_relu": 2}, "timesteps": "auto"},
            r"fire from the first timestep on.*Received: population_starts=\{'hidden_relu': 2\}, timesteps='auto'",
        ),
        (
            {"population_starts": {"hidden_relu": 2}, "corrections": ["biases"]},
            r"without corrections and gradients. Received: .*corrections=\['biases'\]",
        ),
        (
            {"population_starts": {"hidden_relu": 2}, "calibration": "gradient"},
            r"without corrections and gradients. Received: .*calibration='gradient'",
        ),
    ],
)
def test_starts_that_are_not_usable(mlp, x_mlp, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        snn.convert_keras(mlp, x_mlp, **arguments)


def test_no_start_is_no_restriction(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4, population_starts={"hidden_relu": 0})
    assert model_snn.conversion.automatic
    assert model_snn.population_starts == {}


@pytest.mark.parametrize("text", ["a: 4, b/c: 8", "{'a': 4, 'b/c': 8}", "[a: 4, b/c: 8,]"])
def test_starts_are_read_and_written(text, tmp_path):
    read = read_value("population_starts", text)
    assert read == (("a", 4), ("b/c", 8))
    assert write_value("population_starts", read) == "a: 4, b/c: 8"
    settings = snn.Settings().replace(population_starts={"a": 4, "b/c": 8})
    (tmp_path / "config.ini").write_text(write_settings(settings))
    assert snn.read_settings(tmp_path / "config.ini").cell == settings.cell
    assert conversion_options(settings).population_starts == {"a": 4, "b/c": 8}
    assert read_value("population_starts", "") == ()


@pytest.mark.parametrize("text", ["a", "a: x", "a: -1", ": 3", "a: 1, a: 2", "{a: 1", "'a: 1"])
def test_texts_that_are_no_starts(text):
    with pytest.raises(snn.ConfigurationError, match=r"\[cell\] population_starts: Expected .*conv1_relu: 4"):
        read_value("population_starts", text)


@pytest.mark.parametrize("value", ["a: 4", 3, {"a": 1.5}, {"a": True}, {3: 1}, ["ab"]])
def test_values_that_are_no_starts(value):
    with pytest.raises(snn.ConfigurationError, match=r"\[cell\] population_starts: Expected numbers of timesteps by"):
        snn.Settings().replace(population_starts=value)


def test_the_command_line_lets_populations_wait(mlp, x_mlp, tmp_path, capsys):
    mlp.save(tmp_path / "net.keras")
    np.savez(tmp_path / "x_norm.npz", x_mlp)
    np.savez(tmp_path / "x_test.npz", x_mlp)
    command = ["run", str(tmp_path / "net.keras"), "--timesteps=6", "--plot-vars={}", "--json"]
    assert main([*command, "--population-starts", "hiden_relu: 2"]) == 2
    assert "Did you mean 'hidden_relu'?" in json.loads(capsys.readouterr().out)["error"]
    assert main([*command, "--population-starts", "hidden_relu: 2"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["conversion"]["population_starts"] == {"hidden_relu": 2}
    assert keras.saving.load_model(result["network"]).population_starts == {"hidden_relu": 2}
