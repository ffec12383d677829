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
import contextlib
import dataclasses
import http.server
import itertools
import json
import pathlib
import re
import threading
from collections.abc import Callable, Iterator
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

    def status(self, version: int | None = None) -> dict[str, Any]:
        """Returns what Serving says of a version, of all if None."""
        numbers = sorted(self._versions, reverse=True) if version is None else [self._number(version)]
        fine = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return {"model_version_status": [{"version": str(number), **fine} for number in numbers]}

    def run(self, signature: str, inputs: Any, version: int | None = None) -> dict[str, np.ndarray]:
        """Runs a signature of a version, the newest if None."""
        function = self._function(signature, version)
        specs = function.structured_input_signature[1]
        given = by_name(inputs, sorted(specs), f"the inputs of signature {signature}")
        try:
            tensors = {name: tf.constant(np.asarray(given[name], specs[name].dtype.as_numpy_dtype)) for name in specs}
            return {name: output.numpy() for name, output in function(**tensors).items()}
        except (TypeError, ValueError, OverflowError, tf.errors.InvalidArgumentError) as error:
            raise BadRequest(f"The inputs do not fit signature {signature}: {error}") from error

    def input_names(self, signature: str, version: int | None = None) -> list[str]:
        """Returns the names of a signature's inputs."""
        return sorted(self._function(signature, version).structured_input_signature[1])

    def state_input(self) -> str:
        """Returns the name of the input of `step` that takes the state: another one, if the network has an input "state"."""
        state = self._function("initial_state").structured_outputs["state"]
        specs = self._function("step").structured_input_signature[1]
        # Frames are float32, the state is float64.
        return next(name for name, spec in specs.items() if spec.dtype == state.dtype)

    def _number(self, version: int | None) -> int:
        number = max(self._versions) if version is None else version
        if number not in self._versions:
            raise BadRequest(f"Model {self.name} has no version {number}. There are: {sorted(self._versions)}")
        return number

    def _function(self, signature: str, version: int | None = None) -> Any:
        signatures = self._versions[self._number(version)].signatures
        if not isinstance(signature, str) or signature not in signatures:
            raise BadRequest(f"Model {self.name} has no signature {signature}. There are: {sorted(signatures)}")
        return signatures[signature]


def by_name(values: Any, names: list[str], what: str) -> dict[str, Any]:
    """Returns inputs by name; a single one may come without its name."""
    if len(names) == 1 and not isinstance(values, dict):
        return {names[0]: values}
    if not isinstance(values, dict) or set(values) != set(names):
        received = sorted(values) if isinstance(values, dict) else f"a {type(values).__name__}"
        raise BadRequest(f"Expected {what} to be an object with {names}. Received: {received}")
    return values


def columns(rows: Any, names: list[str]) -> dict[str, Any]:
    """Returns the inputs of all samples by name."""
    if not (isinstance(rows, list) and rows):
        raise BadRequest("Expected 'instances' to be a list of samples.")
    named = [by_name(row, names, f"row {number} of 'instances'") for number, row in enumerate(rows)]
    return {name: [row[name] for row in named] for name in names}


def predict(model: Model, request: dict[str, Any], version: int | None = None) -> dict[str, Any]:
    """Answers a request of Serving's: by rows ("instances" -> "predictions") or by columns ("inputs" -> "outputs")."""
    signature = request.get("signature_name", "serving_default")
    if ("instances" in request) == ("inputs" in request):
        raise BadRequest("Expected either 'instances' or 'inputs'.")
    by_rows = "instances" in request
    inputs = columns(request["instances"], model.input_names(signature, version)) if by_rows else request["inputs"]
    outputs = {name: value.tolist() for name, value in model.run(signature, inputs, version).items()}
    if not by_rows:
        return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values()))}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


@dataclasses.dataclass
class Stream:
    """The state of a client, None before its first timestep, and the lock that its requests wait for."""

    state: np.ndarray | None = None
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Streams:
    """The states of all clients, apart from each other."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._streams: dict[str, Stream] = {}
        self._numbers = itertools.count()

    def step(self, client: str, frame: Any) -> dict[str, Any]:
        """Runs one timestep of a client; its requests wait for each other, those of others do not."""
        state_name = self._model.state_input()
        frame_names = [name for name in self._model.input_names("step") if name != state_name]
        batch = {name: [value] for name, value in by_name(frame, frame_names, "'frame'").items()}
        with self._held(client) as stream:
            state = stream.state
            if state is None:
                state = self._model.run("initial_state", {"sample_index": [next(self._numbers)]})["state"]
            outputs = self._model.run("step", {**batch, state_name: state})
            stream.state = state = outputs.pop("state")
        # The number of timesteps is the first of a state's numbers.
        return {"outputs": {name: value[0].tolist() for name, value in outputs.items()}, "timesteps": int(state[0, 0])}

    def reset(self, client: str) -> dict[str, Any]:
        """Forgets a client's state, after the timestep that may be under way."""
        with self._held(client) as stream:
            stream.state = None
        return {}

    @contextlib.contextmanager
    def _held(self, client: str) -> Iterator[Stream]:
        """Gives a client's stream to one request at a time; one that is left without a state is removed."""
        while True:
            stream = self._streams.setdefault(client, Stream())
            with stream.lock:
                # Whoever had the lock before may have removed the stream.
                if self._streams.get(client) is not stream:
                    continue
                try:
                    yield stream
                finally:
                    if stream.state is None:
                        del self._streams[client]
                return


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads requests, and writes answers or errors as JSON."""

    model: Model
    streams: Streams
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers which versions there are."""
        self._answer(self._status)

    def do_POST(self) -> None:
        """Answers everything else."""
        self._answer(self._do)

    def _status(self, path: str, _: dict[str, Any]) -> dict[str, Any]:
        served = re.fullmatch(rf"/v1/models/{re.escape(self.model.name)}(?:/versions/(\d+))?", path)
        if not served:
            raise BadRequest(f"There is nothing at {path}.")
        return self.model.status(int(served[1]) if served[1] else None)

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

    def _request(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,9}", length):
            # Nobody knows where the next request would begin.
            self.close_connection = True
            raise BadRequest(f"Expected a Content-Length of at most nine digits, and no chunks. Received: {length}")
        body = self.rfile.read(int(length))
        request = json.loads(body) if body else {}
        if not isinstance(request, dict):
            raise BadRequest("Expected a JSON object.")
        return request

    def _answer(self, answer: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        try:
            status, content = 200, answer(self.path, self._request())
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            status, content = 400, {"error": str(error)}
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
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
    try:
        server = make_server(arguments.folder, arguments.port)
    except (BadRequest, OSError) as error:
        raise SystemExit(
            f"{arguments.folder} cannot be served: {error} Expected a model's folder, such as models/digits."
        ) from error
    with server:
        print(f"serving {arguments.folder} at http://127.0.0.1:{server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    main()
