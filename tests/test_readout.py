"""Readouts whose window starts late."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Readout

L = keras.layers


@pytest.fixture
def model_snn(mlp, x_mlp):
    return snn.convert_keras(mlp, x_mlp, timesteps=11, threshold_rule="percentile")


def averaged_late(outputs, start):
    """What a late window averages, from the averages `[timesteps, ...]` over all timesteps so far."""
    steps = np.arange(1, len(outputs) + 1).reshape(-1, *[1] * (outputs.ndim - 1))
    sums = outputs.astype(np.float64) * steps
    return np.concatenate([outputs[:start], (sums[start:] - sums[start - 1]) / (steps[start:] - start)])


def test_hand_computed_outputs_of_a_late_window():
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, "relu", use_bias=False), L.Dense(1, use_bias=False)])
    model.set_weights([np.eye(1)] * 2)
    model_snn = snn.convert_keras(model, np.ones((4, 1)), percentile=100, v0=0.0)
    model_snn.readout_start = 2
    # Spikes of a current of 0.75: 0, 1, 1, 1, 0, 1.
    outputs = model_snn.simulate(np.array([[0.75]]), timesteps=6).outputs.ravel()
    np.testing.assert_allclose(outputs, [0, 1 / 2, 1, 2 / 2, 2 / 3, 3 / 4])


@pytest.mark.few(1)
@pytest.mark.parametrize("start", [1, 4, 10])
def test_the_window_is_part_of_the_sum_over_all_timesteps(model_snn, x_mlp, start):
    expected = averaged_late(model_snn.simulate(x_mlp).outputs, start)
    model_snn.readout_start = start
    for block_length in (3, 11):
        result = model_snn.simulate(x_mlp, block_length=block_length)
        np.testing.assert_allclose(result.outputs, expected, rtol=1e-4, atol=1e-6)
        for timesteps in (start, start + 1, 11):
            last = model_snn.simulate(x_mlp, timesteps=timesteps, block_length=block_length, outputs="last")
            np.testing.assert_array_equal(last.outputs[-1], result.outputs[timesteps - 1])
    listed = model_snn.simulate(x_mlp, outputs=[start, 11])
    np.testing.assert_array_equal(listed.outputs, result.outputs[[start - 1, 10]])
    np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), result.outputs[-1])
    for timestep in range(11):
        np.testing.assert_array_equal(model_snn.step(x_mlp), result.outputs[timestep])


def test_a_window_that_never_starts_leaves_nothing_out(model_snn, x_mlp):
    expected = model_snn.predict(x_mlp, verbose=0)
    model_snn.readout_start = 11
    np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), expected)
    model_snn.readout_start = 0
    np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), expected)


def test_spikes_and_operations_do_not_change(model_snn, x_mlp):
    before = model_snn.simulate(x_mlp, record="spikes")
    model_snn.readout_start = 5
    after = model_snn.simulate(x_mlp, record="spikes")
    np.testing.assert_array_equal(after.spikes["hidden_relu"], before.spikes["hidden_relu"])
    np.testing.assert_array_equal(after.synaptic_operations["logits"], before.synaptic_operations["logits"])


def test_every_output_of_frames_and_poisson_input_has_the_window():
    model = zoo.build(zoo.multi_input)
    x = zoo.data_for(model, 4)
    frames = keras.tree.map_structure(lambda a: np.repeat(a[:, None], 7, axis=1), x)
    for mode, data in (("frames", frames), ("poisson", x)):
        model_snn = snn.convert_keras(model, x, timesteps=7, input=mode) if mode == "poisson" else None
        model_snn = model_snn or snn.convert_keras(model, frames, timesteps=7, input=mode)
        whole = model_snn.simulate(data, timesteps=7).outputs
        model_snn.readout_start = 3
        late = model_snn.simulate(data, timesteps=7, outputs="last").outputs
        # The current of the output named "features" passes a ReLU behind the average.
        assert np.abs(late["features"][-1] - whole["features"][-1]).max() > 1e-3
        predicted = model_snn.predict(data, verbose=0)
        for name, output in late.items():
            np.testing.assert_allclose(predicted[name], output[-1], rtol=1e-6, atol=1e-7)


def test_files_keep_the_window(model_snn, x_mlp, tmp_path):
    assert "start" not in model_snn.get_config()["graph"]["readouts"][0]
    model_snn.readout_start = 4
    expected = model_snn.predict(x_mlp, verbose=0)
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.readout_start == 4
    np.testing.assert_array_equal(loaded.predict(x_mlp, verbose=0), expected)
    model_snn.export(tmp_path / "serving")
    served = tf.saved_model.load(str(tmp_path / "serving"))
    np.testing.assert_array_equal(served.serve(tf.constant(x_mlp)), expected)


def test_the_gradient_comes_from_the_window_only():
    """Of a readout that reads the input's current itself, the derivative by each timestep's is 1 / (T - s), or 0."""
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, "relu", use_bias=False), L.Dense(1, use_bias=False)])
    model.set_weights([np.eye(1)] * 2)
    model_snn = snn.convert_keras(model, np.ones((4, 1)), percentile=100, v0=0.0, input="frames")
    model_snn.readout_start = 3
    frames = tf.constant([[[0.5], [0.5], [0.0], [0.5], [0.25]]])
    with model_snn.fine_tuning("triangle"), tf.GradientTape() as tape:
        tape.watch(frames)
        output = model_snn(frames, training=True)
    # Before each reset the potentials are 0.5, 1, 0, 0.5, 0.75; only the last two spikes are read out.
    expected = [(0.5 + 0.75) / 2] * 4 + [0.75 / 2]
    np.testing.assert_allclose(tape.gradient(output, frames).numpy().ravel(), expected, rtol=1e-6)
    assert output.numpy().item() == 0.0


def test_training_gives_what_prediction_gives(model_snn, x_mlp):
    model_snn.readout_start = 4
    with model_snn.fine_tuning():
        np.testing.assert_allclose(model_snn(x_mlp, training=True), model_snn.predict(x_mlp, verbose=0), rtol=1e-5)
        with pytest.raises(RuntimeError, match=r"being trained at 11 timesteps. Set `readout_start` before or after"):
            model_snn.readout_start = 1


def test_layer_by_layer_nothing_is_left_out(model_snn, x_mlp):
    expected = model_snn.simulate(x_mlp, schedule="layer_synchronous").outputs
    model_snn.readout_start = 4
    actual = model_snn.simulate(x_mlp, schedule="layer_synchronous").outputs
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("start", [-1, 0.5, None, True, 2**24 + 1])
def test_what_is_no_number_of_timesteps(model_snn, start):
    with pytest.raises(ValueError, match=r"`readout_start` to be a number of timesteps, 0 or more. Received: "):
        model_snn.readout_start = start
    with pytest.raises(ValueError, match=r"`start of output 'y'` to be a number of timesteps"):
        Readout("y", "a", start=start)
