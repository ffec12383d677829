"""Files that outlive the process: .keras with this package, SavedModel without it."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn

NETWORKS = {"one": zoo.channels_first, "two": zoo.multi_input, "resampled": zoo.resampled}


def run_python(code, *arguments):
    """Runs code in a fresh interpreter; its last line is a sum of absolute differences."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder per network, with one and two inputs: its file, its SavedModel, an input and the outputs."""
    folder = tmp_path_factory.mktemp("saved")
    for name, make in NETWORKS.items():
        (folder / name).mkdir()
        model = zoo.build(make)
        x = zoo.data_for(model, 6)
        model.compile("sgd", "mse")
        model_snn = snn.convert_keras(model, x, timesteps=9)
        np.savez(folder / name / "x.npz", *keras.tree.flatten(x))
        np.savez(folder / name / "y.npz", *keras.tree.flatten(model_snn.predict(x, verbose=0)))
        model_snn.save(folder / name / "net.keras")
        model_snn.export(folder / name / "serving")
    return folder


@pytest.mark.slow
def test_keras_file_gives_bit_equal_outputs_in_a_fresh_process(saved):
    code = """
import sys, keras, numpy as np, snn_toolbox_tf
difference = 0.0
for folder in sys.argv[1:]:
    model = keras.saving.load_model(folder + "/net.keras")
    x, y = (list(np.load(folder + name).values()) for name in ("/x.npz", "/y.npz"))
    assert model.compiled and model.loss == "mse", model.loss
    structure = model.network.graph.input_structure
    out = keras.tree.flatten(model.predict(keras.tree.pack_sequence_as(structure, x), verbose=0))
    difference += sum(np.abs(a - b).sum() for a, b in zip(out, y, strict=True))
print(difference)
"""
    assert float(run_python(code, *(saved / name for name in NETWORKS))) == 0.0


@pytest.mark.long
def test_saved_model_runs_without_the_package_and_with_any_batch_size(saved):
    code = """
import sys, numpy as np, tensorflow as tf
sys.modules["snn_toolbox_tf"] = sys.modules["keras"] = None  # importing either would fail
difference = 0.0
for folder in sys.argv[1:]:
    x, y = (list(np.load(folder + name).values()) for name in ("/x.npz", "/y.npz"))
    serve = tf.saved_model.load(folder + "/serving").signatures["serving_default"]
    names = sorted(serve.structured_input_signature[1])
    for rows in (slice(0, 6), slice(2, 3)):
        out = serve(**{name: tf.constant(array[rows]) for name, array in zip(names, x, strict=True)})
        out = [out[name].numpy() for name in sorted(out)]
        difference += sum(np.abs(a - b[rows]).sum() for a, b in zip(out, y, strict=True))
print(difference)
"""
    assert float(run_python(code, *(saved / name for name in NETWORKS))) == 0.0


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_saved_model_holds_stock_operations_only(saved, name):
    loaded = tf.saved_model.load(str(saved / name / "serving"))
    graph = loaded.signatures["serving_default"].graph.as_graph_def()
    types = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    assert not [name for name in types if name.startswith("SnnToolbox") or name in ("PyFunc", "EagerPyFunc")]


def test_an_export_replaces_a_saved_model_and_nothing_else(mlp, x_mlp, tmp_path):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=2, threshold_rule="percentile")
    model_snn.export(tmp_path / "serving")
    model_snn.export(tmp_path / "serving")
    assert (tmp_path / "serving" / "saved_model.pb").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not a SavedModel, so it is not replaced"):
        model_snn.export(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["serving", "thesis"]
    with pytest.raises(ValueError, match=r"format='tf_saved_model'.*'onnx'"):
        model_snn.export(tmp_path / "other", format="onnx")


def test_an_export_traces_the_network_once(mlp, x_mlp, tmp_path, monkeypatch):
    """Keras and TensorFlow look at it from several sides, and it is the largest part of the work."""
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=2, threshold_rule="percentile")
    traced, run = [], snn.SpikingModel.run
    monkeypatch.setattr(snn.SpikingModel, "run", lambda self, inputs: traced.append(self) or run(self, inputs))
    model_snn.export(tmp_path / "serving")
    assert traced == [model_snn]


def test_a_loaded_model_simulates_and_keeps_its_record(mlp, x_mlp, tmp_path):
    model_snn = snn.convert_keras(mlp, x_mlp, input="poisson", seed=5)
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.simulate(x_mlp).outputs, model_snn.simulate(x_mlp).outputs)
    assert loaded.conversion.percentile == 99.9
    np.testing.assert_array_equal(loaded.thresholds()["hidden_relu"], model_snn.thresholds()["hidden_relu"])


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["_hidden", "-hidden"])
def test_layers_may_have_names_that_are_no_scopes(name, x_mlp, tmp_path):
    """TensorFlow takes them inside a model only, and Keras's own export does not take them."""
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5, "relu", name=name), keras.layers.Dense(2, "softmax", name="_out")]
    )
    model_snn = snn.convert_keras(model, x_mlp, timesteps=5, threshold_rule="percentile")
    assert f"{name}_relu" in model_snn.thresholds()
    assert_survives(model_snn, [x_mlp], tmp_path)


@pytest.mark.few(1)
@pytest.mark.parametrize("names", [["eingang 1", "größe"], ["größe", "gr_ße"], ["_a", "1"]])
def test_inputs_may_have_names_that_are_no_arguments(names, x_mlp, tmp_path):
    inputs = [keras.Input((6,), name=name) for name in names]
    hidden = [keras.layers.Dense(4, "relu")(tensor) for tensor in inputs]
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Subtract()(hidden)))
    data = [x_mlp, 1 - x_mlp]
    assert_survives(snn.convert_keras(model, data, timesteps=5, threshold_rule="percentile"), data, tmp_path)


def assert_survives(model_snn, data, folder):
    """Saving, loading and exporting keep the outputs."""
    x = data if len(data) > 1 else data[0]
    expected = model_snn.predict(x, verbose=0)
    model_snn.save(folder / "net.keras")
    np.testing.assert_array_equal(keras.saving.load_model(folder / "net.keras").predict(x, verbose=0), expected)
    model_snn.export(folder / "serving")
    loaded = tf.saved_model.load(str(folder / "serving"))
    # As `serving_default` sorts its arguments by name, the function of the endpoint is called, which takes them in order.
    np.testing.assert_array_equal(loaded.serve(*map(tf.constant, data)), expected)


def test_a_converted_network_holds_its_weights_once(mlp, x_mlp):
    """The layers have them: in the graph there is no array of real numbers but one value per channel or input."""
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    for spec in model_snn.network.graph.specs():
        with pytest.raises(RuntimeError, match="in the layers of its network"):
            list(spec.weights)
    arrays = {}
    for node in model_snn.network.graph:
        held = {**vars(node), **(vars(node.layer) if hasattr(node, "layer") else {})}
        arrays |= {(node.name, key): value for key, value in held.items() if isinstance(value, np.ndarray)}
    assert {key: array.size for key, array in arrays.items() if array.dtype.kind == "f"} == {
        ("hidden_relu", "threshold"): 1
    }
    sizes = [int(np.prod(weight.shape)) for weight in model_snn.weights if weight.dtype != "int32"]
    assert sum(sizes) <= mlp.count_params() + 10
