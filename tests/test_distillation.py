"""Calibration by gradient: its gradients, its training, what it writes, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import snn_toolbox_tf as snn
from snn_toolbox_tf.distillation.spikes import fire


def tangents(currents, theta, start, charge, direction):
    """Runs one neuron in units of the source, and moves its parameters and currents in a direction: its spikes, their change.

    Forward differentiation by hand, with the triangle for the derivative of a spike.
    """
    steps = len(currents)
    d_current, d_theta, d_start, d_charge = direction
    v, d_v = start * theta, d_start * theta + start * d_theta
    given, d_given = 0.0, 0.0
    for current in currents:
        u = v + current + charge * theta / steps
        d_u = d_v + d_current + (d_charge * theta + charge * d_theta) / steps
        x, d_x = u / theta - 1, d_u / theta - u * d_theta / theta**2
        spike, d_spike = float(x >= 0), max(1 - abs(x), 0) * d_x
        given, d_given = given + theta * spike, d_given + theta * d_spike + d_theta * spike
        v, d_v = u - theta * spike, d_u - theta * d_spike - d_theta * spike
    return given, d_given


CURRENTS, THETA, START, CHARGE = [0.5, 1.25, -0.25, 0.75, 2.0], 1.5, 0.4, -0.3


@pytest.mark.parametrize("number", range(4), ids=["current", "threshold", "initial potential", "bias"])
def test_gradients_equal_forward_differentiation_by_hand(number):
    variables = [tf.Variable(0.0), tf.Variable(np.log(THETA)), tf.Variable(START), tf.Variable(CHARGE)]
    variables = [tf.Variable(float(variable), dtype=tf.float32) for variable in variables]
    extra, log_theta, start, charge = variables
    with tf.GradientTape() as tape:
        theta = tf.exp(log_theta)
        current = (tf.reshape(tf.constant(CURRENTS), [5, 1, 1]) + extra) / theta + charge / 5
        spikes, _ = fire(current, tf.reshape(start, [1, 1]), 5)
        given = tf.reduce_sum(spikes * theta)
    # The logarithm of theta moves theta by theta.
    direction = np.eye(4)[number] * [1, THETA, 1, 1]
    expected = tangents(CURRENTS, THETA, START, CHARGE, direction)
    assert float(given) == pytest.approx(expected[0])
    assert float(tape.gradient(given, variables)[number]) == pytest.approx(expected[1], rel=1e-5)


def test_a_constant_current_has_the_gradient_of_one_at_every_step():
    for constant in (True, False):
        value = tf.Variable([[0.3, 0.9, -0.2]])
        with tf.GradientTape() as tape:
            current = value if constant else tf.tile(value[tf.newaxis], [6, 1, 1])
            spikes, potential = fire(current, tf.fill([1, 3], 0.5), 6)
            loss = tf.reduce_sum(spikes * tf.reshape(tf.range(6.0), [6, 1, 1])) + tf.reduce_sum(potential**2)
        gradient = tape.gradient(loss, value).numpy()
        first = gradient if constant else first
        np.testing.assert_allclose(gradient, first, rtol=1e-5)


def test_the_gradient_of_a_number_of_spikes_is_at_most_one_per_current():
    current = tf.Variable(np.random.default_rng(0).normal(0.3, 0.5, (64, 1, 100)).astype("float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(fire(current, tf.zeros([1, 100]), 64)[0])
    gradient = tape.gradient(loss, current).numpy()
    assert gradient.min() >= 0
    assert gradient.max() <= 1


@pytest.fixture(scope="module")
def task():
    """Blobs of a few classes, and a network that was trained to tell them apart."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 1, (6, 12))
    y = generator.integers(6, size=1600)
    x = (centres[y] + generator.normal(0, 1.0, (1600, 12))).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(6, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=12, verbose=0)
    return (
        model,
        x,
        (centres[generator.integers(6, size=1000)] + generator.normal(0, 1.0, (1000, 12))).astype("float32"),
    )


def agreement(model, model_snn, x):
    return np.mean(model.predict(x, verbose=0).argmax(-1) == model_snn.predict(x, verbose=0).argmax(-1))


@pytest.mark.long
def test_the_network_agrees_more_with_its_source_on_samples_that_nobody_has_seen(task):
    model, x, unseen = task
    before = [weight.copy() for weight in model.get_weights()]
    automatic = snn.convert_keras(model, x, timesteps=2)
    learnt = snn.convert_keras(model, x, timesteps=2, calibration=snn.GradientCalibration(epochs=8))
    print(learnt.conversion, agreement(model, automatic, unseen), agreement(model, learnt, unseen))
    assert agreement(model, learnt, unseen) > agreement(model, automatic, unseen) + 0.01
    assert learnt.conversion.agreement > learnt.conversion.agreement_before
    for weight, same in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)
