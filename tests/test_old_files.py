"""Models that Keras 1 and 2 wrote: real files, and small ones in the layouts of the time with outputs computed by hand."""

import json
import re
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main

KERAS_1, KERAS_2 = "1.2.2", "2.2.4"


def layer(class_name, name, **config):
    return {"class_name": class_name, "config": {"name": name, **config}}


def write(path, architecture, weights, version, backend=None, training=None):
    """Writes an .h5 file as Keras 1 and 2 did.

    Args:
        path: The file.
        architecture: Class name and configuration; the weights alone are written if it is None.
        weights: Lists of names and arrays by layer.
        version: Version of Keras; not written if None.
        backend: Name of the backend; not written if None, as in Keras 1.
        training: What the model was compiled with.
    """
    with h5py.File(path, "w") as file:
        groups = file.create_group("model_weights") if architecture else file
        for name, value in (("keras_version", version), ("backend", backend)):
            if value:
                file.attrs[name] = value.encode()
        if architecture:
            file.attrs["model_config"] = json.dumps(architecture).encode()
        if training:
            file.attrs["training_config"] = json.dumps(training).encode()
        groups.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            group = groups.create_group(name)
            group.attrs["weight_names"] = [key.encode() for key, _ in arrays]
            for key, array in arrays:
                group[key] = array
    return path


def sequential(*layers):
    return {"class_name": "Sequential", "config": list(layers)}


def read(path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'.*' was written by Keras")
        return snn.load_model(path)


def outputs(model, x):
    return model.predict(x, verbose=0)


def windows(x, kernel_shape, stride, start):
    """Yields row, column and window of images with zeros around them: [batch, channels, rows, columns]."""
    (rows, columns), counts = kernel_shape, [-(-size // stride) for size in x.shape[2:]]
    around = np.pad(x, [(0, 0), (0, 0), (8, 8), (8, 8)])
    for row in range(counts[0]):
        for column in range(counts[1]):
            top, left = 8 + row * stride + start[0], 8 + column * stride + start[1]
            yield row, column, around[:, :, top : top + rows, left : left + columns]


def true_convolution(x, kernel, stride=1):
    """Convolves as Theano does with border_mode='same': kernels [out, in, rows, columns] turned around, half in front."""
    size = kernel.shape[2:]
    result = np.zeros((len(x), len(kernel), *(-(-n // stride) for n in x.shape[2:])))
    for row, column, window in windows(x, size, stride, [-(n // 2) for n in size]):
        result[:, :, row, column] = np.einsum("bchw,ochw->bo", window, kernel[:, :, ::-1, ::-1])
    return result


CONV_1 = {"nb_filter": 4, "border_mode": "same", "bias": True, "activation": "linear", "init": "glorot_uniform"}


def th_convolution(rows=3, columns=3, stride=1, **config):
    old = {"nb_row": rows, "nb_col": columns, "subsample": [stride, stride], "dim_ordering": "th", **CONV_1, **config}
    return layer(
        "Convolution2D", "conv", batch_input_shape=[None, 2, 6, 7], W_regularizer={"l2": 0.1, "name": "L2"}, **old
    )


@pytest.mark.parametrize(("rows", "columns", "stride"), [(3, 3, 1), (3, 5, 1), (2, 4, 1), (3, 3, 2), (4, 5, 3)])
def test_theano_convolutions_of_keras_1_are_true_convolutions(tmp_path, rng, rows, columns, stride):
    kernel, bias = rng.normal(size=(4, 2, rows, columns)), rng.normal(size=4)
    file = write(
        tmp_path / "old.h5",
        sequential(th_convolution(rows, columns, stride)),
        {"conv": [("conv_W", kernel), ("conv_b", bias)]},
        KERAS_1,
    )
    x = rng.normal(size=(3, 2, 6, 7))
    with pytest.warns(
        UserWarning, match=r"'old.h5' was written by Keras 1.2.2 with Theano: rebuilt for Keras 3, kernels of 1 conv"
    ):
        model = snn.load_model(file)
    expected = true_convolution(x, kernel, stride) + bias[:, None, None]
    assert model.layers[-1].data_format == "channels_first"
    np.testing.assert_allclose(outputs(model, x), expected, rtol=1e-4, atol=1e-5)


def test_tensorflow_convolutions_of_keras_1_are_not_turned_around(tmp_path, rng):
    kernel, bias = rng.normal(size=(4, 2, 3, 3)), rng.normal(size=4)
    weights = {"conv": [("conv_W:0", kernel), ("conv_b:0", bias)]}
    file = write(tmp_path / "old.h5", sequential(th_convolution()), weights, KERAS_1)
    x = rng.normal(size=(3, 2, 6, 7))
    with pytest.warns(UserWarning, match=r"Keras 1.2.2 with TensorFlow: rebuilt for Keras 3\.$"):
        model = snn.load_model(file)
    expected = true_convolution(x, kernel[:, :, ::-1, ::-1]) + bias[:, None, None]
    np.testing.assert_allclose(outputs(model, x), expected, rtol=1e-4, atol=1e-5)


def test_theano_depthwise_convolutions_were_turned_around_by_keras_itself(tmp_path, rng):
    kernel = rng.normal(size=(3, 3, 2, 1))
    config = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "data_format": "channels_first"}
    config |= {"use_bias": False, "depth_multiplier": 1, "batch_input_shape": [None, 2, 6, 7]}
    weights = {"dw": [("dw/depthwise_kernel", kernel)]}
    file = write(tmp_path / "old.h5", sequential(layer("DepthwiseConv2D", "dw", **config)), weights, KERAS_2, "theano")
    x = rng.normal(size=(2, 2, 6, 7))
    per_channel = [true_convolution(x[:, [k]], kernel[::-1, ::-1, k, 0][None, None]) for k in range(2)]
    np.testing.assert_allclose(outputs(read(file), x), np.concatenate(per_channel, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 1, 3, 4), (4, 3, 5, 1)], ids=["from 1.1 on", "before"])
def test_both_layouts_of_convolutions_in_one_dimension(tmp_path, rng, shape):
    kernel = rng.normal(size=(5, 3, 4))
    stored = kernel[:, None] if shape[0] == 5 else kernel.transpose(2, 1, 0)[..., None]
    config = {"nb_filter": 4, "filter_length": 5, "subsample_length": 1, "border_mode": "valid", "bias": False}
    config |= {"batch_input_shape": [None, 9, 3], "input_dim": 3, "input_length": 9, "activation": "linear"}
    file = write(
        tmp_path / "old.h5",
        sequential(layer("Convolution1D", "conv", **config)),
        {"conv": [("conv_W", stored.reshape(shape))]},
        KERAS_1,
    )
    x = rng.normal(size=(2, 9, 3))
    expected = np.stack([np.einsum("blc,lco->bo", x[:, t : t + 5], kernel[::-1]) for t in range(5)], axis=1)
    np.testing.assert_allclose(outputs(read(file), x), expected, rtol=1e-4, atol=1e-5)


def deconvolution(dim_ordering, output_shape, input_shape):
    config = {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "subsample": [2, 2], "border_mode": "valid", "bias": False}
    config |= {"dim_ordering": dim_ordering, "output_shape": output_shape, "batch_input_shape": input_shape}
    return sequential(layer("Deconvolution2D", "up", **config))


@pytest.mark.parametrize("backend", ["Theano", "TensorFlow"])
def test_deconvolutions_of_keras_1(tmp_path, rng, backend):
    """Channels first with Theano, channels last with TensorFlow; the kernel is [out, in, rows, columns] here."""
    kernel, x = rng.normal(size=(4, 3, 3, 2)), rng.normal(size=(2, 3, 5, 6))
    expected, used = np.zeros((2, 4, 11, 12)), kernel[:, :, ::-1, ::-1] if backend == "Theano" else kernel
    for row in range(5):
        for column in range(6):
            spread = np.einsum("bc,ochw->bohw", x[:, :, row, column], used)
            expected[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 2] += spread
    if backend == "Theano":
        architecture, weights = deconvolution("th", [None, 4, 11, 12], [None, 3, 5, 6]), [("up_W", kernel)]
    else:
        architecture = deconvolution("tf", [None, 11, 12, 4], [None, 5, 6, 3])
        weights = [("up_W:0", kernel.transpose(2, 3, 1, 0))]
        x, expected = x.transpose(0, 2, 3, 1), expected.transpose(0, 2, 3, 1)
    file = write(tmp_path / "old.h5", architecture, {"up": weights}, KERAS_1)
    np.testing.assert_allclose(outputs(read(file), x), expected, rtol=1e-4, atol=1e-5)


def test_deconvolutions_whose_size_keras_3_does_not_give_are_refused(tmp_path):
    architecture = deconvolution("tf", [None, 12, 12, 4], [None, 5, 6, 3])
    file = write(tmp_path / "old.h5", architecture, {"up": [("up_W:0", np.zeros((3, 2, 3, 4)))]}, KERAS_1)
    with pytest.raises(snn.ModelFileError, match=r"'up' .* its output had the shape \(12, 12, 4\), that of Keras 3"):
        snn.load_model(file)


def test_batch_normalization_of_keras_1_stores_the_variance_as_running_std(tmp_path, rng):
    gamma, beta, mean, variance = (rng.random(3) + 0.5 for _ in range(4))
    config = {
        "mode": 0,
        "axis": 1,
        "epsilon": 1e-3,
        "momentum": 0.99,
        "gamma_regularizer": None,
        "beta_regularizer": None,
    }
    names = ("bn_gamma", "bn_beta", "bn_running_mean", "bn_running_std")
    file = write(
        tmp_path / "old.h5",
        sequential(layer("BatchNormalization", "bn", batch_input_shape=[None, 3, 4, 4], **config)),
        {"bn": list(zip(names, (gamma, beta, mean, variance), strict=True))},
        KERAS_1,
    )
    x = rng.normal(size=(2, 3, 4, 4))
    gamma, beta, mean, variance = (array[:, None, None] for array in (gamma, beta, mean, variance))
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(outputs(read(file), x), expected, rtol=1e-4, atol=1e-5)


def dense_1(name, units, **config):
    return layer("Dense", name, output_dim=units, activation="linear", bias=True, init="uniform", **config)


def dense_weights(rng, name, inputs, units):
    return [(f"{name}_W:0", rng.normal(size=(inputs, units))), (f"{name}_b:0", rng.normal(size=units))]


MERGED = {
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda a, b: (a + b) / 2,
    "max": np.maximum,
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
}


def computed(x, weights):
    (_, kernel), (_, bias) = weights
    return x @ kernel + bias


@pytest.mark.parametrize("mode", MERGED)
def test_branches_that_keras_1_merged_in_a_sequential_model(tmp_path, rng, mode):
    weights = {name: dense_weights(rng, name, inputs, 3) for name, inputs in (("left", 4), ("right", 5))}
    weights["last"] = dense_weights(rng, "last", 6 if mode == "concat" else 3, 2)
    branches = [sequential(dense_1(name, 3, batch_input_shape=[None, n])) for name, n in (("left", 4), ("right", 5))]
    merge = layer("Merge", "merge", mode=mode, mode_type="raw", concat_axis=-1, dot_axes=-1, layers=branches)
    file = write(tmp_path / "old.h5", sequential(merge, dense_1("last", 2)), weights, KERAS_1)
    left, right = rng.normal(size=(2, 4)), rng.normal(size=(2, 5))
    value = MERGED[mode](computed(left, weights["left"]), computed(right, weights["right"]))
    expected = computed(value, weights["last"])
    np.testing.assert_allclose(outputs(read(file), [left, right]), expected, rtol=1e-4, atol=1e-5)


def functional(layers, inputs, outputs, class_name="Model", name="net"):
    config = {"name": name, "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"class_name": class_name, "config": config, "name": name}


def wired(entry, *nodes):
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": list(nodes)}


def test_functional_models_of_keras_1_with_merge_and_shared_layers(tmp_path, rng):
    layers = [
        wired(layer("InputLayer", "a", batch_input_shape=[None, 4], input_dtype="float32", sparse=False)),
        wired(layer("InputLayer", "b", batch_input_shape=[None, 4], input_dtype="float32", sparse=False)),
        wired(dense_1("shared", 3), [["a", 0, 0]], [["b", 0, 0]]),
        wired(layer("Merge", "merge", mode="concat", concat_axis=1), [["shared", 1, 0], ["shared", 0, 0]]),
    ]
    architecture = functional(layers, [["a", 0, 0], ["b", 0, 0]], [["merge", 0, 0]])
    weights = {"shared": dense_weights(rng, "shared", 4, 3)}
    file = write(tmp_path / "old.h5", architecture, weights, KERAS_1)
    a, b = rng.normal(size=(2, 2, 4))
    expected = np.concatenate([computed(b, weights["shared"]), computed(a, weights["shared"])], axis=1)
    np.testing.assert_allclose(outputs(read(file), [a, b]), expected, rtol=1e-4, atol=1e-5)


def dense_2(name, units, **config):
    return layer("Dense", name, **{"units": units, "activation": "linear", "use_bias": True, **config})


def bn_2(name, **config):
    return layer("BatchNormalizationV1", name, axis=[1], epsilon=1e-3, center=True, scale=True, **config)


@pytest.mark.parametrize("frozen", [False, True])
def test_nested_models_of_keras_2_keep_their_weights_in_one_row(tmp_path, rng, frozen):
    inner = functional(
        [
            wired(layer("InputLayer", "in", batch_input_shape=[None, 3], dtype="float32")),
            wired(dense_2("first", 3, trainable=not frozen), [["in", 0, 0, {}]]),
            wired(bn_2("bn"), [["first", 0, 0, {}]]),
            wired(dense_2("second", 3), [["bn", 0, 0, {}]]),
        ],
        [["in", 0, 0]],
        [["second", 0, 0]],
        name="inner",
    )
    layers = [
        wired(layer("InputLayer", "x", batch_input_shape=[None, 3], dtype="float32")),
        # Its first call made the model itself, so the two calls here are the second and the third.
        {**inner, "inbound_nodes": [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]},
    ]
    first, second = (dense_weights(rng, name, 3, 3) for name in ("first", "second"))
    first, second = (
        [(key.replace("_W", "/kernel").replace("_b", "/bias"), a) for key, a in w] for w in (first, second)
    )
    statistics = [(f"bn/{name}:0", rng.random(3) + 0.5) for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    rest = statistics[2:]
    row = [*statistics[:2], *second, *first, *rest] if frozen else [*first, *statistics[:2], *second, *rest]
    file = write(
        tmp_path / "old.h5", functional(layers, [["x", 0, 0]], [["inner", 2, 0]]), {"inner": row}, "2.1.6", "tensorflow"
    )
    x = value = rng.normal(size=(2, 3))
    gamma, beta, mean, variance = (array for _, array in statistics)
    for _ in range(2):
        value = gamma * (computed(value, first) - mean) / np.sqrt(variance + 1e-3) + beta
        value = computed(value, second)
    model = read(file)
    np.testing.assert_allclose(outputs(model, x), value, rtol=1e-4, atol=1e-4)
    assert model.get_layer("inner").get_layer("first").trainable is not frozen


def test_nested_sequential_models_without_a_name_go_by_their_places(tmp_path, rng):
    first, second = (dense_weights(rng, name, 4, 4) for name in ("one", "two"))
    parts = [sequential(dense_1(name, 4, batch_input_shape=[None, 4])) for name in ("one", "two")]
    weights = {"sequential_7": first, "drop": [], "sequential_9": second}
    architecture = sequential(parts[0], layer("Dropout", "drop", p=0.5), parts[1])
    # HDF5, as Keras wrote it to .keras files before 2.13.
    file = write(tmp_path / "old.keras", architecture, weights, KERAS_1)
    x = rng.normal(size=(2, 4))
    np.testing.assert_allclose(outputs(read(file), x), computed(computed(x, first), second), rtol=1e-4, atol=1e-5)


def test_early_flatten_keeps_the_order_of_the_values_whatever_keras_is_set_to(tmp_path, rng):
    file = write(
        tmp_path / "old.h5",
        sequential(layer("Flatten", "flat", batch_input_shape=[None, 2, 3, 4])),
        {},
        "2.0.4",
        "theano",
    )
    x = rng.normal(size=(2, 2, 3, 4))
    keras.config.set_image_data_format("channels_first")
    try:
        model = read(file)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(outputs(model, x), x.reshape(2, -1), rtol=1e-6)


def operation(name, function, *nodes):
    return wired(layer("TFOpLambda", name, function=function), *nodes)


def test_functions_of_tensorflow_become_functions_of_keras(tmp_path, rng):
    layers = [
        wired(layer("InputLayer", "x", batch_input_shape=[None, 4])),
        operation("tf.math.multiply", "math.multiply", ["x", 0, 0, {"y": 3.0, "name": None}]),
        operation("tf.__operators__.add", "__operators__.add", ["tf.math.multiply", 0, 0, {"y": ["x", 0, 0]}]),
        operation(
            "tf.math.subtract", "math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": ["tf.__operators__.add", 0, 0]}]
        ),
        operation("tf.nn.relu", "nn.relu", ["tf.math.subtract", 0, 0, {"name": None}]),
        # A layer with the name that Keras gives to its own additions.
        wired(layer("Add", "add"), [["tf.nn.relu", 0, 0, {}], ["x", 0, 0, {}]]),
    ]
    architecture = functional(layers, [["x", 0, 0]], [["add", 0, 0]], class_name="Functional")
    x = rng.normal(size=(5, 4))
    model = read(write(tmp_path / "old.h5", architecture, {}, "2.9.0", "tensorflow"))
    np.testing.assert_allclose(outputs(model, x), np.maximum(1 - 4 * x, 0) + x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("container", ["layers", "_layer_checkpoint_dependencies"])
def test_archives_of_keras_2(tmp_path, rng, container):
    """Weights are numbered by class; before 2.13, each layer with weights was counted twice."""
    kernels = [rng.normal(size=(3, 3)) for _ in range(2)]
    dense = [dense_2(name, 3, use_bias=False) for name in ("one", "two")]
    entries = [
        layer("InputLayer", "x", batch_input_shape=[None, 3]),
        dense[0],
        layer("LeakyReLU", "leaky", alpha=0.5),
        dense[1],
    ]
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": entries}}
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        for name, kernel in zip(("dense", "dense_1" if container == "layers" else "dense_2"), kernels, strict=True):
            file[f"{container}/{name}/vars/0"] = kernel
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    x = rng.normal(size=(4, 3))
    hidden = x @ kernels[0]
    expected = np.where(hidden > 0, hidden, 0.5 * hidden) @ kernels[1]
    np.testing.assert_allclose(outputs(read(tmp_path / "old.keras"), x), expected, rtol=1e-4, atol=1e-5)


def recurrent(x, kernel, recurrent_kernel, bias):
    state = np.zeros((len(x), len(bias)))
    for step in range(x.shape[1]):
        state = np.maximum(x[:, step] @ kernel + state @ recurrent_kernel + bias, 0)
    return state


@pytest.mark.parametrize("kind", [KERAS_1, KERAS_2, "archive"])
def test_recurrent_layers(tmp_path, rng, kind):
    shape = {"batch_input_shape": [None, 5, 3], "input_dtype": "float32"}
    arrays = [rng.normal(size=size) * 0.4 for size in ((3, 4), (4, 4), (4,))]
    old = {"output_dim": 4, "inner_init": "orthogonal", "dropout_W": 0.0, "dropout_U": 0.0, "consume_less": "cpu"}
    new = {"units": 4, "use_bias": True, "implementation": 1, "dropout": 0.0, "recurrent_dropout": 0.0}
    same = {"activation": "relu", "return_sequences": False, "go_backwards": False, "stateful": False, "unroll": False}
    entry = layer("SimpleRNN", "rnn", **same, **(old if kind == KERAS_1 else new), **shape)
    if kind == "archive":
        file = tmp_path / "old.keras"
        with h5py.File(tmp_path / "model.weights.h5", "w") as weights:
            for place, array in enumerate(arrays):
                weights[f"layers/simple_rnn/cell/vars/{place}"] = array
        config = {"class_name": "Sequential", "config": {"name": "net", "layers": [entry]}}
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1"}))
            archive.writestr("config.json", json.dumps(config))
            archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    else:
        cell = ("rnn_{}:0", "WUb") if kind == KERAS_1 else ("rnn/{}:0", ("kernel", "recurrent_kernel", "bias"))
        names = [cell[0].format(name) for name in cell[1]]
        weights = {"rnn": list(zip(names, arrays, strict=True))}
        file = write(tmp_path / "old.h5", sequential(entry), weights, kind)
    x = rng.normal(size=(2, 5, 3))
    model = read(file)
    np.testing.assert_allclose(outputs(model, x), recurrent(x, *arrays), rtol=1e-4, atol=1e-5)
    assert snn.convert_keras(model, np.abs(x), threshold_rule="percentile").windows == 5


def mlp_1(path, rng, **options):
    layers = (
        dense_1("hidden", 5, batch_input_shape=[None, 4]),
        layer("Activation", "relu", activation="relu"),
        dense_1("out", 3),
    )
    weights = {"hidden": dense_weights(rng, "hidden", 4, 5), "relu": [], "out": dense_weights(rng, "out", 5, 3)}
    return write(path, sequential(*layers), weights, KERAS_1, **options)


def test_loss_and_metrics_are_taken_over_if_they_are_those_of_keras(tmp_path, rng):
    training = {"loss": "categorical_crossentropy", "metrics": ["accuracy"], "optimizer_config": {"class_name": "SGD"}}
    model = read(mlp_1(tmp_path / "known.h5", rng, training=training))
    assert model.loss == "categorical_crossentropy"
    assert set(model.evaluate(np.ones((2, 4)), np.eye(3)[:2], verbose=0, return_dict=True)) == {"loss", "accuracy"}
    assert not read(mlp_1(tmp_path / "own.h5", rng, training={"loss": "my_loss", "metrics": ["my_metric"]})).compiled


def test_an_old_architecture_beside_old_weights(tmp_path, rng):
    weights = {"hidden": dense_weights(rng, "hidden", 4, 3)}
    architecture = sequential(dense_1("hidden", 3, batch_input_shape=[None, 4]))
    (tmp_path / "net.json").write_text(json.dumps({**architecture, "keras_version": KERAS_1}))
    file = write(tmp_path / "net.h5", None, weights, None)
    x = rng.normal(size=(2, 4))
    np.testing.assert_allclose(outputs(read(file), x), computed(x, weights["hidden"]), rtol=1e-4, atol=1e-5)


def test_files_of_keras_3_are_read_as_they_are(tmp_path, mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4, threshold_rule="percentile")
    model_snn.save(tmp_path / "snn.keras")
    for name in ("net.keras", "net.h5"):
        mlp.save(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = [snn.load_model(tmp_path / name) for name in ("net.keras", "net.h5", "snn.keras")]
    assert isinstance(loaded[2], snn.SpikingModel)
    for model, expected in zip(loaded, (mlp, mlp, model_snn), strict=True):
        np.testing.assert_array_equal(outputs(model, x_mlp), outputs(expected, x_mlp))


def test_commands_show_what_was_done_as_a_note(tmp_path, rng, capsys):
    mlp_1(tmp_path / "old.h5", rng)
    np.savez(tmp_path / "x_norm.npz", rng.random((20, 4)))
    note = "Note: 'old.h5' was written by Keras 1.2.2 with TensorFlow: rebuilt for Keras 3."
    assert main(["check", str(tmp_path / "old.h5")]) == 0
    assert note in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "old.h5"), "--quiet"]) == 0
    assert capsys.readouterr().out.count(note) == 1


def test_runs_and_sweeps_note_it_beside_their_results(tmp_path, rng):
    mlp_1(tmp_path / "old.h5", rng)
    for name in ("x_norm", "x_test"):
        np.savez(tmp_path / f"{name}.npz", rng.random((20, 4)))
    settings = snn.Settings().replace(
        path_wd=str(tmp_path), filename_ann="old", duration=2, num_to_test=2, plot_vars=()
    )
    with pytest.warns(UserWarning, match="was written by Keras 1.2.2"):
        finished = snn.run(settings)
    assert sum("was written by Keras 1.2.2" in note for note in finished.record.notes) == 1
    with pytest.warns(UserWarning, match="was written by Keras 1.2.2"):
        swept = snn.sweep(settings.replace(runlabel="sweep", param_name="duration", param_values=[1, 2]))
    for row in swept.table:
        report = json.loads((swept.folder / row["folder"] / "report.json").read_text())
        assert sum("was written by Keras 1.2.2" in note for note in report["notes"]) == 1


def merge_function(**config):
    return layer("Merge", "merge", mode="lambda", mode_type="lambda", layers=[], **config)


REFUSED_LAYERS = {
    "recurrent": (layer("LSTM", "lstm_1", units=3), KERAS_2, "'lstm_1' .LSTM. .*only SimpleRNN is rebuilt: gates"),
    "code": (layer("Lambda", "code", function=["4wEAAAA=", None, None]), KERAS_2, "'code' .Lambda. .*Python code"),
    "Keras 1 code": (layer("Lambda", "code", function="x"), KERAS_1, "'code' .Lambda. .*Python code"),
    "a function that merges": (merge_function(), KERAS_1, "mode='lambda'; expected one of sum, mul"),
    "a layer that is gone": (layer("Highway", "high"), KERAS_1, "'high' .Highway. .*Keras 3 has no such layer"),
    "a class of one's own": (layer("Mine", "mine"), KERAS_2, "'mine' .Mine. .*register_keras_serializable"),
    "hard_sigmoid": (dense_2("d", 2, activation="hard_sigmoid"), KERAS_2, "its hard_sigmoid rose by 0.2"),
    "an activation of one's own": (
        layer("Activation", "a", activation="mine"),
        KERAS_2,
        "activation 'mine' is not known",
    ),
    "a mode of batch normalization": (
        layer("BatchNormalization", "bn", mode=2, gamma_regularizer=None),
        KERAS_1,
        "mode=2: in this mode it normalizes by",
    ),
    "an early batch normalization": (layer("BatchNormalization", "bn", mode=0), None, "standard deviation"),
    "an option of Keras 1": (layer("Flatten", "flat", order="F"), KERAS_1, "order='F' is not known"),
    "an ordering": (layer("UpSampling2D", "up", dim_ordering="xy"), KERAS_1, "dim_ordering='xy' is neither"),
    "an option of Keras 2": (layer("Dense", "d", units=2, twice=True), KERAS_2, "does not take its options: .*twice"),
    "renormalization": (layer("BatchNormalization", "bn", renorm=True), KERAS_2, "renorm=True, which Keras 3 does not"),
    "a damaged configuration": (layer("Convolution2D", "conv", dim_ordering="th"), KERAS_1, "lacks 'nb_row'"),
}


@pytest.mark.parametrize("case", REFUSED_LAYERS)
def test_refused_layers_are_named_with_version_and_reason(tmp_path, case):
    entry, version, message = REFUSED_LAYERS[case]
    entry["config"].setdefault("batch_input_shape", [None, 4, 4, 2])
    file = write(tmp_path / "old.h5", sequential(entry), {}, version)
    with pytest.raises(
        snn.ModelFileError, match=rf"old\.h5' was written by Keras {re.escape(version or '1')} .*{message}"
    ):
        snn.load_model(file)


THEANO = {"data_format": "channels_last", "padding": "same", "batch_input_shape": [None, 9, 9, 2]}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            layer("MaxPooling2D", "pool", pool_size=[2, 2], strides=[2, 2], **THEANO),
            r"pools of \[2, 2\] with strides of",
        ),
        (
            layer("Conv2DTranspose", "up", filters=2, kernel_size=[3, 3], strides=[2, 2], **THEANO),
            r"kernels of \[3, 3\] with strides of \[2, 2\]",
        ),
        (
            layer(
                "TimeDistributed",
                "each",
                batch_input_shape=[None, 2, 9, 9, 2],
                layer=layer("Conv2D", "conv", filters=2, kernel_size=[2, 2], strides=[1, 1], **THEANO),
            ),
            "Theano pads the convolution inside",
        ),
    ],
)
def test_padding_of_theano_that_keras_3_has_not_is_refused(tmp_path, entry, message):
    file = write(tmp_path / "old.h5", sequential(entry), {}, KERAS_2, "theano")
    with pytest.raises(snn.ModelFileError, match=message):
        snn.load_model(file)


def test_pools_of_three_with_stride_one_are_padded_alike(tmp_path, rng):
    config = {**THEANO, "batch_input_shape": [None, 6, 7, 2]}
    pool = layer("AveragePooling2D", "pool", pool_size=[3, 3], strides=[1, 1], **config)
    file = write(tmp_path / "old.h5", sequential(pool), {}, KERAS_2, "theano")
    x = rng.normal(size=(2, 6, 7, 2))
    expected, images = np.zeros(x.shape), x.transpose(0, 3, 1, 2)
    ones = windows(np.ones_like(images), (3, 3), 1, (-1, -1))
    for (row, column, window), (_, _, one) in zip(windows(images, (3, 3), 1, (-1, -1)), ones, strict=True):
        expected[:, row, column] = window.sum(axis=(2, 3)) / one.sum(axis=(2, 3))
    np.testing.assert_allclose(outputs(read(file), x), expected, rtol=1e-4, atol=1e-5)


def broken_files(tmp_path, rng):
    whole = mlp_1(tmp_path / "whole.h5", rng)
    dense = sequential(dense_1("hidden", 3, batch_input_shape=[None, 4]))
    weights = dense_weights(rng, "hidden", 4, 3)
    truncated, nothing, text = (tmp_path / name for name in ("truncated.h5", "empty.h5", "text.keras"))
    truncated.write_bytes(whole.read_bytes()[:2000])
    nothing.write_bytes(b"")
    text.write_text("no model")
    dangling = [
        wired(layer("InputLayer", "x", batch_input_shape=[None, 4])),
        wired(layer("Flatten", "f"), [["y", 0, 0]]),
    ]
    called = [dangling[0], wired(layer("Dropout", "drop", rate=0.5), [["x", 0, 0, {"training": True}]])]
    unknown = [dangling[0], operation("tf.sin", "math.sin", ["x", 0, 0, {}])]
    argument = [dangling[0], operation("tf.relu", "nn.relu", ["x", 0, 0, {"how": 2}])]
    ends = [["x", 0, 0]]
    return {
        r"cannot read '.*truncated.h5' \(2,000 bytes\) as a model: the file is damaged": truncated,
        r"cannot read '.*empty.h5' \(0 bytes\) as a model": nothing,
        r"cannot read '.*text.keras' .* as a model": text,
        "There is no file '.*missing.h5'": tmp_path / "missing.h5",
        "it holds weights only, without an architecture.*'alone.json'": write(
            tmp_path / "alone.h5", None, {"hidden": weights}, KERAS_2
        ),
        "'hidden' .Dense. .*the file holds no weights of that name": write(tmp_path / "bare.h5", dense, {}, KERAS_1),
        r"'hidden' .Dense. .*its weights have the shapes \[\(4, 3\)\], but it takes \[\(4, 3\), \(3,\)\]": write(
            tmp_path / "half.h5", dense, {"hidden": weights[:1]}, KERAS_1
        ),
        "backends tensorflow, theano: how another": write(
            tmp_path / "cntk.h5", dense, {"hidden": weights}, KERAS_2, "cntk"
        ),
        "a model of class Mine. Expected Sequential": write(
            tmp_path / "mine.h5", {"class_name": "Mine", "config": {}}, {}, KERAS_2
        ),
        "does not say the shape of its input": write(tmp_path / "open.h5", sequential(dense_2("d", 3)), {}, KERAS_2),
        "its layers 'f' are wired to layers that it does not hold": write(
            tmp_path / "dangling.h5", functional(dangling, ends, [["f", 0, 0]]), {}, KERAS_2
        ),
        "'drop' .Dropout. .*it is called with training": write(
            tmp_path / "called.h5", functional(called, ends, [["drop", 0, 0]]), {}, KERAS_2
        ),
        "'tf.sin' .TFOpLambda. .*`math.sin` is not known here": write(
            tmp_path / "sin.h5", functional(unknown, ends, [["tf.sin", 0, 0]]), {}, "2.9.0", "tensorflow"
        ),
        "`keras.ops` does not take the arguments of TensorFlow's `nn.relu`": write(
            tmp_path / "how.h5", functional(argument, ends, [["tf.relu", 0, 0]]), {}, "2.9.0", "tensorflow"
        ),
        "cannot be rebuilt in Keras 3": write(
            tmp_path / "twice.h5",
            sequential(dense_2("d", 3, batch_input_shape=[None, 4]), dense_2("d", 3)),
            {},
            KERAS_2,
        ),
    }


def test_files_that_cannot_be_read_say_why(tmp_path, rng):
    for message, file in broken_files(tmp_path, rng).items():
        with pytest.raises(snn.ModelFileError, match=message):
            snn.load_model(file)


def test_code_in_files_of_keras_3_is_not_run_either(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)])
    for name in ("code.keras", "code.h5"):
        model.save(tmp_path / name)
        with pytest.raises(snn.ModelFileError, match="a Lambda layer in it holds Python code, which is not run"):
            snn.load_model(tmp_path / name)


def digits(data_dir, count):
    with np.load(data_dir / "mnist_test.npz") as file:
        return file["x"][:count, :, :, None] / 255.0, file["y"][:count]


def images(data_dir, count):
    with np.load(data_dir / "cifar10_test.npz") as file:
        return file["x"][:count] / 255.0, file["y"][:count]


#: Where the weights come from, the data, and right answers among the first 1,000 and among all 10,000 samples.
REAL = {
    "cnn_cifar10_keras1.2.1": ("TensorFlow", images, 0.5851),
    "cnn_mnist_keras1.2.1": ("TensorFlow", digits, 0.9845),
    "cnn_cifar10_theano_keras2.0.4": ("Theano: .* kernels of 4 convolutions", images, 0.8144),
    "lenet5_mnist_theano_keras2.0.4": ("Theano: .* kernels of 3 convolutions", digits, 0.9896),
    "lenet5_mnist_keras2.2.4": ("TensorFlow", digits, 0.9914),
}


def accuracy(model, samples):
    x, y = samples
    if model.input_shape[1] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    return float((model.predict(x, batch_size=500, verbose=0).argmax(axis=-1) == y).mean())


@pytest.mark.few(2)
@pytest.mark.parametrize("name", REAL)
def test_old_files_reach_their_accuracy(name, data_dir):
    """Among 1,000 samples; the standard error of an accuracy is 1.6 percentage points there, at most."""
    writer, data, expected = REAL[name]
    with pytest.warns(UserWarning, match=f"'{name}.h5' was written by .* with {writer}"):
        model = snn.load_model(data_dir / "legacy" / f"{name}.h5")
    assert accuracy(model, data(data_dir, 1000)) == pytest.approx(expected, abs=0.04)
    assert snn.check(model).ok


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_old_files_reach_their_accuracy_on_all_samples(name, data_dir):
    _, data, expected = REAL[name]
    assert accuracy(read(data_dir / "legacy" / f"{name}.h5"), data(data_dir, None)) == pytest.approx(expected, abs=2e-4)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cnn_cifar10_theano_keras2.0.4", "cnn_bn_cifar10"),
        ("lenet5_mnist_theano_keras2.0.4", "lenet5_mnist"),
        ("mobilenet_vww96_keras2.4.0", "mobilenet_vww96"),
    ],
)
def test_old_files_compute_what_the_same_models_of_today_do(old, new, data_dir, rng):
    model = read(data_dir / "legacy" / f"{old}.h5")
    today = keras.saving.load_model(data_dir / "models" / f"{new}.keras", compile=False)
    x = rng.random((2, *model.input_shape[1:]))
    np.testing.assert_allclose(outputs(model, x), outputs(today, x), atol=1e-6)
    assert snn.check(model).ok


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "name",
    ["cnn_mnist_keras1.2.1", "lenet5_mnist_theano_keras2.0.4", "lenet5_mnist_keras2.2.4", "wakeword_keras2.14.0"],
)
def test_old_files_convert(name, data_dir, rng):
    model = read(data_dir / "legacy" / f"{name}.h5")
    x = rng.random((64, *model.input_shape[1:])) if "wakeword" in name else digits(data_dir, 64)[0]
    x = x.reshape(-1, *model.input_shape[1:])
    model_snn = snn.convert_keras(model, x, timesteps=64, threshold_rule="percentile")
    assert model_snn.conversion.pass_error < 1e-5
    agreement = model_snn.simulate(x).outputs[-1].argmax(axis=-1) == outputs(model, x).argmax(axis=-1)
    assert agreement.mean() >= 0.9
