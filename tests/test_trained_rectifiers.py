"""ThresholdReLU and QuantizationClipFloorShift: values, gradients, training, files, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import snn_toolbox_tf as snn
from snn_toolbox_tf.layers import QuantizationClipFloorShift, ThresholdReLU, shifted

L = keras.layers


def test_threshold_relu_by_hand():
    x = np.array([[-1.0, 0.5, 3.0], [0.0, 2.0, 1.9]], np.float32)
    np.testing.assert_array_equal(ThresholdReLU(2.0)(x), [[0, 0.5, 2], [0, 2, np.float32(1.9)]])
    np.testing.assert_array_equal(ThresholdReLU([0.25, 1.0, 4.0])(x), [[0, 0.5, 3], [0, 1, np.float32(1.9)]])
    np.testing.assert_array_equal(ThresholdReLU([0.5, 1.0], axis=1)(x.T[None, :2]), [[[0, 0], [0.5, 1]]])


def test_quantisation_by_hand():
    x = np.array([[-1, -0.25, 0.24, 0.25, 0.74, 0.75, 1.74, 1.75, 2.0, 9.0]], np.float32)
    layer = QuantizationClipFloorShift(levels=4, threshold=2.0)
    np.testing.assert_array_equal(layer(x), [[0, 0, 0, 0.5, 0.5, 1, 1.5, 2, 2, 2]])
    with shifted([layer], None):
        np.testing.assert_array_equal(layer(x), np.clip(x, 0, 2))
    with shifted([layer], 0.0):
        np.testing.assert_array_equal(layer(x), [[0, 0, 0, 0, 0.5, 0.5, 1.5, 1.5, 2, 2]])
    assert float(layer(x)[0, 3]) == 0.5


@pytest.mark.parametrize("levels", [1, 3, 8])
def test_neurons_that_integrate_and_then_fire_give_the_quantised_function(levels, rng):
    theta, current = 1.75, np.round(rng.normal(size=200) * 128) / 64
    potential = theta / 2 + levels * current
    spikes = np.zeros(200)
    for _ in range(levels):
        fired = potential >= theta
        spikes, potential = spikes + fired, potential - theta * fired
    layer = QuantizationClipFloorShift(levels, theta, dtype="float64")
    np.testing.assert_allclose(layer(current[None])[0], theta * spikes / levels, rtol=1e-15)


def gradients_of(layer, x):
    x = tf.constant(x, tf.float32)
    layer(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x))
    of_x, of_theta = tape.gradient(total, [x, layer.threshold.value])
    return of_x.numpy(), of_theta.numpy()


def test_gradients_of_the_threshold_relu():
    of_x, of_theta = gradients_of(ThresholdReLU(2.0), [[-1.0, 0.5, 1.9, 2.1, 3.0]])
    np.testing.assert_array_equal(of_x, [[0, 1, 1, 0, 0]])
    np.testing.assert_array_equal(of_theta, [2])
    _, of_theta = gradients_of(ThresholdReLU([2.0, 1.0]), [[3.0, 0.5], [4.0, 2.0]])
    np.testing.assert_array_equal(of_theta, [2, 1])


@pytest.mark.parametrize("levels", [2, 4])
def test_gradients_of_the_quantisation_are_those_of_the_paper(levels, rng):
    theta, x = 2.0, rng.uniform(-1.5, 3.5, 100).astype(np.float32)
    y = theta / levels * np.clip(np.floor(x * levels / theta + 0.5), 0, levels)
    half = theta / 2 / levels
    inside, above = (x > -half) & (x < theta - half), x >= theta - half
    of_x, of_theta = gradients_of(QuantizationClipFloorShift(levels, theta), x[None])
    np.testing.assert_array_equal(of_x[0], inside)
    np.testing.assert_allclose(of_theta, [np.sum(np.where(inside, (y - x) / theta, above))], rtol=1e-5)


def test_training_finds_a_threshold_and_keeps_it_positive():
    x = np.linspace(0, 4, 101, dtype=np.float32)[:, None]
    model = keras.Sequential([keras.Input((1,)), ThresholdReLU(1.0)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    many = np.tile(x, (100, 1))
    model.fit(many, np.minimum(many, 2.5), batch_size=101, shuffle=False, verbose=0)
    assert float(model.layers[0].threshold[0]) == pytest.approx(2.5, abs=0.02)
    model.compile(keras.optimizers.SGD(100.0), "mse")
    model.fit(x, -x, verbose=0)
    assert float(model.layers[0].threshold[0]) == 2.0**-10


def test_a_threshold_that_is_not_trainable_stays():
    layer = QuantizationClipFloorShift(4, 1.0, trainable=False)
    model = keras.Sequential([keras.Input((6,)), L.Dense(2), layer])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(np.ones((8, 6)), np.ones((8, 2)), verbose=0)
    assert [len(layer.trainable_variables), float(layer.threshold[0])] == [0, 1.0]


@pytest.mark.parametrize("make", [lambda: ThresholdReLU(0.5, True), lambda: QuantizationClipFloorShift(3, [1.0] * 5)])
def test_layers_are_saved_with_what_they_have_learned(make, tmp_path, x_mlp):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5), make(), L.Dense(3)])
    model.layers[1].threshold.assign([0.1, 0.2, 0.3, 0.4, 0.5])
    model.save(tmp_path / "net.keras")
    loaded = snn.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict(x_mlp, verbose=0), model.predict(x_mlp, verbose=0))
    assert loaded.layers[1].get_config() == model.layers[1].get_config()


@pytest.mark.parametrize("threshold", [0, -1.0, float("nan"), [1.0, 0.0], [], [[1.0]]])
def test_thresholds_that_are_none_are_refused(threshold):
    with pytest.raises(ValueError, match=r"Layer 'relu': expected `threshold` to be a positive.*Received: threshold="):
        ThresholdReLU(threshold, name="relu")


@pytest.mark.parametrize("levels", [0, 2.0, True, "8"])
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(ValueError, match=r"Expected `levels` to be a positive integer. Received: levels="):
        QuantizationClipFloorShift(levels)


def test_as_many_thresholds_as_channels():
    with pytest.raises(ValueError, match=r"Layer 'relu' has 2 threshold\(s\), expected one, or as many.*\(1, 3\)"):
        ThresholdReLU([1.0, 2.0], name="relu")(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"Layer 'relu' has 1 threshold\(s\).*a known number. Set `axis`"):
        ThresholdReLU(per_channel=True, axis=1, name="relu")(keras.Input((None, 3)))
