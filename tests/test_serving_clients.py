"""The clients of the documentation, word for word, against stand-ins that answer as the model server documents it."""

import concurrent.futures
import http.client
import json
import re
import shutil
import sys
import threading
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from test_docs import DOCS, blocks, hurried, run
from test_real_models import load_example

import snn_toolbox_tf as snn


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network with the names of the page, and its version."""
    model = keras.Sequential([keras.Input((8, 8, 1), name="image"), keras.layers.Conv2D(4, 3, activation="relu")])
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10, activation="softmax", name="digit"))
    x = np.random.default_rng(0).random((1210, 8, 8, 1), "float32")
    model_snn = snn.convert_keras(model, x[:50], timesteps=6, threshold_rule="percentile")
    version = snn.export_serving(model_snn, tmp_path_factory.mktemp("models") / "digits")
    return model_snn, x, version


@pytest.fixture(scope="module")
def streaming():
    """The example's module."""
    return load_example("streaming_server")


@pytest.fixture(scope="module")
def address(network, streaming):
    """Where the example answers."""
    with streaming.make_server(network[2].parent, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def post(address, path, content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(f"{address}{path}", data=body, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"status": error.code, **json.load(error)}


def page_code(word):
    (code,) = [code for code in blocks((DOCS / "serving.md").read_text(), "py") if word in code]
    return code


@pytest.mark.long
def test_the_page_s_code_runs(tmp_path):
    script = hurried("\n".join(blocks((DOCS / "serving.md").read_text(), "python")))
    done = run(
        ["-c", script + "\nassert abs(output - model_snn.predict(x[300:301], verbose=0)).max() < 1e-3"], tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names = {path.name for path in (tmp_path / "models").iterdir()}
    assert names == {"digits", "models.config", "batching.config"}
    assert (tmp_path / "digits.tflite").is_file()


def test_the_page_s_rest_client(network, address):
    model_snn, x, _ = network
    names = {"x": x}
    exec(page_code("def ask").replace("http://localhost:8501", address), names)
    np.testing.assert_array_equal(names["probabilities"], model_snn.predict(x[1200:1203], verbose=0))
    result = model_snn.simulate(x[1200:1203], outputs="last")
    np.testing.assert_allclose(names["cost"], sum(result.synaptic_operations.values()))
    exec(page_code('"initial_state"'), names)
    frames = x[1200:1208][np.newaxis]
    expected = model_snn.simulate(frames, timesteps=8, input="frames", outputs="last").outputs[-1]
    np.testing.assert_array_equal(names["output"], expected)


def test_the_page_s_grpc_client(network, streaming):
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving.apis")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    model_snn, x, version = network
    model = streaming.Model(version.parent)

    class StandIn(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            response = predict_pb2.PredictResponse()
            for name, value in model.run(request.model_spec.signature_name, inputs).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(StandIn(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    names = {"x": x}
    try:
        exec(page_code("grpc").replace("localhost:8500", f"127.0.0.1:{port}"), names)
    finally:
        server.stop(0).wait()
    np.testing.assert_array_equal(names["answer"], model_snn.predict(x[1200:1203], verbose=0))


def test_answers_by_rows_and_by_columns(network, address):
    """The four forms of the REST documentation."""
    model_snn, x, _ = network
    expected = model_snn.predict(x[:2], verbose=0).tolist()
    path = "/v1/models/digits:predict"
    assert post(address, path, {"instances": x[:2].tolist()}) == {"predictions": expected}
    assert post(address, path, {"instances": [{"image": row} for row in x[:2].tolist()]}) == {"predictions": expected}
    assert post(address, path, {"inputs": x[:2].tolist()}) == {"outputs": expected}
    several = post(
        address, "/v1/models/digits/versions/1:predict", {"signature_name": "rates", "instances": x[:2].tolist()}
    )
    assert [row["digit"] for row in several["predictions"]] == expected
    assert {row["timesteps"] for row in several["predictions"]} == {6}
    with urllib.request.urlopen(f"{address}/v1/models/digits") as answer:
        assert json.load(answer)["model_version_status"][0]["state"] == "AVAILABLE"


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("/v1/models/other:predict", {"instances": [1]}, "There is nothing at /v1/models/other:predict"),
        ("/v1/models/digits/versions/9:predict", {"inputs": [1]}, "has no version 9"),
        ("/v1/models/digits:predict", {"signature_name": "none", "inputs": {"x": 1}}, "has no signature none"),
        ("/v1/models/digits:predict", {"inputs": {"x": 1}}, r"with \['image'\]. Received: \['x'\]"),
        ("/v1/models/digits:predict", {"inputs": [[1]]}, "do not fit signature serving_default"),
        ("/v1/models/digits:predict", {}, "either 'instances' or 'inputs'"),
        ("/v1/models/digits:predict", {"instances": []}, "a list of samples"),
        ("/v1/models/digits:predict", b"{", "Expecting property name"),
        ("/v1/models/digits:predict", [], "Expected a JSON object"),
        (
            "/v1/models/digits:predict",
            {"signature_name": "step", "instances": [{"image": 1, "state": 1}, 2]},
            "row 1 of 'instances' .* Received: a int",
        ),
        ("/v1/models/digits:predict", {"instances": [{"image": 1}, 2]}, "do not fit signature"),
        ("/v1/models/digits:predict", {"instances": [{"image": 1}, {}]}, r"row 1 .* with \['image'\]. Received: \[\]"),
        (
            "/v1/models/digits:predict",
            {"instances": [{"image": 1}, {"image": 1, "x": 2}]},
            r"row 1 .* \['image', 'x'\]",
        ),
        ("/v1/models/digits:predict", {"instances": [{"image": 1}, {"image": [2]}]}, "do not fit signature"),
        (
            "/v1/models/digits:predict",
            {"signature_name": ["rates"], "inputs": [1]},
            r"no signature \['rates'\]. There are",
        ),
        (
            "/v1/models/digits:predict",
            {"signature_name": "step", "inputs": [1]},
            r"with \['image', 'state'\]. .* a list",
        ),
        ("/v1/models/digits:predict", {"signature_name": "initial_state", "inputs": [2**63]}, "int too large|too big"),
        ("/v1/models/digits:predict", {"inputs": [10**400]}, "int too large"),
        ("/v1/models/digits:predict", b'{"inputs": "\xff"}', "can't decode byte 0xff"),
        ("/v1/models/digits:predict", b'{"inputs": ' + 100_000 * b"[", "maximum recursion depth"),
        ("/v1/streams/a:step", {}, "Expected 'frame'"),
        ("/v1/streams/a:step", {"frame": {"image": 1, "state": 2}}, r"'frame' .* with \['image'\]. .* 'state'\]"),
        ("/v1/streams/a:walk", {}, "There is nothing at /v1/streams/a:walk"),
    ],
)
def test_bad_requests_are_told(path, content, message, address):
    answer = post(address, path, content)
    assert answer["status"] == 400
    assert re.search(message, answer["error"])


@pytest.mark.parametrize(
    ("name", "value"), [("Content-Length", "ten"), ("Content-Length", "-1"), ("Transfer-Encoding", "chunked")]
)
def test_a_body_of_unknown_length_is_refused(name, value, address):
    """The connection ends, since nobody knows where the next request would begin."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/v1/models/digits:predict")
    connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400
    assert answer.getheader("Connection") == "close"
    assert "Expected a Content-Length" in json.load(answer)["error"]
    connection.close()


def test_versions_are_asked_for_one_by_one(network, tmp_path, streaming):
    """The second version's input has another name, which its state would have otherwise."""
    first, x, version = network
    shutil.copytree(version, tmp_path / "1")
    second = keras.Sequential([keras.Input((8, 8, 1), name="state"), keras.layers.Conv2D(2, 3, activation="relu")])
    second.add(keras.layers.Flatten())
    second.add(keras.layers.Dense(3))
    networks = {1: first, 2: snn.convert_keras(second, x[:50], timesteps=3)}
    snn.export_serving(networks[2], tmp_path)
    model = streaming.Model(tmp_path)
    for version, model_snn in networks.items():
        expected = model_snn.predict(x[:2], verbose=0).tolist()
        assert streaming.predict(model, {"instances": x[:2].tolist()}, version) == {"predictions": expected}
        (status,) = model.status(version)["model_version_status"]
        assert status["version"] == str(version)
    assert [status["version"] for status in model.status()["model_version_status"]] == ["2", "1"]
    with pytest.raises(streaming.BadRequest, match=r"has no version 99. There are: \[1, 2\]"):
        model.status(99)
    assert model.state_input() == "state_1"
    streams = streaming.Streams(model)
    expected = networks[2].simulate(x[:1], timesteps=3).outputs[:, 0]
    for t, frame in enumerate([x[0].tolist(), {"state": x[0].tolist()}, x[0].tolist()]):
        (output,) = streams.step("a", frame)["outputs"].values()
        np.testing.assert_array_equal(output, expected[t])


def test_a_version_that_is_not_there_has_no_status(address):
    with urllib.request.urlopen(f"{address}/v1/models/digits/versions/1") as answer:
        assert [status["version"] for status in json.load(answer)["model_version_status"]] == ["1"]
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        urllib.request.urlopen(f"{address}/v1/models/digits/versions/99")
    assert "has no version 99" in json.load(caught.value)["error"]


def test_a_reset_during_a_step_is_not_undone(network, streaming, monkeypatch):
    _, x, version = network
    model = streaming.Model(version.parent)
    streams, frame = streaming.Streams(model), x[0].tolist()
    assert streams.step("a", frame)["timesteps"] == 1
    begun, go_on, run = threading.Event(), threading.Event(), model.run

    def slow(signature, *rest):
        begun.set()
        assert go_on.wait(20)
        return run(signature, *rest)

    with monkeypatch.context() as patch, concurrent.futures.ThreadPoolExecutor(2) as pool:
        patch.setattr(model, "run", slow)
        step = pool.submit(streams.step, "a", frame)
        assert begun.wait(20)
        reset = pool.submit(streams.reset, "a")
        concurrent.futures.wait([reset], timeout=0.1)
        go_on.set()
        assert step.result(20)["timesteps"] == 2
        assert reset.result(20) == {}
    assert streams.step("a", frame)["timesteps"] == 1


def test_nothing_is_kept_of_clients_without_a_state(network, streaming):
    """Neither of those that were reset nor of those that never had a good frame; requests in between lose no timestep."""
    _, x, version = network
    streams = streaming.Streams(streaming.Model(version.parent))

    def step(frame):
        try:
            return streams.step("a", frame)["timesteps"]
        except streaming.BadRequest:
            return None

    frames = [[1], x[0].tolist()] * 10
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        timesteps = list(pool.map(step, frames))
    assert sorted(filter(None, timesteps)) == list(range(1, 11))
    assert list(streams._streams) == ["a"]
    streams.reset("a")
    streams.reset("b")
    assert step([1]) is None
    assert not streams._streams


def test_several_clients_have_states_apart(network, address):
    """They take turns, one begins later and one starts again: each has what it would have alone."""
    model_snn, x, _ = network
    frames = {client: x[place : place + 5] for client, place in (("a", 0), ("b", 10), ("c", 20))}
    expected = {
        client: model_snn.simulate(own[np.newaxis], timesteps=5, input="frames").outputs[:, 0]
        for client, own in frames.items()
    }
    turns = [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("c", 0), ("a", 2), ("c", 1), ("b", 2)]
    for client, t in turns:
        answer = post(address, f"/v1/streams/{client}:step", {"frame": frames[client][t].tolist()})
        assert answer["timesteps"] == t + 1
        np.testing.assert_array_equal(answer["outputs"]["digit"], expected[client][t])
    post(address, "/v1/streams/a:reset", {})
    for t in range(2):
        answer = post(address, "/v1/streams/a:step", {"frame": frames["a"][t].tolist()})
        np.testing.assert_array_equal(answer["outputs"]["digit"], expected["a"][t])
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        paths = [f"/v1/streams/d{number}:step" for number in range(6)]
        answers = list(pool.map(lambda path: post(address, path, {"frame": frames["b"][0].tolist()}), paths))
    for answer in answers:
        np.testing.assert_array_equal(answer["outputs"]["digit"], expected["b"][0])


def write_recordings(source, target, count):
    """The first recordings of a file, in another one."""
    with np.load(source) as file:
        end = file["offsets"][count]
        events = {name: file[name][:end] for name in ("x", "y", "p", "t")}
        np.savez(target, offsets=file["offsets"][: count + 1], labels=file["labels"][:count], **events)


@pytest.mark.slow
@pytest.mark.long
def test_recordings_of_an_event_camera_are_streamed(data_dir, tmp_path, capsys, monkeypatch):
    """State is carried on within a recording, and forgotten between two."""
    example = load_example("nmnist_streaming")
    recordings, labels = example.load_recordings(data_dir / "nmnist_test_100.npz")
    frames = example.frames_of(recordings)
    with np.load(data_dir / "nmnist_test_100.npz") as file:
        kept = file["t"] < 1000 * example.MILLISECONDS * example.FRAMES
        first = slice(file["offsets"][0], file["offsets"][1])
        counts = np.zeros((34, 34, 2))
        np.add.at(
            counts, (file["y"][first][kept[first]], file["x"][first][kept[first]], file["p"][first][kept[first]]), 1
        )
    assert ((counts > 0) == (frames[0].sum(axis=0) > 0)).all()
    keras.utils.set_random_seed(0)
    model = example.train(frames[:50], labels[:50], 2)
    options = {"input": "frames", "timesteps": example.FRAMES, "threshold_rule": "percentile"}
    model_snn = snn.convert_keras(model, frames[:20], **options)
    expected = model_snn.simulate(frames[50:52]).outputs
    for place in (1, 0, 1):
        np.testing.assert_array_equal(example.stream(model_snn, recordings[50 + place]), expected[:, place])
    monkeypatch.setattr(sys, "argv", ["nmnist_streaming.py", "--epochs", "1"])
    monkeypatch.setenv("SNN_TOOLBOX_TF_DATA", str(tmp_path))
    write_recordings(data_dir / "nmnist_test_100.npz", tmp_path / "nmnist_test_100.npz", 21)
    example.main()
    assert "10 recordings to train with, 11 others to test, 30 frames of 10 ms each" in capsys.readouterr().out
