"""Streams: one timestep at a time, each at its own place, with their state in one tensor."""

import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn

#: Networks in which the number of the timestep matters, in every way that there is.
OPTIONS = {
    "analog": {},
    "late readout": {},
    "waiting": {"population_starts": {"relu1": 2}},
    "timed biases": {"corrections": ["timed_biases"]},
    "poisson": {"input": "poisson", "seed": 3},
    "signed": {"signed_spikes": True},
}


@pytest.fixture(scope="module")
def model_and_x():
    model = zoo.build(zoo.cnn)
    return model, zoo.data_for(model, 8)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", OPTIONS)
def test_streams_that_began_at_different_times_share_a_batch(name, model_and_x):
    """Each gives what `simulate` gives for it alone, although another one is three timesteps ahead."""
    model, x = model_and_x
    model_snn = snn.convert_keras(model, x, timesteps=8, threshold_rule="percentile", **OPTIONS[name])
    if name == "late readout":
        model_snn.readout_start = 4
    expected = model_snn.simulate(x[:2], timesteps=8, sample_indices=[40, 7]).outputs
    streams = model_snn.runner.streams()
    state = streams.initial_state(tf.constant([40], tf.int64))
    assert state.shape == (1, streams.size)
    for t in range(8):
        if t == 3:
            state = tf.concat([state, streams.initial_state(tf.constant([7], tf.int64))], axis=0)
        rows = [0] if t < 3 else [0, 1]
        outputs, state = streams.step({model.inputs[0].name: tf.constant(x[rows])}, state)
        np.testing.assert_array_equal(outputs[0], expected[t, 0])
        if t >= 3:
            np.testing.assert_array_equal(outputs[1], expected[t - 3, 1])
