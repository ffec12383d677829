"""Recurrent layers: windows of the same neurons, against Keras, and against loops over windows and timesteps in NumPy."""

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import ClosedForm
from snn_toolbox_tf.graph import Population, Synapse
from snn_toolbox_tf.network import Network
from snn_toolbox_tf.parse import parse
from snn_toolbox_tf.passes import to_spiking
from tests.engines import assert_engines_agree

L = keras.layers
STEPS, FEATURES, UNITS = 5, 4, 6
X = np.random.default_rng(0).random((32, STEPS, FEATURES)).astype(np.float32)


def rnn(units=UNITS, **options):
    return L.SimpleRNN(units, **{"activation": "relu", "recurrent_initializer": "orthogonal", **options})


def model_of(*layers, shape=(STEPS, FEATURES)):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input(shape), *layers])
    generator = np.random.default_rng(1)
    for layer in model.layers:
        layer.set_weights([w if w.ndim > 1 else generator.normal(0, 0.1, w.shape) for w in layer.get_weights()])
    return model


MODELS = {
    "plain": lambda: model_of(rnn(name="rnn"), L.Dense(3)),
    "without bias": lambda: model_of(rnn(use_bias=False), L.Dense(3)),
    "bounded": lambda: model_of(rnn(activation="relu6"), L.Dense(3)),
    "as output": lambda: model_of(L.Dense(5, "relu"), rnn()),
    "backwards": lambda: model_of(rnn(go_backwards=True, return_sequences=True), L.Flatten(), L.Dense(3)),
    "stacked": lambda: model_of(
        rnn(return_sequences=True, dropout=0.5), rnn(5, recurrent_dropout=0.5), L.Dense(3)
    ),
    "sequence": lambda: model_of(rnn(return_sequences=True), L.TimeDistributed(L.Dense(3))),
    "cells": lambda: model_of(
        L.RNN([L.SimpleRNNCell(4, activation="relu"), L.SimpleRNNCell(5, activation="relu")]), L.Dense(3)
    ),
    "concat": lambda: model_of(L.Bidirectional(rnn(return_sequences=True)), L.Flatten(), L.Dense(3)),
    "sum": lambda: model_of(L.Bidirectional(rnn(), merge_mode="sum"), L.Dense(3)),
    "ave": lambda: model_of(L.Bidirectional(rnn(return_sequences=True), merge_mode="ave"), rnn(3), L.Dense(3)),
    "one step": lambda: model_of(rnn(), L.Dense(3), shape=(1, FEATURES)),
    "convolutions": lambda: model_of(
        L.TimeDistributed(L.Conv2D(3, 3, activation="relu")), L.TimeDistributed(L.Flatten()), rnn(), L.Dense(3),
        shape=(4, 5, 5, 1),
    ),
}  # fmt: skip
WINDOWS = {"one step": 1, "convolutions": 4, "ave": 2 * STEPS - 1}


def both():
    inputs = keras.Input((STEPS, FEATURES))
    ways = L.Bidirectional(rnn(), merge_mode=None)(inputs)
    return keras.Model(inputs, L.Dense(3)(L.Concatenate()(list(ways))))


MODELS["both ways"] = both


def converted(model, x=X, **options):
    return snn.convert_keras(model, x, **{"percentile": 100, "timesteps": 16, **options})


@pytest.mark.few(6)
@pytest.mark.parametrize("name", MODELS)
def test_the_unrolled_network_is_the_source(name):
    model = MODELS[name]()
    x = np.random.default_rng(2).random((8, *model.input_shape[1:])).astype(np.float32)
    network = Network(to_spiking(parse(model).graph))
    (source,) = [node.name for node in network.graph if not node.inputs]
    ours = network.decoded_ann_outputs({source: x})
    np.testing.assert_allclose(ours, model.predict(x, verbose=0), atol=2e-5)
    tied = [node for node in network.graph.of_type(Population) if node.tied]
    assert tied
    model_snn = converted(model, x)
    assert model_snn.windows == WINDOWS.get(name, STEPS)
    assert model_snn.latency == 16 * model_snn.windows


def rows(model_snn):
    """The normalised weights and analog currents of the plain model: what both NumPy loops are made from."""
    graph = model_snn.graph_on_grid()
    back = [node.layer.weights["kernel"] for node in graph.of_type(Synapse) if node.tied == "rnn/recurrent"]
    kernel, bias = (graph["rnn"].layer.weights[name] for name in ("kernel", "bias"))
    bits = [graph[f"rnn_input_{step}_grid"].layer.config["bits"] for step in range(STEPS)]
    currents = X.astype(np.float64) @ kernel + bias
    return [np.round(currents[:, step] * 2.0 ** bits[step]) / 2.0 ** bits[step] for step in range(STEPS)], back


def test_windows_share_everything():
    for model_snn in (converted(MODELS["plain"]()), converted(MODELS["plain"](), percentile=None)):
        graph = model_snn.graph_on_grid()
        _, back = rows(model_snn)
        assert len(back) == STEPS - 1
        assert all(np.array_equal(back[0], kernel) for kernel in back)
        thetas = [model_snn.thresholds()[f"rnn_step_{step}"] for step in range(STEPS)]
        assert all(np.array_equal(thetas[0], theta) for theta in thetas)
        populations = graph.of_type(Population)
        assert {node.tied for node in populations} == {"rnn"}
        assert all(np.array_equal(node.v0, populations[0].v0) for node in populations)
        # Input and recurrent weights and their biases, once each.
        assert sum(weight.shape == (UNITS, UNITS) for weight in model_snn.weights) == 1


def test_thresholds_are_those_of_all_windows_together():
    model = MODELS["plain"]()
    sequence = keras.Sequential([keras.Input((STEPS, FEATURES)), rnn(return_sequences=True)])
    sequence.layers[0].set_weights(model.layers[0].get_weights())
    largest = sequence.predict(X, verbose=0).max(axis=(0, 1))
    theta = converted(model).thresholds()["rnn_step_2"].reshape(-1)
    np.testing.assert_allclose(theta[largest > 0], largest[largest > 0], rtol=1e-5)


def test_layer_synchronous_is_the_quantised_network():
    timesteps = 16
    model_snn = converted(MODELS["plain"](), schedule="layer_synchronous", timesteps=timesteps)
    result = model_snn.simulate(X, record=["spike_counts"])
    closed, _ = ClosedForm(model_snn)(X, timesteps)
    inputs, back = rows(model_snn)
    counts = np.zeros((len(X), UNITS))
    for step in range(STEPS):
        current = timesteps * inputs[step] + (counts @ back[0] if step else 0.0) + 0.5
        counts = np.clip(np.floor(current), 0, timesteps)
        np.testing.assert_array_equal(result.sample_spike_counts[f"rnn_step_{step}"], counts)
        np.testing.assert_array_equal(closed[f"rnn_step_{step}"], counts)


def test_step_by_step_is_a_delay_line():
    timesteps = 12
    model_snn = converted(MODELS["plain"](), timesteps=timesteps)
    result = model_snn.simulate(X, record=["spikes"])
    inputs, back = rows(model_snn)
    line = [np.zeros((len(X), UNITS))] * timesteps
    for time in range(STEPS * timesteps):
        window, timestep = divmod(time, timesteps)
        if timestep == 0:
            potential = np.full((len(X), UNITS), 0.5, np.float32)
        current = inputs[window] + line.pop(0) @ back[0]
        potential = potential + current.astype(np.float32)
        spikes = (potential >= 1).astype(np.float32)
        potential = potential - spikes
        line.append(spikes)
        np.testing.assert_array_equal(result.spikes[f"rnn_step_{window}"][timestep], spikes)


def test_all_windows_have_one_neuron_and_one_start():
    other = snn.neurons.IntegrateAndFire(tau_ref=1.0)
    first, second = (rnn(name=name, return_sequences=name == "first") for name in ("first", "second"))
    model_snn = converted(model_of(first, second, L.Dense(3)), timesteps=32, neuron={"first": other})
    found = {(node.tied, node.neuron) for node in model_snn.graph_on_grid().of_type(Population)}
    assert found == {("first", other), ("second", snn.neurons.IntegrateAndFire())}
    waiting = converted(MODELS["plain"](), timesteps=32, population_starts={"rnn": 4})
    assert waiting.population_starts == {f"rnn_step_{step}": 4 for step in range(STEPS)}
    for argument, value in (("neuron", other), ("population_starts", 4)):
        with pytest.raises(ValueError, match=rf"`{argument}` names 'rnn_step_0'.*Expected names of \['rnn'\]"):
            converted(MODELS["plain"](), **{argument: {"rnn_step_0": value}})


def test_corrections_of_recurrent_neurons_are_told():
    with pytest.raises(ValueError, match=r"All neurons of model .*\('rnn'\) are recurrent.*Leave `corrections` out"):
        converted(MODELS["plain"](), corrections=["biases"])
    with pytest.warns(UserWarning, match="Corrections are not made for recurrent neurons: those of 'simple_rnn"):
        converted(MODELS["as output"](), corrections=["biases"])


def test_spikes_that_are_taken_back_come_nearer_to_the_source():
    model = MODELS["stacked"]()
    expected = model.predict(X, verbose=0)
    plain, signed = (
        np.abs(converted(model, timesteps=32, signed_spikes=which).predict(X, verbose=0) - expected).mean()
        for which in (False, True)
    )
    assert signed < 0.8 * plain


@pytest.mark.long
def test_it_converges_to_the_source():
    model = MODELS["stacked"]()
    expected = model.predict(X, verbose=0)
    errors = [np.abs(converted(model, timesteps=t).predict(X, verbose=0) - expected).mean() for t in (32, 128, 512)]
    slope = np.polyfit(np.log([32, 128, 512]), np.log(errors), 1)[0]
    assert -1.4 < slope < -0.6, errors


@pytest.mark.long
def test_engines_saving_and_serving(tmp_path):
    model_snn = converted(MODELS["stacked"]())
    assert_engines_agree(model_snn, X)
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model_snn.predict(X, verbose=0))
    assert (loaded.windows, loaded.latency) == (STEPS, 16 * STEPS)
    result = loaded.simulate(X[:4])
    result.save(tmp_path / "result.npz")
    assert snn.SimulationResult.load(tmp_path / "result.npz").latency == result.latency == 16 * STEPS
    assert f"{STEPS} windows, {16 * STEPS} timesteps for a sequence" in str(loaded.conversion)
    snn.export_serving(model_snn, tmp_path / "served")


@pytest.mark.parametrize("input", ["poisson", "frames"])
def test_other_input(input):
    model = MODELS["plain"]()
    frames = np.repeat(X[:, np.newaxis], 64, 1)
    x = frames if input == "frames" else X
    model_snn = converted(model, x, input=input, timesteps=64)
    ours, expected = model_snn.predict(x, verbose=0), model.predict(X, verbose=0)
    assert np.corrcoef(ours.reshape(-1), expected.reshape(-1))[0, 1] > 0.9


def test_fine_tuning_keeps_windows_equal():
    model_snn = converted(MODELS["plain"](), timesteps=4)
    model_snn.compile(keras.optimizers.SGD(0.1), "mse")
    before = rows(model_snn)[1][0]
    model_snn.fit(X, np.zeros((len(X), 3)), verbose=0)
    after = rows(model_snn)[1]
    assert not np.array_equal(before, after[0])
    assert all(np.array_equal(after[0], kernel) for kernel in after)


def given_a_state():
    inputs, state = keras.Input((STEPS, FEATURES)), keras.Input((UNITS,))
    return keras.Model([inputs, state], L.Dense(3)(rnn()(inputs, initial_state=state)))


def with_its_state():
    inputs = keras.Input((STEPS, FEATURES))
    return keras.Model(inputs, L.Dense(3)(rnn(return_state=True)(inputs)[1]))


class OwnCell(L.SimpleRNNCell):
    pass


def stateful():
    inputs = keras.Input((STEPS, FEATURES), batch_size=4)
    return keras.Model(inputs, L.Dense(3)(rnn(stateful=True)(inputs)))


REFUSED = {
    "LSTM": (lambda: model_of(L.LSTM(3), L.Dense(3)), "LSTM.: it is recurrent with gates.*SimpleRNN"),
    "GRU cell": (lambda: model_of(L.RNN(L.GRUCell(3)), L.Dense(3)), "RNN.: it is recurrent with gates"),
    "ConvLSTM": (
        lambda: model_of(L.ConvLSTM1D(2, 3), L.Flatten(), L.Dense(3), shape=(4, 6, 2)), "it is recurrent with gates",
    ),
    "two gated ways": (lambda: model_of(L.Bidirectional(L.GRU(3)), L.Dense(3)), "Bidirectional.: .*with gates"),
    "tanh": (lambda: model_of(rnn(activation="tanh"), L.Dense(3)), "activation='tanh'.*retrain it with activation='relu'"),
    "linear": (lambda: model_of(rnn(activation=None), L.Dense(3)), "activation='linear'"),
    "own cell": (lambda: model_of(L.RNN(OwnCell(3, activation="relu")), L.Dense(3)), "with a cell that the converter"),
    "stateful": (stateful, "it is stateful.*stateful=False"),
    "initial state": (given_a_state, "its state is given from outside"),
    "returned state": (with_its_state, "return_state=False"),
    "product": (lambda: model_of(L.Bidirectional(rnn(), merge_mode="mul"), L.Dense(3)), "merge_mode='concat'"),
    "mask": (lambda: model_of(L.Masking(), rnn(), L.Dense(3)), "skip the steps that it masks"),
}  # fmt: skip


@pytest.mark.few(6)
@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    make, message = REFUSED[name]
    with pytest.raises(snn.UnsupportedModelError, match=message):
        snn.convert_keras(make())


def test_unknown_lengths_and_gradients_are_refused():
    with pytest.raises(ValueError, match="every axis but the batch must have a fixed size"):
        snn.convert_keras(keras.Sequential([keras.Input((None, FEATURES)), rnn(), L.Dense(3)]))
    with pytest.raises(ValueError, match="is recurrent, and calibration by gradient would"):
        converted(MODELS["plain"](), calibration="gradient", percentile=None)


def test_layer_synchronously_there_is_one_window_more():
    model_snn = converted(MODELS["plain"](), timesteps=8, schedule="layer_synchronous")
    assert (model_snn.windows, model_snn.latency) == (STEPS + 1, 8 * (STEPS + 1))
    assert model_snn.simulate(X).latency == model_snn.latency
    assert model_snn.simulate(X, schedule="step").latency == 8 * STEPS


def test_check_knows_the_names_that_conversion_knows():
    named = snn.check(MODELS["plain"](), neuron={"rnn": snn.neurons.IntegrateAndFire(tau_ref=1.0)})
    assert "refractory for 1 ms" in next(row for row in named.rows if row.name == "rnn").reason
    with pytest.raises(ValueError, match="Unknown `neuron`"):
        snn.check(MODELS["plain"](), neuron={"rnn_step_0": snn.neurons.IntegrateAndFire()})


def test_check_tells_of_windows():
    row = next(row for row in snn.check(MODELS["plain"]()).rows if row.name == "rnn")
    assert (row.becomes, row.reason) == (
        "population",
        "6 integrate-and-fire neurons, in 5 windows, one per step of the sequence",
    )
