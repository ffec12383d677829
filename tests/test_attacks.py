"""Gradients of the loss against closed forms, and attacks against NumPy and steps by hand."""

import attacked_networks
import keras
import numpy as np
import pytest
import tensorflow as tf
from attacked_networks import linear_model

import snn_toolbox_tf as snn
from snn_toolbox_tf.studies import loss_gradients
from snn_toolbox_tf.studies.attacks import Ball, fgsm, noise, pgd, sizes, whole_range

L = keras.layers
UNIT = (np.float32(0), np.float32(1))


@pytest.fixture(name="linear")
def _linear():
    return attacked_networks.linear()


@pytest.fixture(name="digits")
def _digits():
    return attacked_networks.digits()


def closed_form(model, x, labels):
    """The gradient of the cross entropy of softmax(x W + b): (p - 1_y) W^T."""
    kernel, bias = model.get_layer("out").get_weights()
    logits = x.astype(np.float64) @ kernel + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return (p - np.eye(kernel.shape[1])[labels]) @ kernel.T


def test_gradients_of_a_linear_model_are_its_closed_form(linear):
    model, model_snn, x, labels = linear
    expected = closed_form(model, x, labels)
    of_source = loss_gradients.source_gradient(model, model_snn.network.graph, batch_size=5)
    np.testing.assert_allclose(of_source(x, labels), expected, rtol=1e-4, atol=1e-6)
    # Its neurons change nothing: the spiking network is the same function.
    of_network = loss_gradients.surrogate_gradient(model_snn, 4, "arctan", batch_size=5)
    np.testing.assert_allclose(of_network(x, labels), expected, rtol=1e-3, atol=1e-5)


def test_probabilities_that_round_to_one_leave_a_gradient(linear):
    model, _, x, _ = linear
    steep = keras.models.clone_model(model)
    steep.set_weights([60 * value for value in model.get_weights()])
    labels = steep.predict(x, verbose=0).argmax(1)
    assert (steep.predict(x, verbose=0).max(1) == 1).any()
    model_snn = snn.convert_keras(steep, x, timesteps=4)
    expected = np.sign(closed_form(steep, x, labels))
    for gradient in (
        loss_gradients.source_gradient(steep, model_snn.network.graph, 12),
        loss_gradients.surrogate_gradient(model_snn, 4, "arctan", 12),
    ):
        np.testing.assert_array_equal(np.sign(gradient(x, labels)), expected)


def test_a_sigmoid_has_the_gradient_of_its_closed_form():
    model = linear_model(1, "sigmoid")
    x, labels = np.random.default_rng(0).random((6, 5), "float32"), np.arange(6) % 2
    model_snn = snn.convert_keras(model, x, timesteps=4)
    kernel, bias = model.get_layer("out").get_weights()
    expected = (1 / (1 + np.exp(-(x @ kernel + bias))) - labels[:, None]) * kernel.T
    actual = loss_gradients.source_gradient(model, model_snn.network.graph, 6)(x, labels)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_probabilities_whose_softmax_is_out_of_sight_have_a_gradient(linear):
    """A layer behind it hides it: then logits are what a softmax would need to give the same."""
    model, model_snn, x, labels = linear
    behind = keras.Model(model.inputs, L.Identity()(L.Reshape((3,))(model.outputs[0])))
    actual = loss_gradients.source_gradient(behind, model_snn.network.graph, 12)(x, labels)
    np.testing.assert_allclose(actual, closed_form(model, x, labels), rtol=1e-4, atol=1e-6)


def test_surrogate_gradients_are_those_of_training(digits):
    _, model_snn, x, labels = digits
    actual = loss_gradients.surrogate_gradient(model_snn, 8, "triangle", 4)(x[:8], labels[:8])
    inputs = tf.constant(x[:8])
    with model_snn.fine_tuning("triangle"), tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model_snn(inputs, training=True)
        loss = tf.reduce_sum(-tf.math.log(tf.gather(outputs, labels[:8], batch_dims=1)))
    np.testing.assert_allclose(actual, tape.gradient(loss, inputs), rtol=1e-3, atol=1e-5)


def test_a_spiking_softmax_has_the_gradient_of_a_softmax(digits):
    model, _, x, labels = digits
    drawn = snn.convert_keras(model, x, timesteps=8, softmax="spiking", threshold_rule="percentile")
    plain = snn.convert_keras(model, x, timesteps=8, threshold_rule="percentile")
    actual, expected = (
        loss_gradients.surrogate_gradient(network, 8, "arctan", 8)(x[:8], labels[:8]) for network in (drawn, plain)
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


def test_channels_first_has_the_gradient_of_channels_last():
    def model(order, shape):
        layers = [L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(), L.GlobalAveragePooling2D(), L.Dense(2)]
        keras.config.set_image_data_format(order)
        try:
            rebuilt = [type(layer).from_config({**layer.get_config(), "data_format": order}) for layer in layers[:3]]
        finally:
            keras.config.set_image_data_format("channels_last")
        return keras.Sequential([keras.Input(shape), *rebuilt, layers[3]])

    last, first = model("channels_last", (6, 6, 2)), model("channels_first", (2, 6, 6))
    first.set_weights(last.get_weights())
    x, labels = np.random.default_rng(0).random((4, 6, 6, 2), "float32"), np.arange(4) % 2
    turned = x.transpose(0, 3, 1, 2)
    expected, actual = (
        loss_gradients.source_gradient(source, snn.convert_keras(source, data, timesteps=4).network.graph, 4)(
            data, labels
        )
        for source, data in ((last, x), (first, turned))
    )
    np.testing.assert_allclose(actual.transpose(0, 2, 3, 1), expected, rtol=1e-4, atol=1e-6)


def test_fgsm_on_a_linear_model_by_hand(linear):
    model, model_snn, x, labels = linear
    gradient = loss_gradients.source_gradient(model, model_snn.network.graph, 12)
    expected = closed_form(model, x, labels)
    moved = fgsm(gradient, x, labels, Ball("linf", 0.25, *UNIT))
    np.testing.assert_allclose(moved, np.clip(x + 0.25 * np.sign(expected), 0, 1), atol=1e-6)
    moved = fgsm(gradient, x, labels, Ball("l2", 0.25, np.float32(-9), np.float32(9)))
    direction = expected / np.sqrt((expected**2).sum(1, keepdims=True))
    np.testing.assert_allclose(moved, x + 0.25 * direction, atol=1e-5)


def test_pgd_goes_step_by_step_from_its_start():
    """Against the same in a loop by hand, with a loss that is linear."""
    slope = np.array([[3.0, -4.0], [0.0, 0.0]])
    x, ball = np.full((2, 2), 0.5, "float32"), Ball("l2", 0.3, *UNIT)
    place = ball.random_start(x, 7).astype(np.float64)
    for _ in range(4):
        place[0] += 0.3 * 0.2 * np.array([0.6, -0.8])
        change = place - 0.5
        place = 0.5 + change * np.minimum(1, 0.3 / np.sqrt((change**2).sum(1, keepdims=True)))
    moved = pgd(lambda moved, labels: slope, x, np.zeros(2, int), ball, steps=4, step_size=0.2, seed=7)
    np.testing.assert_allclose(moved, place, atol=1e-6)
    # By default it gets to the end of the ball wherever it starts.
    moved = pgd(lambda moved, labels: slope, x, np.zeros(2, int), Ball("linf", 0.3, *UNIT), steps=10)
    np.testing.assert_allclose(moved[0], [0.8, 0.2], atol=1e-6)


def test_projection_onto_a_ball_against_numpy(rng):
    x, moved = rng.random((50, 4, 3), "float32"), rng.normal(size=(50, 4, 3)).astype("float32")
    lengths = np.linalg.norm((moved - x).reshape(50, -1), axis=1)[:, None, None]
    wide = (np.float32(-99), np.float32(99))
    for epsilon in (0.5, 3.0, 50.0):
        expected = np.where(lengths <= epsilon, moved, x + (moved - x) * epsilon / lengths)
        np.testing.assert_allclose(Ball("l2", epsilon, *wide).projected(x, moved), expected, atol=1e-5)
        np.testing.assert_allclose(Ball("l2", epsilon, *UNIT).projected(x, moved), np.clip(expected, 0, 1), atol=1e-5)
        expected = np.minimum(np.maximum(moved, x - epsilon), x + epsilon)
        np.testing.assert_allclose(Ball("linf", epsilon, *wide).projected(x, moved), expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nothing_leaves_the_ball_or_the_valid_range(norm, rng):
    x = rng.random((40, 6), "float32")
    x[:10], x[10:20] = 0, 1
    low, high = np.zeros(6, "float32"), np.array([1, 1, 1, 1, 1, 2], "float32")
    slope = rng.normal(size=x.shape)
    for epsilon in (1e-3, 0.1, 5.0):
        ball = Ball(norm, epsilon, low, high)
        for moved in (
            noise(x, ball, 1),
            ball.random_start(x, 2),
            fgsm(lambda moved, labels: slope, x, np.zeros(40, int), ball),
            pgd(lambda moved, labels: slope * moved, x, np.zeros(40, int), ball, steps=7, step_size=0.7),
        ):
            assert sizes(x, moved, norm).max() <= epsilon + 1e-6
            assert (moved >= low).all()
            assert (moved <= high).all()
            assert moved.dtype == np.float32


def test_noise_is_as_large_as_attacks_and_starts_fill_the_ball():
    x, wide = np.zeros((2000, 3), "float32"), (np.float32(-9), np.float32(9))
    np.testing.assert_allclose(np.abs(noise(x, Ball("linf", 0.5, *wide), 0)), 0.5)
    np.testing.assert_allclose(sizes(x, noise(x, Ball("l2", 0.5, *wide), 0), "l2"), 0.5, rtol=1e-5)
    # The mean radius in a ball of n dimensions is n / (n + 1) of the largest.
    radius = sizes(x, Ball("l2", 0.5, *wide).random_start(x, 0), "l2")
    assert radius.mean() == pytest.approx(0.5 * 3 / 4, rel=0.02)
    assert np.abs(Ball("linf", 0.5, *wide).random_start(x, 0)).mean() == pytest.approx(0.25, rel=0.05)
    assert whole_range("l2", *UNIT, (4, 4)) == 4
    assert whole_range("linf", np.zeros(2), np.array([1.0, 3.0]), (2,)) == 3


def test_tiny_and_missing_gradients_have_a_direction_or_none():
    ball = Ball("l2", 1.0, *UNIT)
    np.testing.assert_allclose(ball.steepest(np.array([[3e-30, 4e-30], [0, 0]])), [[0.6, 0.8], [0, 0]])
