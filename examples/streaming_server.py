"""A small server of streams: each client sends a frame at a time, and its network goes on from where it was.

TensorFlow Serving keeps nothing between requests, so that somebody has to keep the state of each client: the client, or a
server in front, as this one. It answers requests as Serving's REST interface documents them
(https://www.tensorflow.org/tfx/serving/api_rest), and one of its own:

    POST /v1/models/<model>[/versions/<version>]:predict   {"signature_name": ..., "instances": [...]} or {"inputs": ...}
    GET  /v1/models/<model>[/versions/<version>]           which versions are served
    POST /v1/streams/<client>:step                         {"frame": ...} -> {"outputs": {...}, "timesteps": ...}
    POST /v1/streams/<client>:reset                        forgets the client's state

    python examples/streaming_server.py models/digits [--port 8501]
"""

import argparse
import http.server
import json
import pathlib
import re
import threading
from typing import Any

import numpy as np
import tensorflow as tf


class BadRequest(ValueError):
    """A request that cannot be answered, with the reason."""


class Model:
    """The versions of an exported network.

    Args:
        folder: The folder that `snn_toolbox_tf.export_serving` wrote versions to.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.name = folder.name
        numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        if not numbers:
            raise BadRequest(f"'{folder}' holds no version of a model.")
        self._versions = {number: tf.saved_model.load(str(folder / str(number))) for number in numbers}

    def status(self) -> dict[str, Any]:
        """Returns what Serving says of a model's versions."""
        fine = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return {"model_version_status": [{"version": str(number), **fine} for number in reversed(self._versions)]}

    def run(self, signature: str, inputs: dict[str, Any], version: int | None = None) -> dict[str, np.ndarray]:
        """Runs a signature of a version, the newest if None."""
        number = max(self._versions) if version is None else version
        if number not in self._versions:
            raise BadRequest(f"Model {self.name} has no version {number}.")
        function = self._versions[number].signatures.get(signature)
        if function is None:
            raise BadRequest(f"Model {self.name} has no signature {signature}.")
        specs = function.structured_input_signature[1]
        if set(inputs) != set(specs):
            raise BadRequest(f"Signature {signature} takes {sorted(specs)}. Received: {sorted(inputs)}")
        try:
            tensors = {name: tf.constant(np.asarray(inputs[name], specs[name].dtype.as_numpy_dtype)) for name in specs}
            return {name: output.numpy() for name, output in function(**tensors).items()}
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise BadRequest(f"The inputs do not fit signature {signature}: {error}") from error

    def only_input(self, signature: str) -> str:
        """Returns the name of a signature's input besides the state."""
        function = self._versions[max(self._versions)].signatures.get(signature)
        names = [] if function is None else [name for name in function.structured_input_signature[1] if name != "state"]
        if len(names) != 1:
            raise BadRequest(f"Signature {signature} takes {names}: name each input.")
        return names[0]


def predict(model: Model, request: dict[str, Any], version: int | None = None) -> dict[str, Any]:
    """Answers a request of Serving's: by rows ("instances" -> "predictions") or by columns ("inputs" -> "outputs")."""
    signature = request.get("signature_name", "serving_default")
    if ("instances" in request) == ("inputs" in request):
        raise BadRequest("Expected either 'instances' or 'inputs'.")
    by_rows = "instances" in request
    given = request["instances" if by_rows else "inputs"]
    if by_rows and not (isinstance(given, list) and given):
        raise BadRequest("Expected 'instances' to be a list of samples.")
    if by_rows and isinstance(given[0], dict):
        given = {name: [row[name] for row in given] for name in given[0]}
    elif not isinstance(given, dict):
        given = {model.only_input(signature): given}
    outputs = {name: value.tolist() for name, value in model.run(signature, given, version).items()}
    if not by_rows:
        return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values()))}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


class Streams:
    """The states of all clients, apart from each other."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._states: dict[str, np.ndarray] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def step(self, client: str, frame: Any) -> dict[str, Any]:
        """Runs one timestep of a client; its requests wait for each other, those of others do not."""
        with self._lock:
            lock = self._locks.setdefault(client, threading.Lock())
            number = list(self._locks).index(client)
        with lock:
            state = self._states.get(client)
            if state is None:
                state = self._model.run("initial_state", {"sample_index": [number]})["state"]
            inputs = frame if isinstance(frame, dict) else {self._model.only_input("step"): frame}
            outputs = self._model.run("step", {**{name: [value] for name, value in inputs.items()}, "state": state})
            self._states[client] = state = outputs.pop("state")
        # The number of timesteps is the first of a state's numbers.
        return {"outputs": {name: value[0].tolist() for name, value in outputs.items()}, "timesteps": int(state[0, 0])}

    def reset(self, client: str) -> dict[str, Any]:
        """Forgets a client's state."""
        with self._lock:
            self._states.pop(client, None)
        return {}


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads requests, and writes answers or errors as JSON."""

    model: Model
    streams: Streams
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers which versions there are."""
        self._answer(lambda path, _: self._status(path))

    def do_POST(self) -> None:
        """Answers everything else."""
        self._answer(self._do)

    def _status(self, path: str) -> dict[str, Any]:
        if not re.fullmatch(rf"/v1/models/{re.escape(self.model.name)}(/versions/\d+)?", path):
            raise BadRequest(f"There is nothing at {path}.")
        return self.model.status()

    def _do(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        served = re.fullmatch(rf"/v1/models/{re.escape(self.model.name)}(?:/versions/(\d+))?:predict", path)
        if served:
            return predict(self.model, request, int(served[1]) if served[1] else None)
        stream = re.fullmatch(r"/v1/streams/([\w.-]+):(step|reset)", path)
        if not stream:
            raise BadRequest(f"There is nothing at {path}.")
        if stream[2] == "reset":
            return self.streams.reset(stream[1])
        if "frame" not in request:
            raise BadRequest("Expected 'frame', the input of one timestep.")
        return self.streams.step(stream[1], request["frame"])

    def _answer(self, answer: Any) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            request = json.loads(body) if body else {}
            if not isinstance(request, dict):
                raise BadRequest("Expected a JSON object.")
            status, content = 200, answer(self.path, request)
        except (BadRequest, json.JSONDecodeError, KeyError, AttributeError) as error:
            status, content = 400, {"error": str(error)}
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Says nothing of single requests."""


def make_server(folder: pathlib.Path, port: int) -> http.server.ThreadingHTTPServer:
    """Returns a server that is ready to `serve_forever`; port 0 chooses a free one."""
    model = Model(folder)
    handler = type("ModelHandler", (Handler,), {"model": model, "streams": Streams(model)})
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=8501)
    arguments = parser.parse_args()
    with make_server(arguments.folder, arguments.port) as server:
        print(f"serving {arguments.folder} at http://127.0.0.1:{server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    main()
