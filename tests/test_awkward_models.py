"""Wirings and options that are easy to get wrong; each once was, or could be."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import mostly_slow
from convergence import assert_within_bounds

import snn_toolbox_tf as snn
from snn_toolbox_tf.conversion import verification

L = keras.layers
FIRST = {"data_format": "channels_first"}


def with_bias(model):
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(np.random.default_rng(1).normal(0, 0.2, layer.bias.shape))
    return model


def vector_model(make, size=5):
    def build():
        inputs = keras.Input((size,))
        return with_bias(keras.Model(inputs, make(inputs)))

    return build


def image_model(make, shape=(6, 6, 3)):
    def build():
        inputs = keras.Input(shape)
        return with_bias(keras.Model(inputs, L.Dense(3)(L.Flatten()(make(inputs)))))

    return build


def output_and_inner(i):
    h = L.Dense(6, "relu")(i)
    return [h, L.Dense(3)(h)]


def two_bounds(i):
    h = L.Dense(6)(i)
    return L.Dense(3)(L.Concatenate()([L.ReLU()(h), L.ReLU(1.0)(h)]))


def read_twice(i):
    h = L.Dense(6, "relu")(i)
    return L.Dense(3)(L.ReLU()(L.Add()([h, h])))


def read_twice_through_concatenate(i):
    h = L.Dense(4, "relu")(i)
    return L.Dense(3)(L.ReLU()(L.Add()([L.Concatenate()([h, h]), L.Dense(8)(i)])))


def tiny_readout(i):
    return L.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-7))(L.Dense(6, "relu")(i))


def bottleneck(i):
    small = L.Dense(4, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-7))(L.Dense(6, "relu")(i))
    return L.Dense(3)(L.Dense(6, "relu", kernel_initializer=keras.initializers.RandomNormal(stddev=1e7))(small))


def scaled_channels_first(i):
    h = L.Conv2D(4, 3, activation="relu", use_bias=False, **FIRST)(i)
    return L.ReLU()(L.Add()([h * 0.5, L.Conv2D(4, 1, use_bias=False, **FIRST)(h)]))


def shifted_channels_first(i):
    return L.ReLU()(L.Conv2D(4, 3, activation="relu", **FIRST)(i) * 2.0 - 0.3)


def norm_of_scaled_channels_first(i):
    return L.ReLU()(L.BatchNormalization(axis=1)(L.Conv2D(4, 3, activation="relu", **FIRST)(i) * 2.0))


def norm_of_rescaled_channels_first(i):
    return L.ReLU()(L.BatchNormalization(axis=1)(L.Rescaling(0.5)(i)))


def norm_of_an_average_channels_first(i):
    branches = [L.Conv2D(4, 3, activation="relu", **FIRST)(i), L.Conv2D(4, 3, **FIRST)(i)]
    return L.ReLU()(L.BatchNormalization(axis=1)(L.Average()(branches)))


MODELS = {
    "a ReLU that is output and inner node": vector_model(output_and_inner),
    "a ReLU on the input": vector_model(lambda i: L.Dense(3)(L.ReLU()(i))),
    "a skip from the input": vector_model(
        lambda i: L.Dense(3)(L.ReLU()(L.Add()([i, L.Dense(5)(L.Dense(6, "relu")(i))])))
    ),
    "an analog current with two readers": vector_model(two_bounds),
    "an average of spikes and input": vector_model(
        lambda i: L.Dense(3)(L.ReLU()(L.Average()([L.Dense(5, "relu")(i), L.Dense(5)(i)])))
    ),
    "a tensor read twice": vector_model(read_twice),
    "a tensor read twice at two scales": vector_model(read_twice_through_concatenate),
    "a tiny readout": vector_model(tiny_readout),
    "a tiny current": vector_model(bottleneck),
    "normalization with one mean": vector_model(
        lambda i: L.Dense(3)(L.Dense(4, "relu")(L.Normalization(axis=None, mean=0.5, variance=2.0)(i)))
    ),
    "keras.activations.relu as a function": vector_model(
        lambda i: L.Dense(3)(keras.activations.relu(L.Dense(6)(i), max_value=1.5))
    ),
    "a scaled shortcut, channels first": image_model(scaled_channels_first, (3, 6, 6)),
    "a shift, channels first": image_model(shifted_channels_first, (3, 7, 7)),
    "batch norm of a multiple, channels first": image_model(norm_of_scaled_channels_first, (3, 7, 7)),
    "batch norm of the rescaled input, channels first": image_model(norm_of_rescaled_channels_first, (3, 7, 7)),
    "batch norm of an average, channels first": image_model(norm_of_an_average_channels_first, (3, 7, 7)),
    "normalization over another axis": image_model(
        lambda i: L.ReLU()(L.Normalization(axis=1, mean=np.arange(6.0) / 6, variance=np.arange(1.0, 7.0))(i)), (6, 5, 6)
    ),
    "normalization, then batch norm over another axis": image_model(
        lambda i: L.ReLU()(
            L.BatchNormalization()(L.Normalization(axis=1, mean=np.arange(6.0), variance=np.arange(1.0, 7.0))(i))
        ),
        (6, 5, 6),
    ),
    "rescaling per channel": image_model(
        lambda i: L.Conv2D(4, 3, activation="relu")(L.Rescaling([0.5, 1.0, 2.0], offset=[0.1, 0.2, 0.3])(i))
    ),
    "average pooling with unequal strides": image_model(
        lambda i: L.AveragePooling2D((1, 2))(L.Conv2D(4, 3, padding="same", activation="relu")(i))
    ),
}


#: In which inputs a thousand times larger meet constants that are not.
OF_ANY_MAGNITUDE = ["an average of spikes and input", "a tiny current", "rescaling per channel"]
CASES = [(name, 1.0) for name in MODELS] + [(name, 1e4) for name in MODELS]


@pytest.mark.few(6)
@pytest.mark.parametrize(
    "case", mostly_slow(CASES, CASES[: len(MODELS)] + [(name, 1e4) for name in OF_ANY_MAGNITUDE]), ids=str
)
def test_awkward_models_keep_their_function(case, rng):
    name, magnitude = case
    model = MODELS[name]()
    x = (rng.normal(size=(30, *model.input_shape[1:])) * magnitude).astype(np.float32)
    model_snn = snn.convert_keras(model, x, percentile=100)
    assert model_snn.conversion.pass_error < 1e-5
    assert model_snn.conversion.grid_error < 2e-3
    outputs = model_snn.simulate(x, timesteps=512, outputs="last").outputs
    assert_within_bounds(model, model_snn, x, keras.tree.map_structure(lambda array: array[-1], outputs), 512)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", mostly_slow(MODELS, [*MODELS][::3]))
def test_awkward_models_spike_reproducibly(name, rng):
    model = MODELS[name]()
    x = rng.normal(size=(9, *model.input_shape[1:])).astype(np.float32)
    model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
    expected = model_snn.simulate(x, timesteps=9, record="spikes")
    result = model_snn.simulate(x, timesteps=9, record="spikes", batch_size=2, block_length=9)
    for population, spikes in expected.spikes.items():
        np.testing.assert_array_equal(result.spikes[population], spikes)


def test_a_softmax_function_keeps_its_axis(rng):
    inputs = keras.Input((4, 5))
    model = keras.Model(inputs, keras.ops.softmax(L.Dense(3)(L.Dense(6, "relu")(inputs)), axis=1))
    x = rng.normal(size=(20, 4, 5)).astype(np.float32)
    outputs = snn.convert_keras(model, x, timesteps=256, percentile=100).predict(x, verbose=0)
    np.testing.assert_allclose(outputs, model.predict(x, verbose=0), atol=0.05)


def test_inputs_by_name_may_stand_in_for_a_list(rng):
    b, a = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    model = keras.Model([b, a], L.Subtract()([L.Dense(8, "relu")(b), L.Dense(8, "relu")(a)]))
    x = {"a": rng.normal(size=(20, 4)).astype(np.float32), "b": rng.normal(size=(20, 4)).astype(np.float32)}
    model_snn = snn.convert_keras(model, [x["b"], x["a"]], timesteps=16)
    expected = model_snn.predict([x["b"], x["a"]], verbose=0)
    np.testing.assert_array_equal(model_snn.predict(x, verbose=0), expected)
    np.testing.assert_array_equal(model_snn.simulate(x, outputs="last").outputs[-1], expected)


def test_a_nested_model_may_be_called_with_a_dict(rng):
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    nested = keras.Model([b, a], L.Subtract()([L.Dense(4, "relu")(a), L.Dense(4, "relu")(b)]), name="nested")
    inputs = keras.Input((5,))
    model = keras.Model(inputs, L.Dense(2)(L.ReLU()(nested({"a": inputs, "b": L.Dense(5)(inputs)}))))
    x = rng.normal(size=(20, 5)).astype(np.float32)
    if not np.allclose(nested({"a": x, "b": 2 * x}), nested([2 * x, x])):
        pytest.skip("this version of Keras pairs a dict with a list of inputs by position, not by name")
    assert snn.convert_keras(model, x).conversion.pass_error < 1e-5


def test_verification_is_not_fooled_by_data_that_is_all_zero(mlp, monkeypatch):
    seen = []
    original = verification.check_same_function
    monkeypatch.setattr(
        verification,
        "check_same_function",
        lambda source, network, inputs: seen.append(inputs) or original(source, network, inputs),
    )
    snn.convert_keras(mlp, np.zeros((4, 6)))
    assert any(np.abs(array).max() > 0 for inputs in seen for array in inputs.values())


def test_a_layer_synchronous_run_with_one_early_output_is_the_same_run(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    everything = model_snn.simulate(x_mlp, timesteps=8, schedule="layer_synchronous", record="spikes")
    early = model_snn.simulate(x_mlp, timesteps=8, schedule="layer_synchronous", outputs=[4], record="spikes")
    np.testing.assert_array_equal(early.outputs[0], everything.outputs[3])
    np.testing.assert_array_equal(early.spikes["hidden_relu"], everything.spikes["hidden_relu"])


def test_plain_lists_are_arrays(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp.tolist(), timesteps=4, threshold_rule="percentile")
    np.testing.assert_array_equal(model_snn.simulate(x_mlp.tolist()).outputs, model_snn.simulate(x_mlp).outputs)
    frames = np.repeat(x_mlp[:, None], 3, axis=1).tolist()
    assert model_snn.simulate(frames, input="frames").duration == 3


def test_frames_calibrate_a_network_for_frames(mlp, x_mlp):
    frames = x_mlp.reshape(10, 4, 6)
    thresholds = [snn.convert_keras(mlp, data, input="frames").thresholds() for data in (frames, x_mlp)]
    np.testing.assert_array_equal(thresholds[0]["hidden_relu"], thresholds[1]["hidden_relu"])


def test_a_long_block_is_no_longer_than_the_run(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=3, block_length=10**6, threshold_rule="percentile")
    expected = snn.convert_keras(mlp, x_mlp, timesteps=3, threshold_rule="percentile").predict(x_mlp, verbose=0)
    np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), expected)


def test_a_channel_far_below_the_others_has_no_threshold_above_its_maximum(rng):
    model = keras.Sequential([keras.Input((5,)), L.Dense(6, "relu", name="hidden"), L.Dense(3)])
    kernel = model.layers[0].kernel.numpy()
    kernel[:, 0] *= 1e-6
    model.layers[0].kernel.assign(kernel)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    theta = snn.convert_keras(model, x, percentile=97.0).thresholds()["hidden_relu"].reshape(-1)
    assert theta[0] <= np.maximum(x @ kernel, 0)[:, 0].max()


@pytest.mark.filterwarnings("ignore:No `calibration_data`")
def test_without_data_moments_over_different_axes_are_not_added():
    inputs = keras.Input((8, 8, 3))
    h = L.Conv2D(4, 4)(inputs)
    x = L.ReLU()(L.Add()([L.BatchNormalization(axis=1)(h), L.BatchNormalization()(h)]))
    assert snn.convert_keras(keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))).thresholds()


class _Doubled(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: _Doubled([keras.Input((5,)), L.Dense(3, "relu"), L.Dense(2)], name="doubled"),
            ValueError,
            r"'doubled' \(_Doubled\) overrides `call`",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((5,)), _Doubled([keras.Input((5,)), L.Dense(3)], name="inner"), L.ReLU(), L.Dense(2)]
            ),
            snn.UnsupportedModelError,
            r"'inner' \(test_awkward_models\._Doubled\)",
        ),
        (
            image_model(
                lambda i: L.ReLU()(
                    L.Add(name="sum")(
                        [L.Reshape((3, 3, 2, 2, 3))(i), L.Reshape((3, 3, 1, 2, 3))(L.Dense(54)(L.Flatten()(i)))]
                    )
                )
            ),
            snn.UnsupportedModelError,
            r"'sum' \(Add\): it adds tensors of different shapes with more than four axes",
        ),
    ],
)
def test_models_that_would_convert_into_something_else_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        snn.convert_keras(make())


def test_nan_weights_are_named(mlp):
    mlp.get_layer("logits").bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match=r"'mlp' has NaN or infinite weights in: 'logits'"):
        snn.convert_keras(mlp)


def test_a_grid_that_changes_the_outputs_is_an_error(mlp, x_mlp, monkeypatch):
    from snn_toolbox_tf.conversion import verification

    monkeypatch.setattr(verification, "GRID_TOLERANCE", 0.0)
    with pytest.raises(snn.ConversionError, match=r"grid of network 'mlp' changes its outputs"):
        snn.convert_keras(mlp, x_mlp)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"outputs": 4}, r"`outputs` to be .* numbers of timesteps.*Received: 4"),
        ({"outputs": None}, r"`outputs` to be .* numbers of timesteps.*Received: None"),
        ({"record": {"spikes": "hidden"}}, r"Did you mean 'hidden_relu'"),
        ({"seed": 1.5}, r"`seed` to be an integer"),
        ({"seed": -1}, r"`seed` to be an integer"),
    ],
)
def test_plausible_mistakes_get_a_plain_answer(mlp, x_mlp, kwargs, message):
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(x_mlp, **kwargs)
    assert (
        snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(x_mlp, timesteps=2, record=None).spikes
        == {}
    )


def test_labels_do_not_belong_into_calibration_data(mlp, x_mlp):
    with pytest.raises(ValueError, match="Labels do not belong here"):
        snn.convert_keras(mlp, (x_mlp, np.zeros(40)))


def test_stock_tensors_are_data(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, tf.constant(x_mlp), timesteps=4, threshold_rule="percentile")
    np.testing.assert_array_equal(model_snn.simulate(tf.constant(x_mlp)).outputs, model_snn.simulate(x_mlp).outputs)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_images_of_integers_convert(rng, dtype):
    """Models with their preprocessing inside: the check of the conversion must not feed them fractions."""
    inputs = keras.Input((8, 8, 3), dtype=dtype)
    x = L.Conv2D(4, 3, activation="relu")(L.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))
    images = rng.integers(0, 256, (8, 8, 8, 3)).astype(dtype)
    model_snn = snn.convert_keras(model, images, percentile=100)
    assert model_snn.conversion.pass_error < 1e-5
    outputs = model_snn.simulate(images, timesteps=512, outputs="last").outputs[-1]
    np.testing.assert_allclose(outputs, model.predict(images, verbose=0), atol=0.01)
