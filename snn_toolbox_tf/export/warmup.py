"""Requests that a model server runs before it answers any, so that no user waits for what is done once."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.model.saved_model import Endpoint
from snn_toolbox_tf.network.input_data import as_arrays

#: Where a model server keeps files that are no part of the graph, and what it calls the one with requests.
EXTRA, FILE = "assets.extra", "tf_serving_warmup_requests"
#: The largest batch of `write_serving_config`: a server refuses longer requests.
MOST_SAMPLES = 64


def warmup_requests(name: str, model_snn: SpikingModel, endpoints: Mapping[str, Endpoint], samples: Any) -> list[Any]:
    """Makes a request of each signature for the first sample, and one for all of them.

    Args:
        name: The model's name.
        model_snn: The network.
        endpoints: Its signatures.
        samples: Data in the structure of the inputs.

    Returns:
        `PredictionLog` messages.

    Raises:
        ImportError: If the package with the messages is not installed.
        ValueError: If the samples do not fit the network, or are too many.
    """
    log = require_messages()
    frames = model_snn.input_options.mode == "frames"
    graph = model_snn.network.graph
    arrays = as_arrays(samples, graph, argument="warmup", frames=frames)
    ordered = [np.asarray(arrays[each], np.float32) for each in keras.tree.flatten(graph.input_structure)]
    if len(ordered[0]) > MOST_SAMPLES:
        raise ValueError(
            f"Expected `warmup` to hold {MOST_SAMPLES} samples at most, the largest batch that a server takes unless told "
            f"otherwise. Received: {len(ordered[0])} samples"
        )
    requests = []
    for count in sorted({1, len(ordered[0])}):
        first = [array[:count] for array in ordered]
        index = np.arange(count, dtype=np.int64)
        given: dict[str, list[Any]] = {"initial_state": [index]}
        if "step" in endpoints:
            state = model_snn.runner.streams().initial_state(tf.constant(index)).numpy()
            given["step"] = [*(array[:, 0] if frames else array for array in first), state]
        usual = [*first, index] if model_snn.draws_spikes else first
        for signature, endpoint in endpoints.items():
            message = log.PredictionLog()
            request = message.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for spec, value in zip(endpoint.arguments, given.get(signature, usual), strict=True):
                request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(value))
            requests.append(message)
    return requests


def write_requests(folder: pathlib.Path, requests: list[Any]) -> None:
    """Writes requests where a model server looks for them."""
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for request in requests:
            writer.write(request.SerializeToString())


def replay(version: pathlib.Path) -> int:
    """Runs all requests of a version on what was written, as a model server will.

    Returns:
        The number of requests.

    Raises:
        ValueError: If one gives what is no number.
    """
    log = require_messages()
    loaded = tf.saved_model.load(str(version))
    count = 0
    for record in tf.data.TFRecordDataset(str(version / EXTRA / FILE)):
        request = log.PredictionLog.FromString(record.numpy()).predict_log.request
        signature = request.model_spec.signature_name
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        for name, output in loaded.signatures[signature](**inputs).items():
            if not np.isfinite(output.numpy()).all():
                raise ValueError(
                    f"The warm-up request of signature '{signature}' gives NaN or infinite values in '{name}'. Expected "
                    "`warmup` to hold samples like those that the network was calibrated with."
                )
        count += 1
    return count


def require_messages() -> Any:
    """Returns the module with TensorFlow Serving's messages of logged requests.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            "Warm-up requests need TensorFlow Serving's messages, which are not installed. Install them with "
            "`pip install 'snn_toolbox_tf[serving]'`, or export with warmup=None."
        ) from error
    return prediction_log_pb2
