"""Numbers, types and calls that no one means: one clear error, or the right answer; never zeros, NaN or a dead process."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import run_in_threads

import snn_toolbox_tf as snn

L = keras.layers
NAN = np.full((4, 6), np.nan, np.float32)


@pytest.fixture
def model_snn(mlp, x_mlp):
    return snn.convert_keras(mlp, x_mlp, timesteps=8, threshold_rule="percentile")


CALLS = {
    "simulate": lambda model, x: model.simulate(x),
    "step": lambda model, x: model.step(x),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, np.zeros((len(x), 3)), verbose=0),
    "fit": lambda model, x: model.fit(x, np.zeros((len(x), 3)), verbose=0),
    "convert": lambda model, x: snn.convert_keras(model, x),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((4, 6), 1e300), r"beyond float32's range for input '.*', first in sample 0: up to 1e\+300"),
        (NAN, r"NaN or infinite values for input '.*', first in sample 0"),
    ],
    ids=["1e300", "NaN"],
)
def test_numbers_that_float32_cannot_hold_are_refused_everywhere(mlp, model_snn, name, x, message):
    model_snn.compile("sgd", "mse")
    with pytest.raises(ValueError, match=message):
        CALLS[name](mlp if name == "convert" else model_snn, x)


@pytest.mark.parametrize("x", [NAN, np.full((4, 6), 1e300)])
def test_streams_are_checked_as_they_come(model_snn, x):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Input '.*' holds NaN or infinite values"):
        model_snn.predict(tf.data.Dataset.from_tensors(x), verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Input '.*' holds NaN or infinite values"):
        model_snn(tf.constant(x, tf.float32))


def test_the_largest_float32_saturates_a_network_and_does_not_become_nan():
    """Infinite currents that meet would cancel to NaN, which never fires."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = L.Dense(6)(L.Dense(10, "relu")(inputs))
    joined = L.Concatenate()([L.ReLU()(L.Add()([hidden, inputs])), inputs])
    model = keras.Model(inputs, L.Dense(4)(L.ReLU()(L.Dense(5)(joined))))
    x = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
    large, larger = (model_snn.simulate(x * np.float32(size)) for size in (1e20, 1e38))
    assert larger.firing_rates == pytest.approx(large.firing_rates, abs=0.05)
    assert min(larger.firing_rates.values()) > 0.2
    assert np.isfinite(larger.outputs).all()


def test_calibration_data_of_another_scale_is_questioned(mlp, x_mlp):
    with pytest.warns(UserWarning, match=r"reaches 1e\+30 for '.*'.*no neuron of hidden_relu will spike"):
        model_snn = snn.convert_keras(mlp, np.full_like(x_mlp, 1e30))
    assert model_snn.simulate(x_mlp).firing_rates == {"hidden_relu": 0.0}


def test_large_calibration_data_behind_a_normalization_is_not_questioned(mlp, x_mlp, recwarn):
    model = keras.Sequential([keras.Input((6,)), L.Rescaling(1e-9), mlp])
    snn.convert_keras(model, 1e9 * x_mlp)
    assert [warning for warning in recwarn if "reaches" in str(warning.message)] == []


MANY = r"`timesteps` to be a positive integer of at most 2\*\*24 = 16,777,216, up to which spike counts are exact"


@pytest.mark.parametrize("timesteps", [2**31, 10**9, 2**24 + 1, 2**62])
def test_more_timesteps_than_float32_can_count_are_refused_at_once(mlp, x_mlp, model_snn, timesteps):
    with pytest.raises(ValueError, match=MANY):
        model_snn.simulate(x_mlp, timesteps=timesteps)
    with pytest.raises(ValueError, match=MANY):
        model_snn.timesteps = timesteps
    with pytest.raises(ValueError, match=MANY):
        snn.convert_keras(mlp, x_mlp, timesteps=timesteps)
    with pytest.raises(ValueError, match=MANY):
        snn.ops.integrate_fire(tf.ones([1, 1]), tf.zeros([1, 1]), tf.constant(1.0), timesteps=timesteps)


def test_spike_counts_are_exact_up_to_the_last_timestep():
    most = 2**24
    counts = tf.constant([[most - 8.0]])
    block = snn.ops.integrate_fire(tf.ones([1, 1]), tf.zeros([1, 1]), tf.constant(1.0), timesteps=8, counts=counts)
    assert float(block.counts[0, 0]) == most


def test_memory_is_checked_before_the_run(x_mlp, model_snn):
    with pytest.raises(MemoryError, match=r"would take .* MiB, most of it for 'outputs'.*raise `memory_limit`"):
        model_snn.simulate(x_mlp, timesteps=2**24)


def test_memory_without_a_limit(x_mlp, model_snn):
    assert model_snn.simulate(x_mlp, memory_limit=None).samples == 40
    with pytest.raises(ValueError, match=r"`memory_limit` to be a positive integer.*memory_limit='2 GB'"):
        model_snn.simulate(x_mlp, memory_limit="2 GB")


@pytest.mark.parametrize("outputs", [[np.int64(4)], np.arange(1, 5), range(1, 5), (2, np.uint8(3))])
def test_timesteps_may_be_numbers_of_numpy(x_mlp, model_snn, outputs):
    result = model_snn.simulate(x_mlp, outputs=outputs)
    np.testing.assert_array_equal(result.timesteps, [int(value) for value in outputs])
    np.testing.assert_array_equal(result.outputs, model_snn.simulate(x_mlp).outputs[result.timesteps - 1])


@pytest.mark.parametrize("outputs", [4, None, np.array(4), np.array([[1, 2]]), [1.0, 2.0], [True], b"1", "[t, ...]"])
def test_other_outputs_are_refused(x_mlp, model_snn, outputs):
    with pytest.raises(ValueError, match=r"(increasing positive numbers of timesteps|Unknown `outputs`).*Received"):
        model_snn.simulate(x_mlp, outputs=outputs)


@pytest.mark.parametrize("record", [-1, True, float("nan"), np.array([1, 2]), int, b"spikes", {"spikes": 1}, [[]], [3]])
def test_what_cannot_be_recorded_is_refused(x_mlp, model_snn, record):
    with pytest.raises(ValueError, match=r"(Expected `?record|Unknown `record`).*Received: "):
        model_snn.simulate(x_mlp, record=record)


@pytest.mark.parametrize("name", ["_m", "a b", "", 3, np.array([1, 2]), ["a"]])
def test_names_of_models_are_checked(mlp, x_mlp, name):
    with pytest.raises(ValueError, match=r"`name` to be a name of letters, digits.*Received: name="):
        snn.convert_keras(mlp, x_mlp, name=name)


def test_array_likes_are_what_simulate_takes_them_for(x_mlp, model_snn):
    expected = model_snn.predict(x_mlp, verbose=0)
    for data in (x_mlp.tolist(), [x_mlp], x_mlp.astype(np.longdouble), np.asfortranarray(x_mlp), tf.constant(x_mlp)):
        np.testing.assert_array_equal(model_snn.predict(data, verbose=0), expected)
        np.testing.assert_array_equal(model_snn.simulate(data, outputs="last").outputs[0], expected)
    integers = np.arange(24, dtype=np.uint64).reshape(4, 6)
    np.testing.assert_array_equal(
        model_snn.predict(integers, verbose=0), model_snn.predict(integers.astype(np.float32), verbose=0)
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 6), complex), "must hold real numbers.*complex128"),
        (np.full((4, 6), "1"), "must hold real numbers.*<U1"),
        (np.zeros((0, 6)), "is empty: it has 0 samples"),
        (None, "`x` is None"),
    ],
)
def test_training_looks_at_its_data_first(model_snn, x, message):
    model_snn.compile("sgd", "mse")
    with pytest.raises((TypeError, ValueError), match=message):
        model_snn.fit(x, np.zeros((4, 3)), verbose=0)


@pytest.mark.parametrize("use", ["simulate", "predict", "step", "convert"])
def test_masked_values_are_not_used(mlp, x_mlp, model_snn, use):
    with pytest.raises(ValueError, match=r"is masked in places. Expected values everywhere"):
        CALLS[use](mlp if use == "convert" else model_snn, np.ma.masked_array(x_mlp, x_mlp > 0.5))
    whole = np.ma.masked_array(x_mlp)
    assert model_snn.predict(whole, verbose=0).shape == (40, 3)


def test_predict_without_data_and_with_a_dataset_that_is_not_batched(x_mlp, model_snn):
    with pytest.raises(ValueError, match=r"`x` is None; expected an array"):
        model_snn.predict(None)
    with pytest.raises(
        ValueError, match=r"(has no known number of axes|wrong shape).*Expected an array \[samples, 6\]"
    ):
        model_snn.predict(tf.data.Dataset.from_tensor_slices(x_mlp), verbose=0)


def test_a_generator_that_breaks_off_leaves_the_model_usable(mlp, x_mlp, model_snn):
    def broken():
        yield x_mlp[:3]
        raise RuntimeError("no more")

    expected = model_snn.simulate(x_mlp).outputs
    for use in (model_snn.simulate, lambda data: snn.convert_keras(mlp, data)):
        with pytest.raises(RuntimeError, match="no more"):
            use(broken())
    np.testing.assert_array_equal(model_snn.simulate(x_mlp).outputs, expected)


def test_threads_that_step_lose_nothing(x_mlp, model_snn):
    expected = model_snn.simulate(x_mlp, timesteps=41, outputs="last").outputs[0]
    model_snn.step(x_mlp)
    done = []

    def steps():
        done.extend(model_snn.step(x_mlp) for _ in range(13))

    run_in_threads(steps, 3)
    assert len(done) == 39
    np.testing.assert_array_equal(model_snn.step(x_mlp), expected)


def test_an_implementation_is_chosen_for_all_threads():
    found = []
    with snn.ops.use("reference"):
        run_in_threads(lambda: found.append(snn.ops.implementation().name), 1)
    assert found == ["reference"]


CHANGES = {
    "set_weights": lambda model: model.set_weights([1.00123 * weight for weight in model.get_weights()]),
    "assign": lambda model: model.network.layers["logits"].kernel.assign(
        1.00123 * model.network.layers["logits"].get_weights()[0]
    ),
    # By more: behind it, a change has to make a spike more, or one less.
    "analog layer": lambda model: model.network.layers["hidden"].kernel.assign(
        1.123 * model.network.layers["hidden"].get_weights()[0]
    ),
}
USES = {
    "simulate": lambda model, x: model.simulate(x, outputs="last").outputs[0],
    "predict": lambda model, x: model.predict(x, verbose=0),
    "step": lambda model, x: [model.reset_state(), *(model.step(x) for _ in range(model.timesteps))][-1].numpy(),
}


@pytest.mark.few(4)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("use", USES)
def test_weights_that_are_changed_are_put_on_a_grid(x_mlp, model_snn, change, use):
    before = USES[use](model_snn, x_mlp)
    CHANGES[change](model_snn)
    after = USES[use](model_snn, x_mlp)
    assert not np.array_equal(before, after)
    assert model_snn.conversion.fine_tuned
    kernel, bits = model_snn.network.layers["logits"].kernel, model_snn.network.graph["logits"].layer.fractional_bits
    np.testing.assert_array_equal(kernel * 2.0 ** bits["kernel"] % 1, np.zeros(kernel.shape))
    np.testing.assert_array_equal(model_snn.simulate(x_mlp, batch_size=3, outputs="last").outputs[0], after)


def test_weights_that_become_nan_are_noticed(x_mlp, model_snn):
    model_snn.network.layers["logits"].kernel.assign(np.full((10, 3), np.nan))
    for _ in range(2):
        with pytest.raises(FloatingPointError, match=r"NaN were put into the weights of 'logits'.*set them again"):
            model_snn.simulate(x_mlp)


def test_a_network_is_not_quantized_again(model_snn):
    with pytest.raises(ValueError, match=r"cannot be quantized by Keras.*Quantize the source model's weights before"):
        model_snn.quantize("int8")


def test_outputs_behind_a_nonlinearity_are_no_promise_but_spikes_are():
    documented = snn.SpikingModel.reproducibility_exceptions.__doc__
    assert "softmax" in documented
    assert "last bit" in documented


def test_nan_is_refused_before_max_pooling(rng):
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), L.Conv2D(2, 1, activation="relu"), L.MaxPooling2D(2), L.Flatten(), L.Dense(2)]
    )
    x = rng.random((4, 4, 4, 1))
    model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
    x[2, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinite values for input '.*', first in sample 2"):
        model_snn.simulate(x)
    assert "NaN has no place here" in snn.ops.accumulate_max_pool.__doc__
