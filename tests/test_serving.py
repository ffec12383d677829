"""Networks for TensorFlow Serving: what it is asked, what it answers, and the folders that it watches."""

import json
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from serving_session import compile_server, serve
from tensorflow.core.protobuf import saved_model_pb2

import snn_toolbox_tf as snn
from snn_toolbox_tf.export import serving, warmup
from snn_toolbox_tf.model.saved_model import Endpoint, foreign_operations, stock_function, write_endpoints

PLAIN = {"threshold_rule": "percentile"}
RULE = snn.EarlyExit(confidence=0.5, every=2)
HELD = []


@pytest.fixture(scope="module")
def network():
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 70)
    return snn.convert_keras(model, x, timesteps=8, **PLAIN), x


@pytest.fixture(scope="module")
def version(network, tmp_path_factory):
    """A network with all that a version can have."""
    model_snn, x = network
    folder = tmp_path_factory.mktemp("models") / "digits"
    pytest.importorskip("tensorflow_serving")
    return snn.export_serving(model_snn, folder, timesteps=[8, 5], closed_form=True, warmup=x[:3])


@pytest.fixture(scope="module")
def signatures(version):
    loaded = tf.saved_model.load(str(version))
    # Variables live as long as what was loaded.
    HELD.append(loaded)
    return loaded.signatures


def outputs_of(result, name="classes"):
    return result[name].numpy()


def test_every_input_and_output_has_the_batch_as_its_first_axis(version):
    definitions = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs[0]
    expected = {"serving_default", "rates", "timesteps_8", "timesteps_5", "closed_form", "initial_state", "step"}
    assert set(definitions.signature_def) - {"__saved_model_init_op"} == expected
    for name in expected:
        definition = definitions.signature_def[name]
        for tensor in [*definition.inputs.values(), *definition.outputs.values()]:
            sizes = [size.size for size in tensor.tensor_shape.dim]
            assert sizes[0] == -1, (name, tensor.name)
            assert all(size > 0 for size in sizes[1:]), (name, tensor.name)


def test_the_graph_holds_stock_operations_only(version):
    definitions = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs[0]
    assert foreign_operations(definitions.graph_def) == []
    assert len(definitions.graph_def.library.function) > 5


def test_default_and_other_numbers_of_timesteps(signatures, network):
    model_snn, x = network
    expected = model_snn.simulate(x, timesteps=8).outputs
    image = tf.constant(x)
    np.testing.assert_array_equal(outputs_of(signatures["serving_default"](image)), expected[7])
    np.testing.assert_array_equal(outputs_of(signatures["timesteps_8"](image)), expected[7])
    np.testing.assert_array_equal(outputs_of(signatures["timesteps_5"](image)), expected[4])


def test_rates_are_those_of_simulate(signatures, network, version):
    model_snn, x = network
    result = model_snn.simulate(x, outputs="last", record=["spike_counts"])
    answer = signatures["rates"](tf.constant(x))
    spikes = json.loads((version / "assets.extra" / "snn_toolbox_tf.json").read_text())["spikes"]
    assert set(spikes) == {"relu1", "conv2_relu"}
    for name, counts in result.sample_spike_counts.items():
        np.testing.assert_array_equal(answer[spikes[name]["output"]], counts.sum(axis=(1, 2, 3)))
        assert tuple(spikes[name]["neurons"]) == counts.shape[1:]
    np.testing.assert_array_equal(answer["timesteps"], np.full(70, 8))
    np.testing.assert_allclose(answer["synaptic_operations"], sum(result.synaptic_operations.values()))
    np.testing.assert_allclose(answer["multiply_accumulates"], sum(result.multiply_accumulates.values()))


def test_streams_of_clients_that_came_at_different_times(signatures, network, version):
    model_snn, x = network
    (name,) = json.loads((version / "assets.extra" / "snn_toolbox_tf.json").read_text())["inputs"]
    expected = model_snn.simulate(x[:2], timesteps=6).outputs
    state = signatures["initial_state"](tf.constant([0], tf.int64))["state"]
    for t in range(6):
        if t == 2:
            state = tf.concat([state, signatures["initial_state"](tf.constant([1], tf.int64))["state"]], axis=0)
        answer = signatures["step"](**{name: tf.constant(x[: len(state)]), "state": state})
        state = answer["state"]
        np.testing.assert_array_equal(outputs_of(answer)[0], expected[t, 0])
        if t >= 2:
            np.testing.assert_array_equal(outputs_of(answer)[1], expected[t - 2, 1])


def test_the_closed_form_is_the_layer_synchronous_run(signatures, network):
    model_snn, x = network
    expected = model_snn.simulate(x, timesteps=8, schedule="layer_synchronous", outputs="last").outputs[-1]
    np.testing.assert_array_equal(outputs_of(signatures["closed_form"](tf.constant(x))), expected)


def test_samples_exit_early_and_say_when(network, tmp_path):
    model_snn, x = network
    version = snn.export_serving(model_snn, tmp_path / "early", early_exit=RULE)
    result = model_snn.simulate(x, outputs="last", early_exit=RULE)
    assert 2 <= result.mean_timesteps < 8
    loaded = tf.saved_model.load(str(version))
    answer = loaded.signatures["serving_default"](tf.constant(x))
    np.testing.assert_array_equal(outputs_of(answer), result.outputs[-1])
    np.testing.assert_array_equal(answer["timesteps"], result.exit_timesteps)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "options", [{"input": "poisson"}, {"schedule": "layer_synchronous"}, {"input": "frames"}], ids=str
)
def test_other_networks_are_served(options, tmp_path):
    model = zoo.build(zoo.multi_input)
    x = zoo.data_for(model, 4)
    if options.get("input") == "frames":
        x = keras.tree.map_structure(lambda array: np.repeat(array[:, np.newaxis], 5, axis=1), x)
    model_snn = snn.convert_keras(model, x, timesteps=5, **PLAIN, **options)
    version = snn.export_serving(model_snn, tmp_path / "net")
    loaded = tf.saved_model.load(str(version))
    assert ("step" in loaded.signatures) == (options.get("schedule") != "layer_synchronous")
    described = json.loads((version / "assets.extra" / "snn_toolbox_tf.json").read_text())["signatures"]
    for name, signature in described.items():
        function = loaded.signatures[name]
        assert sorted(signature["inputs"]) == sorted(function.structured_input_signature[1])
        assert sorted(signature["outputs"]) == sorted(function.structured_outputs)
    arrays = keras.tree.flatten(x)
    if options.get("input") == "poisson":
        arrays.append(np.arange(len(arrays[0])))
    names = described["serving_default"]["inputs"]
    given = {name: tf.constant(array) for name, array in zip(names, arrays, strict=True)}
    served = loaded.signatures["serving_default"](**given)
    # What a sample gives does not depend on the batch that a server puts it into.
    alone = loaded.signatures["serving_default"](**{name: tensor[2:3] for name, tensor in given.items()})
    for name, output in alone.items():
        np.testing.assert_array_equal(output, served[name][2:3])
    expected = model_snn.simulate(x, outputs="last").outputs
    for name, output in zip(described["serving_default"]["outputs"], keras.tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(served[name], output[-1])


def test_the_loader_of_the_model_server_gives_the_same_without_python(version, network, tmp_path):
    model_snn, x = network
    expected = model_snn.predict(x, verbose=0)
    program = compile_server(tmp_path)
    for batch, outputs in serve(program, version, x, [1, 7, 64]).items():
        np.testing.assert_array_equal(outputs, expected, err_msg=str(batch))


def test_warm_up_requests_are_those_of_the_server(version, network):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    _, x = network
    records = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
    requests = [log.PredictionLog.FromString(record.numpy()).predict_log.request for record in records]
    assert len(requests) == 2 * 7 == warmup.replay(version)
    assert {request.model_spec.name for request in requests} == {"digits"}
    default = [request for request in requests if request.model_spec.signature_name == "serving_default"]
    arrays = [tf.make_ndarray(next(iter(request.inputs.values()))) for request in default]
    assert [len(array) for array in arrays] == [1, 3]
    np.testing.assert_array_equal(arrays[1], x[:3])


def test_warm_up_requests_are_no_longer_than_a_server_takes(network, tmp_path):
    pytest.importorskip("tensorflow_serving")
    model_snn, x = network
    with pytest.raises(ValueError, match=r"`warmup` to hold 64 samples at most.*Received: 70 samples"):
        snn.export_serving(model_snn, tmp_path / "digits", warmup=x)
    assert not list(tmp_path.iterdir())


def test_warm_up_needs_its_extra(network, tmp_path, monkeypatch):
    model_snn, x = network
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install 'snn_toolbox_tf\[serving\]'.*warmup=None"):
        snn.export_serving(model_snn, tmp_path / "digits", warmup=x[:2])
    assert not list(tmp_path.iterdir())


class TestVersions:
    """Folders of versions: the next number, and nothing that was there is lost."""

    @pytest.fixture(scope="class")
    def small(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        return snn.convert_keras(model, np.random.default_rng(0).random((10, 4), "float32"), timesteps=4, **PLAIN)

    def test_numbers_go_on(self, small, tmp_path):
        base = tmp_path / "models" / "net"
        assert snn.export_serving(small, base).name == "1"
        assert snn.export_serving(small, base, version=7).name == "7"
        assert snn.export_serving(small, base).name == "8"
        assert sorted(path.name for path in base.iterdir()) == ["1", "7", "8"]
        with pytest.raises(FileExistsError, match=r"has a version 7 already, which is kept.*the next one, 9"):
            snn.export_serving(small, base, version=7)
        for version in (0, -1, True, "2", 1.0):
            with pytest.raises(ValueError, match="`version` to be a whole number from 1 on"):
                snn.export_serving(small, base, version=version)

    def test_places_that_are_taken(self, small, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(NotADirectoryError, match=r"is a file. Expected a folder for the model"):
            snn.export_serving(small, tmp_path / "file")
        assert (tmp_path / "file").read_text() == "mine"
        (tmp_path / "net").mkdir()
        (tmp_path / "net" / "1").write_text("mine")
        with pytest.raises(FileExistsError, match="has a version 1 already"):
            snn.export_serving(small, tmp_path / "net", version=1)
        assert snn.export_serving(small, tmp_path / "net").name == "2"
        with pytest.raises(ValueError, match="Expected `folder` to be the model's folder"):
            snn.export_serving(small, "")
        small.export(tmp_path / "saved")
        with pytest.raises(ValueError, match="is a SavedModel itself"):
            snn.export_serving(small, tmp_path / "saved")

    def test_what_comes_to_the_place_meanwhile_is_kept(self, small, tmp_path, monkeypatch):
        def and_another_process(folder, *arguments, **options):
            traced = write_endpoints(folder, *arguments, **options)
            (tmp_path / "net" / "1").mkdir(parents=True)
            (tmp_path / "net" / "1" / "saved_model.pb").write_text("theirs")
            return traced

        monkeypatch.setattr(serving, "write_endpoints", and_another_process)
        with pytest.raises(FileExistsError, match="has come to exist meanwhile, and is kept"):
            snn.export_serving(small, tmp_path / "net", version=1)
        assert (tmp_path / "net" / "1" / "saved_model.pb").read_text() == "theirs"
        assert [path.name for path in (tmp_path / "net").iterdir()] == ["1"]
        # Where the number does not matter, it is the next one.
        shutil.rmtree(tmp_path / "net" / "1")
        assert snn.export_serving(small, tmp_path / "net").name == "2"
        assert (tmp_path / "net" / "1" / "saved_model.pb").read_text() == "theirs"

    def test_a_full_disk_leaves_what_was_there(self, small, tmp_path, monkeypatch):
        snn.export_serving(small, tmp_path / "net")

        def full(folder, *arguments, **options):
            write_endpoints(folder, *arguments, **options)
            raise OSError(28, "No space left on device", folder)

        monkeypatch.setattr(serving, "write_endpoints", full)
        with pytest.raises(OSError, match="No space left on device"):
            snn.export_serving(small, tmp_path / "net")
        assert [path.name for path in (tmp_path / "net").iterdir()] == ["1"]

    @pytest.mark.long
    def test_a_process_killed_half_way_leaves_no_version(self, small, tmp_path):
        """What it leaves is hidden, has no number, and is in nobody's way."""
        small.save(tmp_path / "net.keras")
        code = """
import os, signal, sys, keras, snn_toolbox_tf as snn
from snn_toolbox_tf.export import serving
model_snn = keras.saving.load_model(sys.argv[1] + "/net.keras")
write_endpoints = serving.write_endpoints
def killed(folder, *arguments, **options):
    write_endpoints(folder, *arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
serving.write_endpoints = killed
snn.export_serving(model_snn, sys.argv[1] + "/models/net")
"""
        done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, check=False, timeout=300)
        assert done.returncode == -9, done.stderr.decode()[-500:]
        (left,) = (tmp_path / "models" / "net").iterdir()
        assert left.name.startswith(".1-")
        assert snn.export_serving(small, tmp_path / "models" / "net").name == "1"
        assert [path.name for path in (tmp_path / "models" / "net").iterdir()] == ["1"]

    def test_the_working_directory_has_a_name(self, small, tmp_path, monkeypatch):
        log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
        (tmp_path / "net").mkdir()
        monkeypatch.chdir(tmp_path / "net")
        version = snn.export_serving(small, ".", warmup=np.ones((1, 4), "float32"))
        (record, *_) = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
        assert log.PredictionLog.FromString(record.numpy()).predict_log.request.model_spec.name == "net"

    def test_a_model_that_does_not_spike(self, tmp_path):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        for export in (snn.export_serving, snn.export_tflite):
            with pytest.raises(TypeError, match=r"Expected `model_snn` to be a SpikingModel.*Received: Sequential"):
                export(model, tmp_path / "net.tflite")

    @pytest.mark.parametrize("timesteps", [[], [4, 4]])
    def test_numbers_of_timesteps_that_are_none(self, small, timesteps, tmp_path):
        with pytest.raises(ValueError, match="a number, or several different ones"):
            snn.export_serving(small, tmp_path / "net", timesteps=timesteps)
        with pytest.raises(ValueError, match="timesteps"):
            snn.export_serving(small, tmp_path / "net", timesteps=[4, 0])

    def test_what_a_network_cannot_do(self, tmp_path):
        model = zoo.build(zoo.cnn)
        x = zoo.data_for(model, 8)
        frames = np.repeat(x[:, np.newaxis], 3, axis=1)
        takes_frames = snn.convert_keras(model, frames, timesteps=3, input="frames", **PLAIN)
        with pytest.raises(ValueError, match=r"takes frames, and runs through all.*no `timesteps` and no `early_exit`"):
            snn.export_serving(takes_frames, tmp_path / "net", timesteps=5)
        with pytest.raises(ValueError, match="There is a closed form for constant"):
            snn.export_serving(takes_frames, tmp_path / "net", closed_form=True)
        hard = snn.convert_keras(model, x, timesteps=3, reset="zero", **PLAIN)
        with pytest.raises(ValueError, match="There is a closed form for constant"):
            snn.export_serving(hard, tmp_path / "net", closed_form=True)
        assert not list(tmp_path.iterdir())

    def test_operations_that_stay_in_this_process_are_refused(self, small):
        def calls_python(x):
            return tf.numpy_function(np.sin, [x], tf.float32)

        with pytest.raises(ValueError, match=r"Signature 'sine' cannot be exported: it needs \['PyFunc'\]"):
            stock_function("sine", Endpoint(calls_python, [tf.TensorSpec([None], tf.float32)]))


class TestConfiguration:
    """The server's own messages read what is written."""

    def test_models_versions_and_labels(self, tmp_path):
        configuration = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
        from google.protobuf import text_format

        for version in ("digits/1", "digits/3", "faces/2"):
            (tmp_path / version).mkdir(parents=True)
        (tmp_path / "notes").mkdir()
        models, batching = snn.write_serving_config(
            tmp_path, labels={"digits": {"stable": 1, "canary": 3}}, batch_size=16, batch_timeout=0.5
        )
        message = text_format.Parse(models.read_text(), configuration.ModelServerConfig())
        digits, faces = message.model_config_list.config
        assert (digits.name, digits.base_path, digits.model_platform) == ("digits", "/models/digits", "tensorflow")
        assert dict(digits.version_labels) == {"stable": 1, "canary": 3}
        assert list(digits.model_version_policy.specific.versions) == [1, 3]
        assert faces.name == "faces"
        assert not faces.version_labels
        values = dict(re.findall(r"(\w+) \{ value: (\d+) \}", batching.read_text()))
        assert values["max_batch_size"] == "16"
        assert values["batch_timeout_micros"] == "500"

    def test_files_are_kept_unless_told_otherwise(self, tmp_path):
        (tmp_path / "digits" / "1").mkdir(parents=True)
        (tmp_path / "models.config").write_text("mine")
        with pytest.raises(FileExistsError, match=r"models.config' exists. Pass `overwrite=True`"):
            snn.write_serving_config(tmp_path)
        assert (tmp_path / "models.config").read_text() == "mine"
        snn.write_serving_config(tmp_path, overwrite=True)
        assert "digits" in (tmp_path / "models.config").read_text()

    def test_what_is_not_there_has_no_label(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"holds no model. Expected folders with versions"):
            snn.write_serving_config(tmp_path)
        (tmp_path / "digits" / "1").mkdir(parents=True)
        with pytest.raises(ValueError, match=r"names versions \[2\] of model 'digits'.*It holds: {'digits': \[1\]}"):
            snn.write_serving_config(tmp_path, labels={"digits": {"stable": 2}})
        with pytest.raises(ValueError, match=r"of model 'digit', which"):
            snn.write_serving_config(tmp_path, labels={"digit": {"stable": 1}})
        with pytest.raises(ValueError, match="`batch_timeout` to be milliseconds"):
            snn.write_serving_config(tmp_path, batch_timeout=-1)
        with pytest.raises(ValueError, match="batch_size"):
            snn.write_serving_config(tmp_path, batch_size=0)
        for timeout in (float("inf"), "2"):
            with pytest.raises(ValueError, match="`batch_timeout` to be milliseconds"):
                snn.write_serving_config(tmp_path, batch_timeout=timeout)
        for labels in ({"digits": [1]}, {"digits": {'a"b': 1}}, {"typo": {}}):
            with pytest.raises(ValueError, match="`labels`"):
                snn.write_serving_config(tmp_path, labels=labels)
        assert [path.name for path in tmp_path.iterdir()] == ["digits"]
