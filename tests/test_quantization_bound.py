"""The bound that other tests hold networks to: it is what a hand computes, it is reached, and it finds faults."""

import keras
import numpy as np
import pytest
from convergence import assert_within_bounds
from quantization_bound import bounded

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form

L = keras.layers


def chain():
    """Two neurons in a row: relu(2 x), then relu(3 a - 0.5), then -4 b."""
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, "relu"), L.Dense(1, "relu"), L.Dense(1)])
    for layer, (weight, bias) in zip(model.layers, ((2.0, 0.0), (3.0, -0.5), (-4.0, 1.0)), strict=True):
        layer.set_weights([np.array([[weight]]), np.array([bias])])
    return model


def test_the_bound_of_a_chain_is_that_of_a_hand():
    model = chain()
    x = np.linspace(0.1, 1.0, 64, dtype=np.float32)[:, np.newaxis]
    model_snn = snn.convert_keras(model, x, percentile=100)
    bound = bounded(model_snn, x)
    # Half a spike of the first (threshold 2) is worth 1 in its output and 3 in the next; half a spike there (5.5) 2.75.
    assert bound.falling[0] == pytest.approx(4 * (3 * 1 + 2.75), rel=1e-3)
    np.testing.assert_allclose(bound.outputs[0], model.predict(x, verbose=0), rtol=1e-4)
    # No bound worth the name is far above what happens.
    largest = 0.0
    for timesteps in (7, 16, 33):
        _, outputs = closed_form(model_snn, x, timesteps)
        error = np.abs(outputs - bound.outputs[0]).max()
        assert error <= bound.at(timesteps)[0]
        largest = max(largest, error / bound.at(timesteps)[0])
    assert largest > 0.5


def test_spikes_that_are_lost_are_found(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, percentile=100)
    outputs = model_snn.simulate(x_mlp, timesteps=1024, outputs="last").outputs[-1]
    assert_within_bounds(mlp, model_snn, x_mlp, outputs, 1024)
    # A hundredth of the spikes.
    with pytest.raises(
        AssertionError, match=r"(?s)output 0 of the simulation at T = 1024 is .* the bound is .*adds most"
    ):
        assert_within_bounds(mlp, model_snn, x_mlp, 0.99 * outputs, 1024)


def test_a_network_that_converges_to_something_else_is_found(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, percentile=100)
    kernel = model_snn.network.layers["hidden"].kernel
    kernel.assign(kernel * np.array([1.0] * 9 + [1.5], np.float32))
    outputs = model_snn.simulate(x_mlp, timesteps=64, outputs="last").outputs[-1]
    with pytest.raises(
        AssertionError, match=r"(?s)output 0 converges to what is .* from the source.*adds most: hidden_relu"
    ):
        assert_within_bounds(mlp, model_snn, x_mlp, outputs, 64)
