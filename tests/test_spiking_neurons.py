"""Neurons as a Keras layer, against hand-computed spike trains and the closed-form transfer function."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from snn_toolbox_tf import SpikingNeurons, ops
from snn_toolbox_tf.neurons import IntegrateAndFire


def neurons(v0=0.5, reset="subtract", **kwargs):
    return SpikingNeurons(neuron=IntegrateAndFire(v0=v0, reset=reset), **kwargs)


def run(current, **kwargs):
    """Steps one neuron through a list of currents; returns its spikes and membrane potentials."""
    layer = neurons(**kwargs)
    state = layer.get_initial_state(1, input_shape=(None, 1))
    train, potential = [], []
    for value in current:
        spikes, state = layer(tf.constant([[value]]), state)
        train.append(float(spikes[0, 0]))
        potential.append(float(state[0, 0]))
    return train, potential


def test_soft_reset_keeps_the_excess():
    train, potential = run([0.75] * 4, v0=0.0)
    assert train == [0, 1, 1, 1]
    assert potential == [0.75, 0.5, 0.25, 0.0]


def test_hard_reset_drops_the_excess():
    train, potential = run([0.75] * 4, v0=0.0, reset="zero")
    assert train == [0, 1, 0, 1]
    assert potential == [0.75, 0.0, 0.75, 0.0]


def test_threshold_ties_fire_and_negative_current_inhibits():
    train, potential = run([0.5, -1.0, 1.5, 0.5], threshold=1.0, v0=0.5)
    assert train == [1, 0, 0, 1]
    assert potential == [0.0, -1.0, 0.5, 0.0]


def test_spike_height_threshold_and_v0_in_units_of_the_threshold():
    train, potential = run([1.0, 1.0, 1.0], threshold=2.0, v0=0.5, spike_height="threshold")
    assert train == [2.0, 0.0, 2.0]
    assert potential == [0.0, 1.0, 0.0]


def test_one_spike_per_timestep_at_most():
    train, potential = run([3.0, 0.0, 0.0, 0.0], v0=0.0)
    assert train == [1, 1, 1, 0]
    assert potential == [2.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("timesteps", [1, 7, 32])
@pytest.mark.parametrize("v0", [0.0, 0.5])
def test_constant_current_gives_the_closed_form_transfer_function(timesteps, v0):
    current = np.arange(-64, 97, dtype=np.float32)[np.newaxis] / 64
    layer = neurons(v0=v0)
    state = layer.get_initial_state(1, input_shape=current.shape)
    spikes, *_ = layer.integrate(tf.constant(current), state, timesteps=timesteps)
    expected = np.clip(np.floor(timesteps * current + v0), 0, timesteps)
    np.testing.assert_array_equal(spikes.numpy().sum(axis=0), expected)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_a_block_equals_single_steps(rng, reset):
    current = tf.constant(rng.normal(size=(9, 3, 4, 5)).astype(np.float32))
    layer = neurons(threshold=[0.5, 1.0, 2.0, 0.25], axis=1, reset=reset)
    first = layer.get_initial_state(3, input_shape=current.shape[1:])
    spikes, after, _, trace, _ = layer.integrate(current, first, timesteps=9, return_trace=True)
    state = first
    for step in range(9):
        one, state = layer(current[step], state)
        np.testing.assert_array_equal(one, spikes[step])
        np.testing.assert_array_equal(state, trace[step])
    np.testing.assert_array_equal(after, state)


def test_integrate_then_fire_emits_as_many_spikes_as_fit():
    current = tf.constant([[[0.75, -1.0, 2.0]]] * 4)
    spikes, v = ops.integrate_then_fire(
        current, tf.fill([1, 3], 0.5), tf.constant(1.0), IntegrateAndFire(), timesteps=4
    )
    np.testing.assert_array_equal(spikes.numpy().sum(axis=0), [[3, 0, 4]])
    np.testing.assert_array_equal(spikes[:, 0, 0], [1, 1, 1, 0])
    np.testing.assert_array_equal(v, [[0.5, -3.5, 4.5]])


def test_infinite_potential_stays_infinite_and_is_no_nan():
    for reset, expected in (("subtract", np.inf), ("zero", 0.0)):
        spikes, v, *_ = ops.integrate_fire(
            tf.constant([[np.inf]]),
            tf.zeros([1, 1]),
            tf.constant(1.0),
            timesteps=2,
            neuron=IntegrateAndFire(reset=reset),
        )
        np.testing.assert_array_equal(spikes[:, 0, 0], [1, 1])
        assert float(v[0, 0]) == expected


def test_works_in_a_keras_rnn(rng):
    current = rng.random((2, 6, 3), dtype=np.float32)
    spikes = keras.layers.RNN(neurons(), return_sequences=True)(current)
    layer = neurons()
    state = layer.get_initial_state(2, input_shape=(None, 3))
    expected, *_ = layer.integrate(tf.constant(current.transpose(1, 0, 2)), state, timesteps=6)
    np.testing.assert_array_equal(spikes, expected.numpy().transpose(1, 0, 2))


def test_stateful_in_a_keras_model_remembers_until_reset():
    layer = neurons(v0=0.0, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(1, 2)), layer])
    current = np.array([[0.5, 0.25]], np.float32)
    trains = [model.predict(current, verbose=0)[0].tolist() for _ in range(4)]
    assert trains == [[0, 0], [1, 0], [0, 0], [1, 1]]
    assert model.weights == []
    model.predict(current, verbose=0)
    layer.reset_state()
    assert model.predict(current, verbose=0)[0].tolist() == [0, 0]
    assert model.predict(current, verbose=0)[0].tolist() == [1, 0]


def test_stateful_refuses_another_batch_size_without_reset():
    layer = neurons(stateful=True, name="population")
    layer(tf.zeros([2, 3]))
    with pytest.raises(ValueError, match=r"'population' is stateful and holds the state of 2 samples.*batch of 4"):
        layer(tf.zeros([4, 3]))
    layer.reset_state()
    assert layer(tf.zeros([4, 3])).shape == (4, 3)


def test_stateful_needs_a_fixed_batch_size():
    layer = neurons(stateful=True, name="population")
    with pytest.raises(ValueError, match=r"'population' is stateful and needs a fixed batch size.*batch_shape"):
        tf.function(layer, input_signature=[tf.TensorSpec([None, 3])])(tf.zeros([2, 3]))


def test_config_round_trip():
    layer = neurons(threshold=[1.0, 2.0], v0=0.25, reset="zero", spike_height="threshold", axis=1)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"threshold": 0.0}, r"`threshold` to be a positive number.*threshold=0.0"),
        ({"threshold": [1.0, float("nan")]}, r"`threshold` to be a positive number"),
        ({"v0": float("inf")}, r"`v0` to be a finite number.*v0=inf"),
        ({"reset": "modulo"}, r"Unknown `reset`. Expected one of \('subtract', 'zero'\).*'modulo'"),
        ({"spike_height": "tall"}, r"Unknown `spike_height`. Expected one of.*'tall'"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        neurons(**kwargs)


def test_wrong_number_of_thresholds_names_the_layer():
    with pytest.raises(ValueError, match=r"'population' has 2 thresholds, but its current has 3 channels"):
        neurons(threshold=[1.0, 2.0], name="population").build((None, 3))


def test_unbuilt_layer_needs_a_shape_for_its_state():
    with pytest.raises(ValueError, match=r"has not seen a current yet.*input_shape"):
        neurons().get_initial_state(4)
