"""Models that are wired in unusual ways: they convert, or are refused with a reason, and `check` tells the truth."""

import keras
import numpy as np
import pytest
from convergence import assert_close, assert_converges

import snn_toolbox_tf as snn

L, ops = keras.layers, keras.ops


def hidden(inputs, units=12, **kwargs):
    return L.Dense(units, "relu", bias_initializer="normal", **kwargs)(inputs)


def data(*shape, samples=16):
    return np.random.default_rng(0).normal(size=(samples, *shape)).astype(np.float32)


def rows_of(model):
    return {row.name: (row.becomes, row.reason) for row in snn.check(model).rows}


OUTPUTS = {
    "ELU": lambda: L.ELU(alpha=0.5),
    "ReLU": lambda: L.ReLU(max_value=0.7, negative_slope=0.1),
    "ReLU that jumps": lambda: L.ReLU(threshold=0.3),
    "LeakyReLU": lambda: L.LeakyReLU(),
    "PReLU": lambda: L.PReLU(alpha_initializer="normal"),
    "Softmax": lambda: L.Softmax(),
    "Activation": lambda: L.Activation("softsign"),
}
if hasattr(ops, "soft_shrink"):
    OUTPUTS["soft shrink"] = lambda: ops.soft_shrink
    OUTPUTS["soft shrink with a threshold"] = lambda: lambda x: ops.soft_shrink(x, threshold=0.1)


@pytest.mark.few(4)
@pytest.mark.parametrize("name", OUTPUTS)
def test_every_activation_layer_may_be_an_output(name):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    model = keras.Model(inputs, OUTPUTS[name]()(L.Dense(3)(hidden(inputs))))
    if "jumps" in name:
        # It is applied to a current that is close, and perhaps on the other side.
        assert_close(model, snn.convert_keras(model, data(8), percentile=100), data(8), 512, tolerance=0.3)
    else:
        assert_converges(model, data(8))


def test_an_activation_layer_may_be_part_of_an_output():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    assert_converges(keras.Model(inputs, L.Dense(3, activation=L.ELU(alpha=0.5))(hidden(inputs))), data(8))


def test_sizes_that_keras_loses_are_found_again():
    """The documented way to write an EinsumDense over a sequence: None stands for the axis that stays."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((20, 3))
    einsum = L.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d", activation="relu", name="einsum")
    x = L.ReLU(name="again")(L.Conv1D(4, 3, name="conv")(einsum(inputs)))
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(x)))
    assert_converges(model, data(20, 3))
    rows = rows_of(model)
    assert rows["einsum"][0] == "synapse"
    assert "20 x 6" in rows["einsum_relu"][1]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.squeeze(ops.expand_dims(x, 0), 0),
        lambda x: ops.transpose(x, (1, 0)),
        lambda x: ops.max(ops.stack([x, 2 * x], axis=0), axis=0),
    ],
)
def test_what_moves_the_axis_of_samples_is_refused(function):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, function(hidden(inputs, 4)))
    assert not snn.check(model).ok
    with pytest.raises(snn.UnsupportedModelError, match="does not know this operation"):
        snn.convert_keras(model)


@pytest.mark.parametrize("value", [0.5, 2.0])
def test_padding_with_other_values_than_zero_is_refused(value):
    inputs = keras.Input((8,))
    padded = ops.pad(hidden(inputs), ((0, 0), (1, 1)), constant_values=value)
    with pytest.raises(snn.UnsupportedModelError, match=r"\(Pad\): the converter does not know this operation"):
        snn.convert_keras(keras.Model(inputs, L.Dense(2)(padded)))


@pytest.mark.parametrize("call", [lambda model, x: model(inputs=x), lambda model, x: model(x)])
def test_nested_models_are_called_with_or_without_a_keyword(call):
    keras.utils.set_random_seed(0)
    inner_inputs = keras.Input((8,))
    inner = keras.Model(inner_inputs, hidden(inner_inputs))
    inputs = keras.Input((8,))
    assert_converges(keras.Model(inputs, L.Dense(2)(call(inner, inputs))), data(8))


def test_names_that_look_like_parts_of_others_are_kept():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = hidden(inputs, 4, name="reshape_part")
    same = L.Reshape((4,), name="reshape")(x)
    assert_converges(keras.Model(inputs, L.Dense(2)(L.Concatenate()([same, x]))), data(8))


@pytest.mark.parametrize(
    "join",
    [
        lambda x: ops.concatenate([x], axis=-1),
        lambda x: ops.stack([x], axis=1),
        lambda x: L.Concatenate()([x]),
        lambda x: L.Add()([x]),
        lambda x: L.Average()([x]),
    ],
)
def test_joins_of_one_tensor_do_nothing(join):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    try:
        joined = join(hidden(inputs))
    except ValueError:
        pytest.skip("this Keras wants more than one tensor")
    assert_converges(keras.Model(inputs, L.Dense(2)(L.Flatten()(joined))), data(8))


def test_constants_may_be_larger_than_what_they_are_added_to():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    image = L.Reshape((4, 3))(hidden(inputs))
    x = L.ReLU()(ops.mean(image, axis=1, keepdims=True) - np.linspace(0, 1, 12, dtype="float32").reshape(4, 3))
    assert_converges(keras.Model(inputs, L.Dense(2)(L.Flatten()(x))), data(8))


def test_operations_are_refused_for_the_reasons_of_their_layers():
    inputs = keras.Input((2, 2, 2, 2, 3))
    total = L.ReLU()(inputs) + L.ReLU()(inputs)[:, :1]
    with pytest.raises(snn.UnsupportedModelError, match=r"\(Add\): it adds tensors of different shapes with more than"):
        snn.convert_keras(keras.Model(inputs, L.Dense(2)(L.Flatten()(total))))
    image = keras.Input((6, 4, 1))
    resized = ops.image.resize(L.ReLU()(image), (3, 3), pad_to_aspect_ratio=True)
    with pytest.raises(snn.UnsupportedModelError, match=r"\(Resize\): what it adds around the image"):
        snn.convert_keras(keras.Model(image, L.Dense(2)(L.Flatten()(resized))))


def test_pool_sizes_may_be_numbers_of_numpy():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    pooled = ops.max_pool(L.Reshape((4, 3))(hidden(inputs)), np.int64(2))
    assert_converges(keras.Model(inputs, L.Dense(2)(L.Flatten()(pooled))), data(8))


@pytest.mark.skipif(not hasattr(ops, "threshold"), reason="this Keras has no such functions")
@pytest.mark.parametrize(
    "function", [lambda x: ops.threshold(x, 0.1, 0.2), lambda x: ops.hard_shrink(x, threshold=0.1)]
)
def test_jumps_with_parameters_are_refused_at_outputs_too(function):
    inputs = keras.Input((8,))
    with pytest.raises(snn.UnsupportedModelError, match="it jumps at its threshold"):
        snn.convert_keras(keras.Model(inputs, function(L.Dense(3)(hidden(inputs)))))


def test_reduced_precision_inside_a_wrapper_is_named():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, "relu", dtype="mixed_float16", name="half")])
    inputs = keras.Input((5, 4))
    with pytest.raises(ValueError, match=r"reduced precision in: 'half' \(mixed_float16\)"):
        snn.convert_keras(keras.Model(inputs, L.Dense(2)(L.Flatten()(L.TimeDistributed(inner)(inputs)))))


def test_what_stands_behind_a_decoded_output_is_not_trained():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, L.Rescaling(2.0, offset=0.5)(L.Dense(1, "sigmoid")(hidden(inputs))))
    x = data(8)
    model_snn = snn.convert_keras(model, x, threshold_rule="percentile")
    model_snn.compile("sgd", "mse")
    model_snn.fit(x, np.zeros((16, 1)), epochs=2, verbose=0)
    ((_, scale),) = model_snn.network.decoders
    assert (float(scale.factor[0]), float(scale.offset[0])) == (2.0, 0.5)


def test_the_check_tells_the_truth_about_chains():
    inputs = keras.Input((4, 4, 4, 6))
    x = L.MaxPooling3D(2, name="pooled")(L.Conv3D(6, 1, activation="relu")(inputs))
    _, _, third = ops.split(x, 3, axis=-1)
    x = L.EinsumDense("abcde,ef->abcdf", (2, 2, 2, 3), bias_axes="f", bias_initializer="normal", name="einsum")(third)
    x = L.ReLU()(x)
    model = keras.Model(
        inputs, [L.GlobalMaxPooling3D(name="peak")(x), L.EinsumDense("abcde,bcdef->af", 3, name="sum")(x)]
    )
    rows = rows_of(model)
    assert rows["pooled"] == ("synapse", "pools accumulated currents")
    assert rows["einsum"][0] == "synapse"
    # The ReLU in front of it moves behind it, and so is applied to the decoded output.
    assert rows["peak"] == ("synapse", "pools accumulated currents")
    assert next(becomes for name, (becomes, _) in rows.items() if name.startswith("split")) == "synapse"
    assert not any("_part" in reason for _, reason in rows.values())
    assert "einsum" in snn.convert_keras(model, data(4, 4, 4, 6), threshold_rule="percentile").network.graph
