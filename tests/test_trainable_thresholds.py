"""`with_trainable_thresholds`: what is replaced, by which thresholds, and that nothing else changes."""

import keras
import numpy as np
import pytest
import zoo
from conftest import mostly_slow

import snn_toolbox_tf as snn
from snn_toolbox_tf.layers import QuantizationClipFloorShift, ThresholdReLU

L = keras.layers
#: A PReLU has no steps.
QUANTISED = [builder for builder in zoo.BUILDERS if builder is not zoo.resampled]
KEPT = [zoo.channels_first, zoo.operators, zoo.multi_input, zoo.trained_thresholds]


def rectifiers(model):
    """All layers with trained thresholds, by name."""
    found = {}
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, L.TimeDistributed) else layer
        if isinstance(inner, keras.Model):
            found |= rectifiers(inner)
        elif isinstance(inner, ThresholdReLU):
            found[layer.name] = inner
    return found


def thresholds(model):
    return {name: keras.ops.convert_to_numpy(layer.threshold) for name, layer in rectifiers(model).items()}


def flat(model, x):
    return keras.tree.flatten(model.predict(x, verbose=0))


def relative(ours, theirs):
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in zip(ours, theirs, strict=True))


@pytest.mark.few(2)
@pytest.mark.long
@pytest.mark.parametrize("builder", mostly_slow(zoo.BUILDERS, KEPT))
def test_thresholds_that_clip_nothing_keep_the_function(builder):
    model = zoo.build(builder)
    x, before = zoo.data_for(model, 20), model.get_weights()
    expected, options = flat(model, x), {"activation": "threshold_relu", "percentile": 100}
    for per_channel in (False, True):
        tuned = snn.with_trainable_thresholds(model, x, per_channel=per_channel, **options)
        assert relative(flat(tuned, x), expected) < 1e-6
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.few(2)
@pytest.mark.long
@pytest.mark.parametrize("builder", mostly_slow(QUANTISED, KEPT))
def test_what_was_quantised_is_the_spiking_network_at_the_trained_number_of_timesteps(builder):
    model = zoo.build(builder)
    x = zoo.data_for(model, 20)
    tuned = snn.with_trainable_thresholds(model, x, levels=6, per_channel=builder in zoo.BUILDERS[::2])
    assert relative(flat(tuned, x), flat(model, x)) > 1e-2
    model_snn = snn.convert_keras(tuned, x)
    result = model_snn.simulate(x, timesteps=6, schedule="layer_synchronous", outputs="last")
    # The grid rounds weights: far less than one step of one neuron.
    assert relative([out[-1] for out in keras.tree.flatten(result.outputs)], flat(tuned, x)) < 2e-4


def activations(model, x):
    """What a network with one hidden layer has behind its ReLU."""
    kernel, bias = model.layers[0].get_weights()
    return np.maximum(x @ kernel + bias, 0)


def test_thresholds_begin_at_a_percentile_of_the_activations(mlp, x_mlp):
    positive = activations(mlp, x_mlp)
    largest = snn.with_trainable_thresholds(mlp, x_mlp, percentile=100)
    np.testing.assert_allclose(thresholds(largest)["hidden_relu"], [positive.max()], rtol=1e-6)
    per_channel = snn.with_trainable_thresholds(mlp, x_mlp, percentile=100, per_channel=True)
    expected = np.where(positive.max(0) > 0, positive.max(0), positive.max())
    np.testing.assert_allclose(thresholds(per_channel)["hidden_relu"], expected, rtol=1e-6)
    median = snn.with_trainable_thresholds(mlp, x_mlp, percentile=50)
    np.testing.assert_allclose(
        thresholds(median)["hidden_relu"], [np.percentile(positive[positive > 0], 50)], rtol=2e-3
    )


def test_layers_names_weights_and_source(mlp, x_mlp, tmp_path):
    mlp.layers[1].trainable = False
    tuned = snn.with_trainable_thresholds(mlp, x_mlp, levels=5, name="tuned")
    assert [layer.name for layer in tuned.layers[1:]] == ["hidden", "hidden_relu", "logits"]
    assert [layer.trainable for layer in tuned.layers[1:]] == [True, True, False]
    assert (tuned.name, tuned.layers[1].activation.__name__, tuned.layers[2].levels) == ("tuned", "linear", 5)
    assert [layer.activation.__name__ for layer in mlp.layers] == ["relu", "linear"]
    before = mlp.get_weights()
    tuned.compile(keras.optimizers.SGD(0.1), "mse")
    tuned.fit(x_mlp, np.ones((40, 3)), verbose=0)
    assert all(map(np.array_equal, before, mlp.get_weights()))
    assert not np.array_equal(tuned.layers[1].get_weights()[0], before[0])
    assert snn.with_trainable_thresholds(mlp, x_mlp).name == "mlp"
    tuned.save(tmp_path / "tuned.keras")
    loaded = snn.load_model(tmp_path / "tuned.keras")
    np.testing.assert_array_equal(loaded.predict(x_mlp, verbose=0), tuned.predict(x_mlp, verbose=0))
    np.testing.assert_array_equal(thresholds(loaded)["hidden_relu"], thresholds(tuned)["hidden_relu"])


def test_names_that_are_taken_are_not_given_twice(x_mlp):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, "relu", name="a"), L.Dense(4, name="a_relu"), L.Dense(2)])
    model.compile("adam", "mse")
    tuned = snn.with_trainable_thresholds(model, x_mlp)
    assert [layer.name for layer in tuned.layers[1:4]] == ["a", "a_relu_2", "a_relu"]
    assert not tuned.compiled


def test_relus_of_every_kind_are_replaced_and_outputs_stay(x_mlp):
    inputs = keras.Input((6,))
    x = L.ReLU(name="layer")(L.Dense(5)(inputs))
    x = L.ReLU(0.05, name="bounded")(L.Dense(5)(x))
    x = L.Dense(5, activation=L.ReLU(), name="by_layer")(x)
    x = L.Activation("relu6", name="by_name")(L.Dense(5)(x))
    x = keras.ops.relu(L.Dense(5)(x))
    x = keras.ops.minimum(keras.ops.relu(L.Dense(5)(x)), 3.0)
    x = keras.ops.clip(L.Dense(5)(x), 0.0, 0.125)
    x = L.LeakyReLU(name="leaky")(L.Dense(5)(x))
    model = keras.Model(inputs, L.Dense(5, "relu", name="output")(x))
    for layer in model.layers:
        if isinstance(layer, L.Dense):
            layer.bias.assign(np.full(5, 0.2))
    tuned = snn.with_trainable_thresholds(model, x_mlp, activation="threshold_relu", percentile=100)
    found = thresholds(tuned)
    assert len(found) == 7
    assert {"layer", "bounded", "by_layer_relu", "by_name"} < set(found)
    assert found["bounded"] == np.float32(0.05)
    assert min(theta[0] for theta in found.values()) > 0
    assert tuned.get_layer("output").activation.__name__ == "relu"
    assert isinstance(tuned.get_layer("leaky"), L.LeakyReLU)
    assert relative(flat(tuned, x_mlp), flat(model, x_mlp)) < 1e-6


def test_a_layer_that_is_called_twice_has_one_threshold(x_mlp):
    inputs = keras.Input((6,))
    shared = L.Dense(6, "relu", name="shared")
    model = keras.Model(inputs, L.Dense(2)(shared(10 * shared(inputs))))
    kernel, bias = shared.get_weights()
    once = np.maximum(x_mlp @ kernel + bias, 0)
    twice = np.maximum(10 * once @ kernel + bias, 0)
    tuned = snn.with_trainable_thresholds(model, x_mlp, percentile=100)
    np.testing.assert_allclose(thresholds(tuned)["shared_relu"], [max(once.max(), twice.max())], rtol=1e-6)
    populations = snn.convert_keras(tuned, x_mlp).thresholds()
    assert len(populations) == 2
    assert all(theta == thresholds(tuned)["shared_relu"] for theta in populations.values())


def test_nested_models_and_wrapped_layers(rng):
    block = keras.Sequential([keras.Input((4, 4, 2)), L.Conv2D(3, 3, activation="relu", name="inner")], name="block")
    first = {"data_format": "channels_first"}
    inputs = keras.Input((3, 4, 4, 2))
    x = L.TimeDistributed(block, name="steps")(inputs)
    x = L.TimeDistributed(L.Conv2D(5, 2, padding="same", activation="relu"), name="wrapped")(x)
    x = L.TimeDistributed(L.ReLU(), name="alone")(L.TimeDistributed(L.Conv2D(6, 1))(x))
    x = L.TimeDistributed(L.Conv2D(4, 1, activation="relu", **first), name="channels_first")(x)
    model = keras.Model(inputs, L.Dense(2)(L.Flatten()(x)))
    x = rng.normal(size=(20, 3, 4, 4, 2)).astype(np.float32)
    for per_channel in (False, True):
        tuned = snn.with_trainable_thresholds(
            model, x, activation="threshold_relu", percentile=100, per_channel=per_channel
        )
        assert set(rectifiers(tuned)) == {"inner_relu", "wrapped_relu", "alone", "channels_first_relu"}
        assert relative(flat(tuned, x), flat(model, x)) < 1e-6
        assert snn.convert_keras(tuned, x).conversion.pass_error < 1e-5
    assert [theta.size for theta in thresholds(tuned).values()] == [3, 5, 6, 4]


def test_thresholds_that_were_trained_before_are_kept(mlp, x_mlp):
    first = snn.with_trainable_thresholds(mlp, x_mlp, activation="threshold_relu")
    first.get_layer("hidden_relu").threshold.assign([0.3125])
    second = snn.with_trainable_thresholds(first, x_mlp)
    assert isinstance(second.get_layer("hidden_relu"), QuantizationClipFloorShift)
    assert thresholds(second)["hidden_relu"] == 0.3125


def test_adapted_normalization_is_copied(mlp, x_mlp):
    normalization = L.Normalization()
    normalization.adapt(5 * x_mlp + 2)
    model = keras.Sequential([keras.Input((6,)), normalization, *mlp.layers])
    tuned = snn.with_trainable_thresholds(model, x_mlp, activation="threshold_relu", percentile=100)
    assert relative(flat(tuned, x_mlp), flat(model, x_mlp)) < 1e-6


def test_data_that_drives_nothing_is_told(mlp):
    mlp.layers[0].kernel.assign(-np.abs(mlp.layers[0].kernel))
    with pytest.warns(UserWarning, match=r"drives no neuron of hidden_relu: their thresholds begin at 1"):
        tuned = snn.with_trainable_thresholds(mlp, np.ones((4, 6), np.float32))
    assert thresholds(tuned)["hidden_relu"] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "qcfs"}, r"Unknown `activation`. Expected one of \('quantization.*activation='qcfs'"),
        ({"levels": 0}, r"Expected `levels` to be a positive integer. Received: levels=0"),
        ({"percentile": 0}, r"Expected `percentile` to be in \(0, 100\].*percentile=0"),
        ({"percentile": "99"}, r"Expected `percentile` to be in \(0, 100\].*percentile='99'"),
        ({"per_channel": 1}, r"Expected `per_channel` to be True or False. Received: per_channel=1"),
        ({"name": "a b"}, r"Expected `name` to be a name of letters, digits.*name='a b'"),
        ({"calibration_data": np.ones((4, 5))}, r"calibration_data"),
    ],
)
def test_arguments_that_are_none_are_refused(mlp, x_mlp, options, message):
    with pytest.raises(ValueError, match=message):
        snn.with_trainable_thresholds(mlp, **{"calibration_data": x_mlp, **options})


def test_models_that_cannot_be_converted_are_refused_before_any_training(x_mlp):
    with pytest.raises(TypeError, match=r"Expected `model` to be a keras.Model"):
        snn.with_trainable_thresholds("net.keras", x_mlp)
    smooth = keras.Sequential([keras.Input((6,)), L.Dense(4, "relu"), L.Dense(4, "gelu", name="smooth"), L.Dense(2)])
    with pytest.raises(snn.UnsupportedModelError, match=r"'smooth_gelu' \(Activation gelu\)"):
        snn.with_trainable_thresholds(smooth, x_mlp)
    leaky = keras.Sequential([keras.Input((6,)), L.Dense(4), L.LeakyReLU(), L.Dense(2, "relu")], name="leaky")
    with pytest.raises(snn.UnsupportedModelError, match=r"Model 'leaky' has no inner ReLU.*a slope below zero keep it"):
        snn.with_trainable_thresholds(leaky, x_mlp)


@pytest.mark.slow
@pytest.mark.long
def test_fine_tuned_on_mnist_four_timesteps_are_the_trained_network(data_dir):
    """On 6,000 training and 2,000 test images; step by step, four times as many timesteps are no less accurate."""

    def images(name, count):
        data = np.load(data_dir / f"mnist_{name}.npz")
        return data["x"][:count].reshape(-1, 784).astype(np.float32) / 255, data["y"][:count]

    (x, y), (x_test, y_test) = images("train", 6000), images("test", 2000)
    model = keras.Sequential([keras.Input((784,)), L.Dense(64, "relu"), L.Dense(32, "relu"), L.Dense(10, "softmax")])
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=5, batch_size=64, verbose=0)
    tuned = snn.with_trainable_thresholds(model, x[:500], levels=4)
    tuned.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    tuned.fit(x, y, epochs=3, batch_size=64, verbose=0)
    expected = tuned.predict(x_test, verbose=0)
    accuracy = np.mean(expected.argmax(1) == y_test)
    assert accuracy > 0.8
    model_snn = snn.convert_keras(tuned, x[:500], timesteps=4)
    outputs = model_snn.simulate(x_test, schedule="layer_synchronous", outputs="last").outputs[-1]
    # A sum that lies on a step may fall on the other side of it; hardly any does.
    assert np.mean(np.abs(outputs - expected).max(1) < 1e-4) > 0.995
    assert np.mean(outputs.argmax(1) == expected.argmax(1)) > 0.999
    step_by_step = model_snn.simulate(x_test, timesteps=16, outputs="last").outputs[-1]
    assert np.mean(step_by_step.argmax(1) == y_test) > accuracy - 0.003
